"""`forebay`."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forebay_cli import commands, keys
from forebay_cli.client import CallError, ResolverClient
from forebay_cli.tls import Tls, TlsError

_EPILOG = """\
Every flag has an environment variable: --resolver is FOREBAY_RESOLVER, and so on. FOREBAY_TOKEN, if the resolver has
one, is shown to it with every call, and FOREBAY_MANAGEMENT_KEY with those that demand it. FOREBAY_CLIENT_KEY is the
client's key to ask with, where the configuration has clients: only its SHA-256 is sent. Exit status: 0 done, 1
refused or failed, 2 not understood."""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    environment = os.environ if environment is None else environment
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    try:
        status = _run(parser, given, environment)
        sys.stdout.flush()
    except (CallError, TlsError) as error:
        print(f"forebay: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read has read enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace, environment: Mapping[str, str]) -> int:
    if given.command == "check":
        if not given.file:
            parser.error("FILE is empty: name the configuration file to check")
        return commands.check(given.file, environment)
    if given.command == "key":
        return keys.new(given.id) if given.action == "new" else keys.tell_hash(sys.stdin.buffer.read(keys.LONGEST + 1))
    with _client(
        parser, given, environment.get("FOREBAY_TOKEN", ""), environment.get("FOREBAY_CLIENT_KEY", "")
    ) as client:
        match given.command:
            case "resolve":
                return commands.resolve(client, given.name, stream=given.stream, as_json=given.json)
            case "explain":
                key = environment.get("FOREBAY_MANAGEMENT_KEY", "")
                return commands.explain(client, given.name, key, as_json=given.json)
            case "clear":
                return commands.clear(client, given.target, _management_key(parser, environment))
            case "drain" | "undrain":
                key = _management_key(parser, environment)
                return commands.drain(client, given.target, key, drained=given.command == "drain")
            case "status":
                key = _management_key(parser, environment)
                return commands.status(client, key, every=given.all, as_json=given.json)
            case "revisions":
                key = _management_key(parser, environment)
                return commands.revisions(client, given.most, key, with_diffs=given.diff, as_json=given.json)
            case "rollback":
                key = _management_key(parser, environment)
                return commands.roll_back(client, given.revision, given.author, key)
            case "apply":
                key = _management_key(parser, environment)
                return commands.apply(client, given.file, given.author, key, validate_only=given.validate_only)
            case "models":
                return commands.models(client, as_json=given.json)
            case _:
                return commands.health(client, given.service)


def _client(parser: argparse.ArgumentParser, given: argparse.Namespace, token: str, client_key: str) -> ResolverClient:
    """Ends the program with status 2 if the flags make no sense."""
    address = given.resolver
    if not is_address(address):
        parser.error(f"--resolver: '{address}' is neither HOST:PORT nor unix:PATH")
    if bool(given.resolver_cert) != bool(given.resolver_key):
        parser.error("--resolver-cert and --resolver-key go together: a certificate, and its key")
    if not given.resolver_ca and (given.resolver_cert or given.resolver_name):
        parser.error("--resolver-cert and --resolver-name need --resolver-ca: without it there is no TLS")
    if not given.resolver_ca and not given.plaintext_network and not is_local(address):
        parser.error(
            f"--resolver {address} is not on loopback, and gRPC to it would be plaintext: set --resolver-ca, "
            "add --plaintext-network to consent, or use 127.0.0.1 or unix:PATH"
        )
    if not (token.isascii() and token.isprintable()):
        parser.error("FOREBAY_TOKEN: only printable ASCII characters can be sent to the resolver")
    key = keys.sha256(os.fsencode(client_key))
    if not given.resolver_ca:
        return ResolverClient(address, token, given.timeout, client_key_sha256=key)
    pair = (Path(given.resolver_cert), Path(given.resolver_key)) if given.resolver_cert else None
    tls = Tls(Path(given.resolver_ca), pair, given.resolver_name)
    return ResolverClient(address, token, given.timeout, client_key_sha256=key, tls=tls)


def _management_key(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> str:
    """Ends the program with status 2 if there is none to show. No flag: everyone can read arguments."""
    key = environment.get("FOREBAY_MANAGEMENT_KEY", "")
    if not key:
        parser.error("FOREBAY_MANAGEMENT_KEY is not set: this command demands the resolver's management key")
    if not (key.isascii() and key.isprintable()):
        parser.error("FOREBAY_MANAGEMENT_KEY: only printable ASCII characters can be sent to the resolver")
    return key


class _Flags:
    """Adds flags whose defaults stand in the environment: `--resolver-ca` is `FOREBAY_RESOLVER_CA`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def default(self, flag: str, otherwise: str = "") -> str:
        return self._environment.get(f"FOREBAY_{flag.upper().replace('-', '_')}", otherwise)

    def switch(self, parser: argparse.ArgumentParser, flag: str, explanation: str) -> None:
        is_on = self.default(flag).lower() in {"1", "true", "yes", "on"}
        parser.add_argument(f"--{flag}", action="store_true", default=is_on, help=explanation)

    def author(self, parser: argparse.ArgumentParser) -> None:
        default = self.default("author", "forebay")
        parser.add_argument(
            "--author", metavar="NAME", type=_text, default=default, help="who makes it (default: forebay)"
        )


