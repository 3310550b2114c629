"""`make run`: resolver, edge, and a small real model at two providers, all children of one parent.

    python -m examples.quickstart [--config FILE]

With a configuration of your own no model is started.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import socket
import string
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from examples.children import ChildError, Children, say, until_told_to_stop
from examples.local_model import NAME, NotInstalledError, find_weights

TEMPLATE = Path(__file__).with_name("quickstart.yaml")

READY_S = 60.0
DRAIN_S = 5
"""Whoever presses Ctrl-C does not want to wait for the edge's usual 30 s."""

LISTEN = {
    "resolver": ("FOREBAY_RESOLVER_LISTEN", "127.0.0.1:8401"),
    "edge": ("FOREBAY_EDGE_LISTEN", "127.0.0.1:8400"),
    "edge's metrics server": ("FOREBAY_EDGE_OPS_LISTEN", "127.0.0.1:8402"),
    "resolver's metrics server": ("FOREBAY_RESOLVER_OPS_LISTEN", "127.0.0.1:8403"),
}
"""The environment variable that says where each of them listens, and where it does if it says nothing."""


class CannotStartError(Exception):
    """Something is in the way. The text says what to do about it."""


def main() -> None:
    given = _arguments()
    try:
        if given.config is None:
            find_weights()
        check_addresses()
        ended = asyncio.run(until_told_to_stop(run(given.config)))
    except NotInstalledError as error:
        sys.exit(f"quickstart: {error}: start with 'make run', or give a configuration of your own with --config FILE")
    except CannotStartError as error:
        sys.exit(f"quickstart: {error}")
    except ChildError as error:
        sys.exit(f"\nquickstart: {error}\nEverything else has been stopped.")
    if not ended:
        say("Stopped.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.quickstart",
        description="Runs a resolver, an edge, and a small real model at two providers.",
        epilog="The services' own environment variables hold here too: FOREBAY_EDGE_LISTEN=127.0.0.1:9000, and so on.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="a configuration of your own, instead of the model")
    return parser.parse_args()


def check_addresses() -> None:
    """Raises `CannotStartError` if a service would find its port in use. Any other trouble is the service's to tell."""
    taken, remedy = [], []
    for service, (variable, default) in LISTEN.items():
        address = os.environ.get(variable, default)
        if _is_in_use(address):
            taken.append(f"{address}, where the {service} is to listen, is in use by another program.")
            remedy.append(f"{variable}=127.0.0.1:0")
    if taken:
        raise CannotStartError(
            "\n".join(taken)
            + f"\nStop that program (another 'make run'?) or listen elsewhere:  {' '.join(remedy)} make run"
            + "\nPort 0 stands for any free one."
        )


def _is_in_use(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except (OSError, ValueError) as error:
        return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return False


async def run(config: Path | None) -> None:
    """Starts everything, says how to use it, and watches over it. Raises `ChildError` when one of them ends."""
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="forebay-") as directory:
        async with Children() as children, httpx2.AsyncClient(trust_env=False, timeout=READY_S) as client:
            own = config is not None
            if config is None:
                say(f"Starting two servers of {NAME}, a resolver and an edge ...")
                config = await start_models(children, client, Path(directory))
            resolver, edge = await start_services(children, config)
            names = await callable_names(children, client, edge)
            ready_s = time.monotonic() - started_at
            say(welcome(edge, resolver, config, names, ready_s=ready_s, own=own))
            await children.watch("resolver", "edge")


async def start_models(children: Children, client: httpx2.AsyncClient, directory: Path) -> Path:
    """Two model servers, which have answered a first request; a configuration with their addresses in it."""
    threads = str(max(1, min(4, (os.cpu_count() or 2) // 2)))
    servers = [
        await children.start(name, "examples.local_model", "--threads", threads, environment=os.environ)
        for name in ("local-a", "local-b")
    ]
    urls = [await server.serving() for server in servers]
    for url in urls:
        await _probe(children, client, url)
    config = directory / "forebay.yaml"
    config.write_text(string.Template(TEMPLATE.read_text()).substitute(LOCAL_A=urls[0], LOCAL_B=urls[1]))
    return config


async def _probe(children: Children, client: httpx2.AsyncClient, url: str) -> None:
    """One token, from the provider itself: asking through the edge would take somebody's turn."""
    question = {"model": NAME, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    try:
        response = await client.post(f"{url}/v1/chat/completions", json=question)
    except httpx2.TransportError as error:
        children.check()
        raise CannotStartError(f"the model server at {url} does not answer: {error}") from error
    if response.status_code != 200:
        raise CannotStartError(f"the model server at {url} answers {response.status_code}: {response.text[:500]}")


async def start_services(children: Children, config: Path) -> tuple[str, str]:
    """Where the resolver serves, and the URL of the edge."""
    resolver = await children.start("resolver", "resolver_service", "--config", str(config), environment=os.environ)
    address = await resolver.serving()
    flags = ("--resolver", address, "--drain", str(DRAIN_S))
    edge = await children.start("edge", "edge_service", *flags, environment=os.environ)
    return address, await edge.serving()


async def callable_names(children: Children, client: httpx2.AsyncClient, edge: str) -> list[str] | None:
    """What the edge lists, as soon as it says that it can serve; None if it lists nothing to who has no key."""
    give_up_at = time.monotonic() + READY_S
    while (listing := await _listing(client, edge)) is None:
        children.check()
        if time.monotonic() > give_up_at:
            raise CannotStartError(f"the edge at {edge} is not ready after {READY_S:.0f} s")
        await asyncio.sleep(0.05)
    return None if listing.status_code == 401 else [model["id"] for model in listing.json()["data"]]


async def _listing(client: httpx2.AsyncClient, edge: str) -> httpx2.Response | None:
    """The names, or the refusal of who has no key; None if the edge cannot serve yet."""
    try:
        ready = await client.get(f"{edge}/readyz")
        models = await client.get(f"{edge}/v1/models")
    except httpx2.TransportError:
        return None
    return models if ready.is_success and (models.is_success or models.status_code == 401) else None


def welcome(edge: str, resolver: str, config: Path, names: list[str] | None, *, ready_s: float, own: bool) -> str:
    """What a newcomer wants to know, in a form that can be pasted into a shell."""
    # Where the configuration is not ours, its first name is as good as any.
    known = names or []
    model = "chat" if "chat" in known else next(iter(known), "NAME")
    key = " -H 'authorization: Bearer KEY'" if names is None else ""
    listed = "those that the key's client may call" if names is None else ", ".join(known) or "none"
    who = "The header x-forebay-target says which provider served" + ("." if own else ": ask twice, they take turns.")
    return f"""
Forebay is ready, after {ready_s:.1f} s: the edge at {edge}, the resolver at {resolver}.

Ask for an answer in one piece. {who}

  curl -si {edge}/v1/chat/completions -H 'content-type: application/json'{key} \\
    -d '{{"model":"{model}","messages":[{{"role":"user","content":"Say hello."}}]}}'

Or for one that comes as it is made:

  curl -sN {edge}/v1/chat/completions -H 'content-type: application/json'{key} \\
    -d '{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Tell me about rivers."}}]}}'

Names to call    {listed}
                 {edge}/v1/models lists them.
Configuration    {config}
                 A change to this file takes effect at once.
To stop          Ctrl-C
"""


if __name__ == "__main__":
    main()
