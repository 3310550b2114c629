"""How soon what one edge learns is in every edge's plans: `make bench-propagation`.

One resolver, two edges, and a name behind which provider A is preferred to provider B. Edge 2 is asked every 4 ms. A
serves it, but answers one request of edge 1's with 429. From then on A must not be in any plan.

Measured, from the moment in which A has handed the last byte of its 429 to the socket:

- until the last call that A gets through edge 2. Its plan was made before that, so that this is more than the delay
  itself: edge 2's way from the plan to the provider is in it.
- until the first request that is sent to edge 2 and, like all after it, finds A left out. It tells what a client sees,
  to 4 ms, and may be less than nothing: a request is on its way for a while before its plan is made.

Clients and providers share this process and its clock; resolver and edges are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from benchmarks import processes
from forebay.resolver.v1 import pool_admin_service_pb2, pool_admin_service_pb2_grpc
from tests.support.faulty_upstream import Connection, completion, provider, refuses
from tests.support.setup import config_text

EVERY_S = 0.004
BEFORE_S = 0.01
"""How long edge 2 is asked before the 429."""
AFTER_S = 0.02
"""How long it is asked after it, at least: until it has found the provider left out for so long."""
LONGEST_S = 5.0
GOAL_S = 0.01
WARM_UP = 10
"""Rounds that do not count."""
MOST_DISTURBED = 0.5
"""Of the rounds, before the measurement is given up."""
FIRST, SECOND = "p0/m#0", "p1/m#0"
MANAGEMENT_KEY = "propagation"
TIMEOUT_S = 5.0
LIMITED = b"to be limited"


@dataclass
class Limited:
    """Provider A: well, but for the requests that say so."""

    refused_at: float = 0.0
    called_at: list[float] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        if LIMITED in connection.call.body:
            await refuses(429, retry_after="60")(connection)
            self.refused_at = time.monotonic()
        else:
            self.called_at.append(time.monotonic())
            await _serve(connection)


async def _serve(connection: Connection) -> None:
    await connection.answer(200, completion("hello"))


@dataclass
class Edge:
    """Clients of one edge, each with a connection of its own. Plain sockets: what measures must cost little."""

    address: str
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, content: str = "hello") -> str:
        """The target that served."""
        if not self.free:
            host, _, port = self.address.removeprefix("http://").rpartition(":")
            self.free.append(await asyncio.open_connection(host, int(port)))
        reader, writer = client = self.free.pop()
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": content}]}).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        self.free.append(client)
        if "x-forebay-stale" in headers:
            raise DisturbedError("a remembered plan was used: the resolver has missed its deadline")
        return headers["x-forebay-target"]

    def close(self) -> None:
        for _, writer in self.free:
            writer.close()


@dataclass(frozen=True)
class Round:
    """What one 429 showed, in seconds after it."""

    last_call_s: float
    first_without_s: float


@dataclass(frozen=True)
class Arrangement:
    limited: Limited
    edges: tuple[Edge, Edge]
    admin: Any

    async def round(self) -> Round:
        """Raises `DisturbedError`."""
        asked: list[tuple[float, asyncio.Task[str]]] = []
        asking: asyncio.Task[None] | None = None
        try:
            await self._clear()
            self.limited.called_at.clear()
            asking = asyncio.create_task(_ask_on(self.edges[1], asked))
            await asyncio.sleep(BEFORE_S + random.uniform(0, EVERY_S))
            if (served := await self.edges[0].ask(LIMITED.decode())) != SECOND:
                raise MeasurementError(f"edge 1 was to be served by {SECOND}, not by {served}")
            async with asyncio.timeout(LONGEST_S):
                while not await _is_left_out(asked):
                    await asyncio.sleep(AFTER_S)
            asking.cancel()
            answers = [(sent_at, await task) for sent_at, task in asked]
        finally:
            if asking is not None:
                asking.cancel()
            await asyncio.gather(*(task for _, task in asked), return_exceptions=True)
        refused_at = self.limited.refused_at
        with_it = [sent_at for sent_at, target in answers if target == FIRST]
        without_it = [sent_at for sent_at, target in answers if target == SECOND]
        if not with_it or with_it[0] > refused_at:
            raise DisturbedError("edge 2 was not served before the 429")
        return Round(
            last_call_s=max(self.limited.called_at) - refused_at,
            first_without_s=min(at for at in without_it if at > with_it[-1]) - refused_at,
        )

    async def _clear(self) -> None:
        request = pool_admin_service_pb2.ClearCooldownRequest(target_id=FIRST)
        key = (("x-management-key", MANAGEMENT_KEY),)
        await self.admin.ClearCooldown(request, timeout=TIMEOUT_S, metadata=key)
        for edge in self.edges:
            if await edge.ask() != FIRST:
                raise MeasurementError("the first provider does not serve although it was cleared")


class MeasurementError(Exception):
    """Something else happened than was to be measured."""


class DisturbedError(Exception):
    """Others kept the machine so busy that a round shows nothing. It is made again."""


async def _ask_on(edge: Edge, asked: list[tuple[float, asyncio.Task[str]]]) -> None:
    while True:
        asked.append((time.monotonic(), asyncio.create_task(edge.ask())))
        await asyncio.sleep(EVERY_S)


async def _is_left_out(asked: list[tuple[float, asyncio.Task[str]]]) -> bool:
    """Whether those that were sent within the last `AFTER_S` have all found it so."""
    since = asked[-1][0] - AFTER_S
    return all([await task == SECOND for sent_at, task in asked[:] if sent_at >= since])


@contextlib.contextmanager
def _services(config: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """The resolver's address and the edges' URLs."""
    python = [sys.executable, "-m"]

    def run(name: str, *arguments: str) -> Any:
        log, environment = config.with_name(f"{name}.log"), {"FOREBAY_MANAGEMENT_KEY": MANAGEMENT_KEY}
        return processes.running([*python, *arguments], cores=(), log=log, environment=environment)

    listen = ("--listen", "127.0.0.1:0", "--ops-listen", "")
    with run("resolver", "resolver_service", "--config", str(config), *listen) as resolver:
        address = processes.address_of(resolver)
        flags = ("edge_service", "--resolver", address, *listen)
        with run("edge-1", *flags) as one, run("edge-2", *flags) as other:
            urls = processes.address_of(one), processes.address_of(other)
            for url, process in zip(urls, (one, other), strict=True):
                processes.wait_until(lambda url=url: processes.answers(f"{url}/readyz"), process)
            yield address, urls


@contextlib.asynccontextmanager
async def arranged(directory: Path) -> AsyncIterator[Arrangement]:
    limited = Limited()
    async with provider(limited) as first, provider(_serve) as second:
        config = directory / "config.yaml"
        config.write_text(config_text(first.url, second.url))
        with _services(config) as (address, urls):
            async with grpc.aio.insecure_channel(address) as channel:
                edges = (Edge(urls[0]), Edge(urls[1]))
                yield Arrangement(limited, edges, pool_admin_service_pb2_grpc.PoolAdminServiceStub(channel))
                for edge in edges:
                    edge.close()


async def measure(directory: Path, wanted: int) -> tuple[list[Round], int]:
    """The rounds, and how many more were made in vain."""
    rounds: list[Round] = []
    disturbed = 0
    async with arranged(directory) as it:
        while len(rounds) < WARM_UP + wanted:
            try:
                rounds.append(await it.round())
            except DisturbedError as error:
                disturbed += 1
                if disturbed > MOST_DISTURBED * wanted + WARM_UP:
                    raise MeasurementError(f"too many rounds were in vain, the last because {error}") from error
    return rounds[WARM_UP:], disturbed


def text(rounds: list[Round], disturbed: int) -> str:
    lines = [
        f"# Propagation: {len(rounds)} rounds, one resolver, two edges",
        "",
        "| ms after the 429 | p50 | p99 | most |",
        "| --- | --- | --- | --- |",
    ]
    for what, seconds in (
        ("last call that the target got through the other edge", [r.last_call_s for r in rounds]),
        ("first request to the other edge that found it left out", [r.first_without_s for r in rounds]),
    ):
        ranked = sorted(seconds)
        figures = (ranked[len(ranked) // 2], ranked[-1 - len(ranked) // 100], ranked[-1])
        lines.append(f"| {what} | {' | '.join(f'{s * 1000:.1f}' for s in figures)} |")
    late = sum(r.last_call_s > GOAL_S for r in rounds)
    lines += [
        "",
        f"Later than {GOAL_S * 1000:.0f} ms: {late} of {len(rounds)} (the goal: 1 in 100).",
        f"Rounds that showed nothing because the machine was too busy, and were made again: {disturbed}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.propagation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, help="how many 429s to measure (default: 500)")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds is at least 1")
    # As Ctrl-C does, so that whatever was started is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="forebay-propagation-") as name:
        try:
            print(text(*asyncio.run(measure(Path(name), given.rounds))))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except (processes.StartError, MeasurementError, TimeoutError, grpc.aio.AioRpcError) as error:
            sys.exit(f"no figures: {error!r}")


if __name__ == "__main__":
    main()