def _calling(flags: _Flags) -> argparse.ArgumentParser:
    """The flags of all commands that call the resolver."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--resolver",
        metavar="ADDRESS",
        type=_text,
        default=flags.default("resolver", "127.0.0.1:8401"),
        help="HOST:PORT or unix:PATH of the resolver (default: 127.0.0.1:8401)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=flags.default("timeout") or None,
        help="how long to wait for the answer (default: 5; of a change 20)",
    )
    for flag, metavar, kind, explanation in (
        (
            "resolver-ca",
            "FILE",
            str,
            "speak TLS with the resolver, whose certificate must be of these authorities (PEM)",
        ),
        ("resolver-cert", "FILE", str, "the certificate to show to it (PEM, its chain behind it)"),
        ("resolver-key", "FILE", str, "the key of --resolver-cert (PEM)"),
        ("resolver-name", "NAME", _text, "what its certificate is for, if it is not the host of its address"),
    ):
        parser.add_argument(f"--{flag}", metavar=metavar, type=kind, default=flags.default(flag), help=explanation)
    flags.switch(parser, "plaintext-network", "consent to gRPC without TLS to an address that is not loopback")
    return parser


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    flags = _Flags(environment)
    calling, answering = _calling(flags), argparse.ArgumentParser(add_help=False)
    flags.switch(answering, "json", "print the answer as JSON, in the spelling of the gRPC contract")
    its_form: dict[str, Any] = {
        "epilog": _EPILOG,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser(
        prog="forebay",
        description="Asks a resolver what it would do and how it is, changes that, and checks configurations.",
        **its_form,
    )
    its_version = f"%(prog)s {version('forebay')}"
    parser.add_argument("--version", action="version", version=its_version, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, explanation: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        summary = explanation.partition(".")[0]
        return subparsers.add_parser(name, help=summary, description=explanation, parents=parents, **its_form)

    _add_reading(command, flags, calling, answering)
    _add_changing(command, flags, calling)
    return parser


_Command = Callable[..., argparse.ArgumentParser]


def _add_reading(
    command: _Command, flags: _Flags, calling: argparse.ArgumentParser, answering: argparse.ArgumentParser
) -> None:
    """The commands that change nothing."""
    it = command("check", "Say what is wrong with a configuration file. Needs no running resolver.")
    it.add_argument("file", metavar="FILE", help="in YAML")
    it = command("resolve", "Print the plan for a name. It takes a turn, as every request does.", calling, answering)
    it.add_argument(
        "name", metavar="NAME", type=_text, help="as an application would send it, such as 'chat' or 'gpt-5(high)'"
    )
    flags.switch(it, "stream", "ask as for a streamed answer")
    it = command("explain", "Print what a name would come to now, and why. It takes no turn.", calling, answering)
    it.add_argument("name", metavar="NAME", type=_text, help="as an application would send it")
    command("models", "List the names that can be called.", calling, answering)
    it = command("health", "Tell whether the resolver serves. For container health checks: no token needed.", calling)
    it.add_argument(
        "--service",
        metavar="NAME",
        type=_text,
        default=flags.default("service", "readiness"),
        help="readiness, liveness, or '' for the server as a whole (default: readiness)",
    )
    it = command("status", "Show how targets are. Demands the management key.", calling, answering)
    flags.switch(it, "all", "also those that are ready and were not asked within five minutes")
    it = command("revisions", "List the latest configurations. Demands the management key.", calling, answering)
    most = flags.default("most", "20")
    it.add_argument("--most", metavar="N", type=_number, default=most, help="how many (default: 20)")
    flags.switch(it, "diff", "show what each changed, line by line")
    key = command("key", "Make a key for a client of the gateway, or tell the hash of one. Needs no running resolver.")
    actions = key.add_subparsers(dest="action", metavar="ACTION", required=True)
    it = actions.add_parser("new", help="make a key and print it, this once, with the lines for the configuration")
    it.add_argument("--id", metavar="ID", type=_text, help="what the configuration is to call the client")
    actions.add_parser("hash", help="read a key from standard input and print its SHA-256")


def _add_changing(command: _Command, flags: _Flags, calling: argparse.ArgumentParser) -> None:
    """The commands that change something, all of which demand the management key."""
    for name, explanation in (
        ("clear", "End a target's cool-down, and that of its credential and its model. Demands the management key."),
        ("drain", "Take a target out of new plans. Demands the management key."),
        ("undrain", "Put a drained target back. Demands the management key."),
    ):
        it = command(name, explanation, calling)
        it.add_argument(
            "target", metavar="TARGET", type=_text, help="as 'forebay explain' shows it, such as 'openai/gpt-5#0'"
        )
    explanation = "Put the configuration of an earlier revision into effect, as a new one. Demands the management key."
    it = command("rollback", explanation, calling)
    it.add_argument("revision", metavar="REVISION", type=_number, help="as 'forebay revisions' lists it")
    flags.author(it)
    explanation = "Put a configuration file into effect. For resolvers that share a store. Demands the management key."
    it = command("apply", explanation, calling)
    it.add_argument("file", metavar="FILE", help="in YAML")
    flags.author(it)
    flags.switch(it, "validate-only", "say whether it could be put into effect, and change nothing")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # What Python makes of bytes in arguments and in the environment that are none.
        raise argparse.ArgumentTypeError(f"{text!r} is not UTF-8") from None
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of seconds")
    return seconds


def is_address(address: str) -> bool:
    """Whether a client can call it: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`."""
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, _, port = address.rpartition(":")
    if not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        return False
    return port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536


def is_local(address: str) -> bool:
    """Whether the address is on this machine alone."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
