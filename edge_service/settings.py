"""The edge's settings: flags, and environment variables of the same names. Nothing else reads the environment."""

from __future__ import annotations

import argparse
import difflib
import ipaddress
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_OF_OTHERS = re.compile(
    r"FOREBAY_(RESOLVER.*|PLAINTEXT_NETWORK)=|"
    r".*_SERVICE_(HOST|PORT(_\w+)?)=|.*_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|=(tcp|udp|sctp)://)"
)
"""Variables, with their values, that are not the edge's: the resolver's, the command's, and those that Kubernetes sets
for services called forebay-edge and the like."""
_ALIKE = 0.8
"""How alike a misspelt name is, from 0 to 1. LISTN is that like LISTEN; no variable of docker-compose is like any."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker inherits from its supervisor. Sockets are numbers of open file descriptors."""

    slot: int
    """The worker's number, from 0."""
    port: int
    """The port of `--listen`; where that is 0, the one that was found."""
    control: int
    """The socket to the supervisor."""
    receiving: int
    """The socket over which other workers pass connections to this one."""
    giving: tuple[int, ...]
    """The sockets over which connections are passed to each worker."""


@dataclass(frozen=True, slots=True)
class Settings:
    resolvers: tuple[str, ...]
    """Each `HOST:PORT` or `unix:PATH`."""
    host: str
    port: int
    ops: tuple[str, int] | None
    """Host and port of the operations' address; None for none."""
    drain_s: float
    drain_delay_s: float
    client_stall_s: float
    """How long a client may leave its answer unread."""
    heartbeat_s: float
    """The interval of comments to a client that waits for the first content of a stream; 0 for none."""
    max_concurrent: int
    """The most requests under way at a time."""
    max_concurrent_per_key: int
    """The most with one client key; 0 for no limit of its own."""
    key_required: bool
    """A client key that the resolver knows is required even where its configuration has no clients."""
    tls: tuple[Path, Path] | None
    """The files of the certificate that clients are shown, and of its key; None: plain HTTP."""
    resolver_ca: Path | None
    """The authorities that the resolvers' certificates must be of; None: plaintext gRPC."""
    resolver_pair: tuple[Path, Path] | None
    """The files of the certificate that resolvers are shown, and of its key."""
    resolver_name: str
    """The host name that the resolvers' certificates are for; empty: that of their address."""
    cors_origins: frozenset[str]
    """Origins whose pages may call the APIs of models from browsers; `*` alone for all."""
    credential_names: tuple[str, ...]
    """Patterns of the environment variables that `env:` credentials may name."""
    upstream_ca: Path | None
    """Certificate authorities to trust for providers besides the system's."""
    upstream_proxy: str = field(repr=False)
    """The URL of an HTTP proxy to call providers through, which may have a password in it; empty for none."""
    token: str = field(repr=False)
    """The services' shared secret; empty for none. From `FOREBAY_TOKEN` alone, since everyone can read arguments."""
    workers: int
    """The number of processes that serve."""
    as_worker: Worker | None
    """Set in a process that is one of these; None for a supervisor, or an edge that is one process."""
    environment: Mapping[str, str] = field(repr=False)
    """Where `env:` credentials are looked up, as far as `credential_names` allows."""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return seconds


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    metavar: str
    """Empty for a switch."""
    help: str
    default: str = ""
    type: Callable[[str], object] = str


