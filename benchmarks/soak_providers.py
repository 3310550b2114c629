"""The providers of the soak, in a process of their own: `python -m benchmarks.soak_providers`.

Each misbehaves in one way, now and then, and counts what it did. It prints where they listen, and answers on the port
called `control`: `/counts` tells what was counted so far, `/hang-up` closes the connections on which nothing goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.faulty_upstream import DONE, Connection, completion, delta, provider, refuses

CONTROL = "control"
FILLER = "word " * 800
"""An event's text of some 4 KiB: what makes a stream long."""
LONG_EVENTS = 64
SLOWLY_S = 0.15
"""Until a slow provider says anything."""

Fault = Callable[[Connection], Awaitable[None]]


@dataclass
class Scripted:
    """A provider, and what it did."""

    fault: Fault | None = None
    every: int = 1
    """Which calls meet the fault: every third, for instance. Never so many in a row that the provider is put out of
    service for long: then nothing would happen any more."""
    waits_s: float = 0.0
    events: int = 5
    text: str = "hello "
    counts: Counter[str] = field(default_factory=Counter)
    idle: set[asyncio.StreamWriter] = field(default_factory=set)
    """Connections on which a call has been answered and no other has come."""

    async def __call__(self, connection: Connection) -> None:
        self.idle.discard(connection.writer)
        self.counts["calls"] += 1
        if self.fault is not None and self.counts["calls"] % self.every == 0:
            self.counts["faults"] += 1
            self.counts["streams cut"] += self.fault is _cut and bool(connection.call.json.get("stream"))
            await self.fault(connection)
        else:
            try:
                await self._answer(connection)
            except ConnectionError:
                self.counts["broken off"] += 1
                raise
            self.counts["served"] += 1
        self.idle.add(connection.writer)

    async def _answer(self, connection: Connection) -> None:
        await asyncio.sleep(self.waits_s)
        if not connection.call.json.get("stream"):
            await connection.answer(200, completion(self.text * self.events))
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(role="assistant", content=""))
        for _ in range(self.events):
            await connection.chunk(delta(content=self.text))
            await asyncio.sleep(0)
        await connection.chunk(delta(finish_reason="stop"), DONE, b"")


async def _cut(connection: Connection) -> None:
    """Says that all is well, and breaks off: in a stream after content, else in the middle of the answer."""
    if connection.call.json.get("stream"):
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="half a "))
    else:
        await connection.head(200, content_length="1000")
        await connection.raw(b'{"choices": [')
    connection.writer.close()


async def _hang(connection: Connection) -> None:
    await connection.gone()


_GARBAGE = itertools.cycle(
    [
        b"\x00\xff\x16 this is not HTTP\r\n\r\n",
        # Told that the connection closes: one that closes unannounced is found closed by the next request now and then.
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: {\xff\n\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nhello",
    ]
)


async def _garbage(connection: Connection) -> None:
    await connection.raw(next(_GARBAGE))
    connection.writer.close()


def scripted() -> dict[str, Scripted]:
    return {
        "calm-a": Scripted(),
        "calm-b": Scripted(),
        "limited": Scripted(refuses(429, retry_after="1"), every=3),
        "overloaded": Scripted(refuses(503, retry_after="1"), every=3),
        "slow": Scripted(waits_s=SLOWLY_S),
        "cut": Scripted(_cut, every=3),
        "silent": Scripted(_hang, every=10),
        "garbage": Scripted(_garbage, every=3),
        "long": Scripted(events=LONG_EVENTS, text=FILLER),
        "left": Scripted(waits_s=SLOWLY_S, events=LONG_EVENTS, text=FILLER),
    }


async def serve() -> None:
    they = scripted()

    async def control(connection: Connection) -> None:
        if connection.call.path.endswith("/hang-up"):
            for each in they.values():
                for writer in each.idle:
                    writer.close()
                each.idle.clear()
        counts = {name: dict(+each.counts) for name, each in they.items()}
        await connection.answer(200, json.dumps(counts).encode())

    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for name, script in {**they, CONTROL: control}.items():
            it = await stack.enter_async_context(provider(script))
            it.calls = _Nowhere()
            ports.append(f"{name}={it.url}")
        print(f"soak providers: serving on {','.join(ports)}", flush=True)
        await asyncio.Event().wait()


class _Nowhere(list[object]):
    """Keeps nothing: a soak has more calls than anyone will look at."""

    def append(self, _: object) -> None:
        pass


if __name__ == "__main__":
    # Ended by SIGTERM, as it comes.
    asyncio.run(serve())
