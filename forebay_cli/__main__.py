"""`forebay`."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import sys
from collections.abc import Mapping, Sequence

from forebay_cli import commands, keys
from forebay_cli.client import CallError, ResolverClient

_EPILOG = """\
Every flag has an environment variable: --resolver is FOREBAY_RESOLVER, and so on. FOREBAY_TOKEN, if the resolver has
one, is shown to it with every call, and FOREBAY_MANAGEMENT_KEY with those that change something. FOREBAY_CLIENT_KEY is
the client's key to ask with, where the configuration has clients: only its SHA-256 is sent. Exit status: 0 done, 1
refused or failed, 2 not understood."""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    environment = os.environ if environment is None else environment
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    try:
        status = _run(parser, given, environment)
        sys.stdout.flush()
    except CallError as error:
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
            case "models":
                return commands.models(client, as_json=given.json)
            case _:
                return commands.health(client, given.service)


def _client(parser: argparse.ArgumentParser, given: argparse.Namespace, token: str, client_key: str) -> ResolverClient:
    """Ends the program with status 2 if the flags make no sense."""
    address = given.resolver
    if not is_address(address):
        parser.error(f"--resolver: '{address}' is neither HOST:PORT nor unix:PATH")
    if not given.plaintext_network and not is_local(address):
        parser.error(
            f"--resolver {address} is not on loopback, and gRPC to it would be plaintext: "
            "add --plaintext-network to consent, or use 127.0.0.1 or unix:PATH"
        )
    if not (token.isascii() and token.isprintable()):
        parser.error("FOREBAY_TOKEN: only printable ASCII characters can be sent to the resolver")
    return ResolverClient(address, token, given.timeout, client_key_sha256=keys.sha256(client_key.encode()))


def _management_key(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> str:
    """Ends the program with status 2 if there is none to show. No flag: everyone can read arguments."""
    key = environment.get("FOREBAY_MANAGEMENT_KEY", "")
    if not key:
        parser.error("FOREBAY_MANAGEMENT_KEY: changes demand the resolver's management key")
    if not (key.isascii() and key.isprintable()):
        parser.error("FOREBAY_MANAGEMENT_KEY: only printable ASCII characters can be sent to the resolver")
    return key


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    def default(flag: str, otherwise: str) -> str:
        return environment.get(f"FOREBAY_{flag.upper().replace('-', '_')}", otherwise)

    def switch(parser: argparse.ArgumentParser, flag: str, explanation: str) -> None:
        is_on = default(flag, "").lower() in {"1", "true", "yes", "on"}
        parser.add_argument(f"--{flag}", action="store_true", default=is_on, help=explanation)

    calling = argparse.ArgumentParser(add_help=False)
    calling.add_argument(
        "--resolver",
        metavar="ADDRESS",
        default=default("resolver", "127.0.0.1:8401"),
        help="HOST:PORT or unix:PATH of the resolver (default: 127.0.0.1:8401)",
    )
    calling.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=default("timeout", "5"),
        help="how long to wait for the answer (default: 5)",
    )
    switch(calling, "plaintext-network", "consent to gRPC without TLS to an address that is not loopback")
    answering = argparse.ArgumentParser(add_help=False)
    switch(answering, "json", "print the answer as JSON, in the spelling of the gRPC contract")

    parser = argparse.ArgumentParser(
        prog="forebay",
        description="Asks a resolver what it would do, and checks configurations.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, explanation: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return subparsers.add_parser(
            name,
            help=explanation.partition(".")[0],
            description=explanation,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=parents,
            allow_abbrev=False,
        )

    it = command("check", "Say what is wrong with a configuration file. Needs no running resolver.")
    it.add_argument("file", metavar="FILE")
    it = command("resolve", "Print the plan for a name. It takes a turn, as every request does.", calling, answering)
    it.add_argument("name", metavar="NAME", help="as an application would send it, such as 'chat' or 'gpt-5(high)'")
    switch(it, "stream", "ask as for a streamed answer")
    it = command("explain", "Print what a name would come to now, and why. It takes no turn.", calling, answering)
    it.add_argument("name", metavar="NAME", help="as an application would send it")
    for name, explanation in (
        ("clear", "End a target's cool-down, and that of its credential and its model. Demands the management key."),
        ("drain", "Take a target out of new plans. Demands the management key."),
        ("undrain", "Put a drained target back. Demands the management key."),
    ):
        it = command(name, explanation, calling)
        it.add_argument("target", metavar="TARGET", help="as 'forebay explain' shows it, such as 'openai/gpt-5#0'")
    key = command("key", "Make a key for a client of the gateway, or tell the hash of one. Needs no running resolver.")
    actions = key.add_subparsers(dest="action", metavar="ACTION", required=True)
    it = actions.add_parser("new", help="make a key and print it, this once, with the lines for the configuration")
    it.add_argument("--id", metavar="ID", help="what the configuration is to call the client")
    actions.add_parser("hash", help="read a key from standard input and print its SHA-256")
    command("models", "List the names that can be called.", calling, answering)
    it = command("health", "Tell whether the resolver serves. For container health checks: no token needed.", calling)
    it.add_argument(
        "--service",
        metavar="NAME",
        default=default("service", "readiness"),
        help="readiness, liveness, or '' for the server as a whole (default: readiness)",
    )
    return parser


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