_FLAGS = (
    _Flag(
        "resolver",
        "ADDRESS[,ADDRESS...]",
        "HOST:PORT or unix:PATH of each resolver (default: 127.0.0.1:8401)",
        "127.0.0.1:8401",
    ),
    _Flag("listen", "HOST:PORT", "port 0 for any free one (default: 127.0.0.1:8400)", "127.0.0.1:8400"),
    _Flag(
        "ops-listen",
        "HOST:PORT",
        "where /metrics, /healthz and /readyz are, port 0 for any free one, empty for nowhere (default: "
        "127.0.0.1:8402)",
        "127.0.0.1:8402",
    ),
    _Flag(
        "allow-open",
        "",
        "consent to serving whoever can reach an address that is not loopback, as long as the resolver's "
        "configuration has no clients; without it every request there needs the key of one",
    ),
    _Flag("plaintext-network", "", "consent to gRPC without TLS to a resolver that is not on loopback"),
    _Flag(
        "tls-cert",
        "FILE",
        "serve HTTPS at --listen with this certificate (PEM, its chain behind it); renewed files take effect without "
        "a restart. --ops-listen stays plain",
    ),
    _Flag("tls-key", "FILE", "the key of --tls-cert (PEM)"),
    _Flag("resolver-ca", "FILE", "speak TLS with the resolvers, whose certificates must be of these authorities (PEM)"),
    _Flag("resolver-cert", "FILE", "the certificate to show to resolvers that ask for one (PEM, its chain behind it)"),
    _Flag("resolver-key", "FILE", "the key of --resolver-cert (PEM)"),
    _Flag("resolver-name", "NAME", "what the resolvers' certificates are for, if it is not the host of their address"),
    _Flag(
        "credential-env",
        "PATTERNS",
        "which environment variables 'env:' credentials may name, comma-separated (default: *_API_KEY,*_API_KEY_*; "
        "FOREBAY_* never)",
        "*_API_KEY,*_API_KEY_*",
    ),
    _Flag("upstream-ca", "FILE", "certificate authorities, in PEM, to trust for providers beside the system's"),
    _Flag(
        "upstream-proxy",
        "URL",
        "http://[USER:PASSWORD@]HOST:PORT of a proxy to call providers through; a password is better given as "
        "FOREBAY_EDGE_UPSTREAM_PROXY, since everyone can read arguments (default: providers are called directly)",
    ),
    _Flag("drain", "SECONDS", "how long requests under way may take after SIGTERM (default: 30)", "30", type=_seconds),
    _Flag(
        "drain-delay",
        "SECONDS",
        "how long after SIGTERM new connections are still accepted while /readyz already says no, for load balancers "
        "that ask it (default: 0)",
        "0",
        type=_seconds,
    ),
    _Flag(
        "client-stall",
        "SECONDS",
        "how long a client may leave its answer unread before it is given up (default: 60)",
        "60",
        type=_seconds,
    ),
    _Flag(
        "heartbeat",
        "SECONDS",
        "send a comment to the client of a stream whenever there was nothing for so long before its first content, "
        "for proxies that give up on silence; 15 is usual. The price: the answer begins as a 200 then, without the "
        "headers that tell who served, and if every target fails the error, with its status and Retry-After lost, is "
        "an event of the stream (default: 0, none)",
        "0",
        type=_seconds,
    ),
    _Flag(
        "max-concurrent",
        "N",
        "how many requests may be under way; those beyond are answered 503 at once (default: 1000)",
        "1000",
        type=_number,
    ),
    _Flag(
        "max-concurrent-per-key",
        "N",
        "how many requests one client key may have under way, and all together that show none; those beyond are "
        "answered 429 at once (default: 0, as many as --max-concurrent lets through)",
        "0",
        type=_number,
    ),
    _Flag(
        "cors-origins",
        "ORIGIN[,ORIGIN...]",
        "whose pages in browsers may call the APIs of models, such as https://app.example.com, or * for everyone's; "
        "the management API never (default: none)",
    ),
    _Flag(
        "workers",
        "N",
        "how many processes serve, each on a core of its own; bounds such as --max-concurrent are of each (default: 1)",
        "1",
        type=_number,
    ),
)


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Exits with a message and status 2 if the settings are invalid; warns of misspelt variables on standard error."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    for warning in _misspelt(environment) if given.as_worker is None else ():
        print(f"{parser.prog}: warning: {warning}", file=sys.stderr)
    token = environment.get("FOREBAY_TOKEN", "")
    if wrong := next(_mistakes(given, token), None):
        parser.error(wrong)
    host, port = _host_and_port(given.listen)
    return Settings(
        resolvers=_listed(given.resolver),
        host=host,
        port=port,
        ops=_host_and_port(given.ops_listen) if given.ops_listen else None,
        drain_s=given.drain,
        drain_delay_s=given.drain_delay,
        client_stall_s=given.client_stall,
        heartbeat_s=given.heartbeat,
        max_concurrent=given.max_concurrent,
        max_concurrent_per_key=given.max_concurrent_per_key,
        key_required=not (given.allow_open or is_local(given.listen)),
        tls=(Path(given.tls_cert), Path(given.tls_key)) if given.tls_cert else None,
        resolver_ca=Path(given.resolver_ca) if given.resolver_ca else None,
        resolver_pair=(Path(given.resolver_cert), Path(given.resolver_key)) if given.resolver_cert else None,
        resolver_name=given.resolver_name,
        cors_origins=frozenset(_listed(given.cors_origins)),
        credential_names=_listed(given.credential_env),
        upstream_ca=Path(given.upstream_ca) if given.upstream_ca else None,
        upstream_proxy=given.upstream_proxy,
        workers=given.workers,
        as_worker=given.as_worker,
        token=token,
        environment=environment,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forebay-edge",
        description="Speaks the APIs of language models over HTTP, and serves them along the resolver's plans.",
        epilog="Every flag has an environment variable: --listen is FOREBAY_EDGE_LISTEN, and so on. "
        "FOREBAY_TOKEN, if set, is shown to the resolver with every call.",
        allow_abbrev=False,
    )
    for flag in _FLAGS:
        name = f"--{flag.name}"
        told = environment.get(_variable(flag), flag.default)
        if flag.metavar:
            parser.add_argument(name, metavar=flag.metavar, type=flag.type, default=told, help=flag.help)
        else:
            is_on = told.lower() in {"1", "true", "yes", "on"}
            parser.add_argument(name, action="store_true", default=is_on, help=flag.help)
    its_version = f"%(prog)s {version('forebay')}"
    parser.add_argument("--version", action="version", version=its_version, help="print the version and exit")
    parser.add_argument("--as-worker", type=_worker, help=argparse.SUPPRESS)
    return parser


