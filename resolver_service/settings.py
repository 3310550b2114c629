"""The resolver's settings: flags, and environment variables of the same names. Nothing else reads the environment."""

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
from urllib.parse import parse_qsl, urlsplit

_IN_A_STORES_QUERY = ("db", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
"""The parameters that the URL of a store may have. Others that the client library takes could weaken TLS, or change how
it decodes answers."""
_OF_OTHERS = re.compile(
    r"FOREBAY_(EDGE_.*|RESOLVER(_CA|_CERT|_KEY|_NAME)?|PLAINTEXT_NETWORK)=|"
    r".*_SERVICE_(HOST|PORT(_\w+)?)=|.*_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|=(tcp|udp|sctp)://)"
)
"""Variables, with their values, that are not the resolver's: the edge's, the command's, and those that Kubernetes sets
for services called forebay-resolver and the like."""
_ALIKE = 0.8
"""How alike a misspelt name is, from 0 to 1. CONFG is that like CONFIG; no variable of docker-compose, such as
CONFIG_DIR, is like any."""


@dataclass(frozen=True, slots=True)
class Settings:
    config: Path | None
    """The configuration file. With a store, None or what an empty store begins with."""
    listen: str
    """`HOST:PORT` or `unix:PATH`."""
    ops: tuple[str, int] | None
    """Host and port of the operations' address; None for none."""
    reflection: bool
    drain_s: float
    check: bool
    state_dir: Path | None
    """Where health, drains, turns, revisions and bindings outlive a restart; with a store, the place of a copy of its
    configuration. None: nowhere."""
    tls: tuple[Path, Path] | None
    """The files of the certificate that callers are shown, and of its key; None: no TLS."""
    client_ca: Path | None
    """The authorities of one of which every caller must have a certificate; None: callers need none."""
    provider_edits: bool
    """Whether the management API may change providers."""
    store: str = field(repr=False)
    """The URL of the shared store, which may have a password in it; empty for a resolver by itself."""
    token: str = field(repr=False)
    """The services' shared secret; empty for none. From `FOREBAY_TOKEN` alone, since everyone can read arguments."""
    management_key: str = field(repr=False)
    """The secret that `PoolAdminService` asks for; empty: that service is off. From `FOREBAY_MANAGEMENT_KEY` alone."""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return seconds


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    metavar: str
    """Empty for a switch."""
    help: str
    default: str = ""
    type: Callable[[str], object] = str


_FLAGS = (
    _Flag("config", "FILE", "the YAML file (required); with --store what an empty store begins with (optional)"),
    _Flag(
        "listen",
        "ADDRESS",
        "HOST:PORT, port 0 for any free one, or unix:PATH (default: 127.0.0.1:8401)",
        "127.0.0.1:8401",
    ),
    _Flag(
        "ops-listen",
        "HOST:PORT",
        "where /metrics, /healthz and /readyz are, port 0 for any free one, empty for nowhere (default: "
        "127.0.0.1:8403)",
        "127.0.0.1:8403",
    ),
    _Flag("plaintext-network", "", "consent to gRPC without TLS on an address that is not loopback"),
    _Flag(
        "tls-cert",
        "FILE",
        "speak TLS with this certificate (PEM, its chain behind it); renewed files take effect without a restart",
    ),
    _Flag("tls-key", "FILE", "the key of --tls-cert (PEM)"),
    _Flag("tls-client-ca", "FILE", "turn away callers without a certificate of these authorities (PEM)"),
    _Flag("no-reflection", "", "do not describe the services to gRPC tools"),
    _Flag(
        "state-dir",
        "DIR",
        "a directory of this resolver's own, where health, drains, rotation, revisions and what is known of stored "
        "responses outlive a restart (default: they are kept in memory); with --store a copy of the configuration "
        "alone, to start from while the store is away",
    ),
    _Flag(
        "store",
        "URL",
        "redis://[USER:PASSWORD@]HOST:PORT/DB, rediss:// for TLS: what several resolvers share, the configuration "
        "among it, in a Redis 7 or Valkey 8 server; ?ssl_ca_certs=FILE names its authorities, ssl_certfile and "
        "ssl_keyfile what it is shown; a password is better given as FOREBAY_RESOLVER_STORE, since everyone can read "
        "arguments (default: this resolver shares nothing)",
    ),
    _Flag("plaintext-store", "", "consent to a store without TLS at an address that is not loopback"),
    _Flag(
        "allow-provider-edits",
        "",
        "let whoever has the management key change providers as well: where requests go, and with whose keys",
    ),
    _Flag("drain", "SECONDS", "how long calls under way may take after SIGTERM (default: 1)", "1", type=_seconds),
)


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Exits with a message and status 2 if the settings are invalid; warns of misspelt variables on standard error."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    for warning in _misspelt(environment):
        print(f"{parser.prog}: warning: {warning}", file=sys.stderr)
    token, management_key = environment.get("FOREBAY_TOKEN", ""), environment.get("FOREBAY_MANAGEMENT_KEY", "")
    if wrong := next(_mistakes(given, token, management_key), None):
        parser.error(wrong)
    return Settings(
        config=Path(given.config) if given.config else None,
        listen=given.listen,
        ops=_host_and_port(given.ops_listen) if given.ops_listen else None,
        reflection=not given.no_reflection,
        drain_s=given.drain,
        check=given.check,
        state_dir=Path(given.state_dir) if given.state_dir else None,
        tls=(Path(given.tls_cert), Path(given.tls_key)) if given.tls_cert else None,
        client_ca=Path(given.tls_client_ca) if given.tls_client_ca else None,
        provider_edits=given.allow_provider_edits,
        store=given.store,
        token=token,
        management_key=management_key,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forebay-resolver",
        description="Owns pools and clusters of models, and answers names with plans over gRPC.",
        epilog="Every flag has an environment variable: --listen is FOREBAY_RESOLVER_LISTEN, and so on. "
        "FOREBAY_TOKEN, if set, is the secret that every gRPC call must show, and FOREBAY_MANAGEMENT_KEY the one for "
        "changes, which are refused without it.",
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
    parser.add_argument(
        "--check", action="store_true", help="validate the configuration, print what is wrong, and exit"
    )
    return parser


def _variable(flag: _Flag) -> str:
    return f"FOREBAY_RESOLVER_{flag.name.upper().replace('-', '_')}"


def _misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    """A warning for each variable that looks like one of the resolver's and is none.

    The services have this once each, since they share nothing but the contract.
    """
    own = ["FOREBAY_TOKEN", "FOREBAY_MANAGEMENT_KEY", *map(_variable, _FLAGS)]
    # Names are compared by what tells them apart, with and without the service, which may be misspelt itself.
    tails = {_tail(variable): variable for variable in own}
    known = tails | {f"RESOLVER_{tail}": variable for tail, variable in tails.items()}
    for name, value in environment.items():
        if not name.startswith("FOREBAY_") or name in own or _OF_OTHERS.match(f"{name}={value}"):
            continue
        if likely := difflib.get_close_matches(_tail(name), known, n=1, cutoff=_ALIKE):
            yield f"{name} means nothing here; did you mean {known[likely[0]]}?"
        elif name.startswith("FOREBAY_RESOLVER_"):
            yield f"{name} means nothing here; --help has what does"


def _tail(variable: str) -> str:
    return variable.removeprefix("FOREBAY_").removeprefix("RESOLVER_")


def _mistakes(given: argparse.Namespace, token: str, management_key: str) -> Iterator[str]:
    """What is invalid, in words. Only the first is told."""
    if not given.config and (given.check or not given.store):
        yield "--config FILE (or FOREBAY_RESOLVER_CONFIG) is required"
    if not is_address(given.listen):
        yield f"--listen: '{given.listen}' is neither HOST:PORT nor unix:PATH"
    if bool(given.tls_cert) != bool(given.tls_key):
        yield "--tls-cert and --tls-key go together: a certificate, and its key"
    if given.tls_client_ca and not given.tls_cert:
        yield "--tls-client-ca needs --tls-cert and --tls-key: without TLS nobody shows a certificate"
    if not given.tls_cert and not given.plaintext_network and not is_local(given.listen):
        yield (
            f"--listen {given.listen} is not loopback, and gRPC there would be plaintext: set --tls-cert, "
            "add --plaintext-network to consent, or listen on 127.0.0.1 or unix:PATH"
        )
    if given.ops_listen and (not is_address(given.ops_listen) or given.ops_listen.startswith("unix:")):
        yield f"--ops-listen: '{given.ops_listen}' is not HOST:PORT"
    if given.store and (wrong := _wrong_with_store(given.store, is_consented=given.plaintext_store)):
        yield f"--store: {wrong}"
    for name, secret in (("FOREBAY_TOKEN", token), ("FOREBAY_MANAGEMENT_KEY", management_key)):
        if not (secret.isascii() and secret.isprintable()):
            yield f"{name}: gRPC carries printable ASCII characters only, so no caller could show it"
        if secret != secret.strip():
            yield f"{name}: gRPC drops blanks at its ends, so no caller could show it"
    if management_key and management_key == token:
        yield "FOREBAY_MANAGEMENT_KEY must not be FOREBAY_TOKEN, which never suffices for a change"


def is_address(address: str) -> bool:
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, _, port = address.rpartition(":")
    if not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        return False
    return port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536


def _wrong_with_store(text: str, *, is_consented: bool) -> str:
    """What is wrong with the URL of a store; empty if nothing is. The message never quotes the URL, which may have a
    password in it. (One with a '/' that is not percent-encoded ends the host and port early, and is refused.)"""
    nowhere = "not an address such as redis://127.0.0.1:6379/0"
    try:
        its = urlsplit(text)
        is_socket = its.scheme == "unix"
        if not is_socket and (its.scheme not in ("redis", "rediss") or not its.hostname or its.port == 0):
            return nowhere
    except ValueError:
        return nowhere
    if not its.path if is_socket else not _is_number(its.path.strip("/") or "0"):
        return nowhere
    for name, value in parse_qsl(its.query, keep_blank_values=True):
        if name not in _IN_A_STORES_QUERY:
            return f"behind its '?' it takes {', '.join(_IN_A_STORES_QUERY)}, and something else is there"
        if name == "db" and not _is_number(value):
            return "its db is not a number"
        if name.startswith("ssl_") and its.scheme != "rediss":
            return f"{name} is for rediss://, which is with TLS"
    if its.scheme == "redis" and not is_consented and not is_local(f"{its.hostname}:0"):
        return (
            "it is not on loopback, and what is said to it would be plaintext, a password too: use rediss://, "
            "or add --plaintext-store to consent"
        )
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


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