def _variable(flag: _Flag) -> str:
    return f"FOREBAY_EDGE_{flag.name.upper().replace('-', '_')}"


def _misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    """A warning for each variable that looks like one of the edge's and is none.

    The services have this once each, since they share nothing but the contract.
    """
    own = ["FOREBAY_TOKEN", *map(_variable, _FLAGS)]
    # Names are compared by what tells them apart, with and without the service, which may be misspelt itself.
    tails = {_tail(variable): variable for variable in own}
    known = tails | {f"EDGE_{tail}": variable for tail, variable in tails.items()}
    for name, value in environment.items():
        if not name.startswith("FOREBAY_") or name in own or _OF_OTHERS.match(f"{name}={value}"):
            continue
        if likely := difflib.get_close_matches(_tail(name), known, n=1, cutoff=_ALIKE):
            yield f"{name} means nothing here; did you mean {known[likely[0]]}?"
        elif name.startswith("FOREBAY_EDGE_"):
            yield f"{name} means nothing here; --help has what does"


def _tail(variable: str) -> str:
    return variable.removeprefix("FOREBAY_").removeprefix("EDGE_")


def _mistakes(given: argparse.Namespace, token: str) -> Iterator[str]:
    """What is invalid, in words. Only the first is told."""
    resolvers = _listed(given.resolver)
    if not resolvers:
        yield "--resolver needs at least one address"
    for address in resolvers:
        if not is_address(address):
            yield f"--resolver: '{address}' is neither HOST:PORT nor unix:PATH"
        if not given.resolver_ca and not given.plaintext_network and not is_local(address):
            yield (
                f"--resolver {address} is not on loopback, and gRPC to it would be plaintext: set --resolver-ca, "
                "add --plaintext-network to consent, or use 127.0.0.1 or unix:PATH"
            )
    for one, other in (("tls_cert", "tls_key"), ("resolver_cert", "resolver_key")):
        if bool(getattr(given, one)) != bool(getattr(given, other)):
            flags = f"--{one} and --{other}".replace("_", "-")
            yield f"{flags} go together: a certificate, and its key"
    if not given.resolver_ca and (given.resolver_cert or given.resolver_name):
        yield "--resolver-cert and --resolver-name need --resolver-ca: without it there is no TLS"
    if not is_address(given.listen) or given.listen.startswith("unix:"):
        yield f"--listen: '{given.listen}' is not HOST:PORT"
    for flag, value in (
        ("--client-stall", given.client_stall),
        ("--max-concurrent", given.max_concurrent),
        ("--workers", given.workers),
    ):
        if value == 0:
            yield f"{flag}: 0 is not a number above 0"
    origins = _listed(given.cors_origins)
    for origin in origins:
        if origin != "*" and not is_origin(origin):
            yield f"--cors-origins: '{origin}' is no origin, such as https://app.example.com or http://localhost:3000"
    if "*" in origins and len(origins) > 1:
        yield "--cors-origins: * is everyone, and stands alone"
    if not (token.isascii() and token.isprintable()):
        yield "FOREBAY_TOKEN has characters in it that cannot stand in a header"
    if given.ops_listen and (not is_address(given.ops_listen) or given.ops_listen.startswith("unix:")):
        yield f"--ops-listen: '{given.ops_listen}' is not HOST:PORT"
    if given.upstream_proxy and not _is_url(given.upstream_proxy):
        yield "--upstream-proxy: not an address such as http://proxy.example:3128"


def _listed(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in text.split(","))
    return tuple(part for part in parts if part)


def _worker(text: str) -> Worker:
    slot, port, control, receiving, *giving = map(int, text.split(","))
    return Worker(slot, port, control, receiving, tuple(giving))


def is_address(address: str) -> bool:
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, _, port = address.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return False  # An IPv6 address without brackets: where it ends and the port begins is anyone's guess.
    return bool(host) and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536


def _is_url(text: str) -> bool:
    """Whether it has a host, and a port that is possible. False for a password with a '/' that is not percent-encoded,
    whose beginning is taken for the port."""
    try:
        its = urlsplit(text)
        return its.scheme in _USUAL_PORTS and bool(its.hostname) and its.port != 0
    except ValueError:
        return False


def is_origin(text: str) -> bool:
    """As a browser writes it (RFC 6454, 6.2): in lower case, without a path, without the scheme's own port."""
    return _ORIGIN.fullmatch(text) is not None and not text.endswith(_USUAL_PORTS.get(text.partition(":")[0], " "))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_local(address: str) -> bool:
    """Whether only this machine can reach the address."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
