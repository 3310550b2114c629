"""Scripts of providers that do not do what they should."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from tests.support.faulty_upstream import Connection, Script, completion, delta

PING = b": ping\n\n"


class Holds:
    """A provider that says this much of an answer in chunks, and then waits until it is left."""

    def __init__(self, *events: bytes, head: bool = True, pings_s: float = 0.0) -> None:
        self.called = asyncio.Event()
        """It was called, and has said what it has to say."""
        self.left = asyncio.Event()
        """Its client has closed the connection."""
        self._events = events
        self._head = head
        self._pings_s = pings_s

    async def __call__(self, connection: Connection) -> None:
        try:
            if self._head:
                await connection.head(200, "text/event-stream", transfer_encoding="chunked")
            for event in self._events:
                await connection.chunk(event)
            self.called.set()
            pinging = asyncio.create_task(self._ping(connection)) if self._pings_s else None
            await connection.gone()
            if pinging is not None:
                pinging.cancel()
        finally:
            self.left.set()

    async def _ping(self, connection: Connection) -> None:
        while True:
            await connection.chunk(PING)
            await asyncio.sleep(self._pings_s)

    async def is_left(self) -> None:
        """Waits until nobody waits for it any more. Raises `TimeoutError`."""
        async with asyncio.timeout(20):
            await self.left.wait()


def hangs() -> Holds:
    """A provider that takes the request and says nothing at all."""
    return Holds(head=False)


def cut(body: bytes, framing: str, *, stream: bool) -> Script:
    """A provider that closes the connection after this much of a body, as if there were more. With `close` nobody can
    tell that there was."""

    async def script(connection: Connection) -> None:
        kind = "text/event-stream" if stream else "application/json"
        if framing == "chunked":
            await connection.head(200, kind, transfer_encoding="chunked")
            if body:
                await connection.chunk(body)
        elif framing == "within a chunk":
            await connection.head(200, kind, transfer_encoding="chunked")
            await connection.raw(b"%x\r\n" % (len(body) + 10), body)
        elif framing == "content-length":
            await connection.head(200, kind, content_length=str(len(body) + 10))
            await connection.raw(body)
        else:
            await connection.head(200, kind)
            await connection.raw(body)
        connection.writer.close()

    return script


def streams(*events: bytes) -> Script:
    """A provider that streams this, and ends the body properly."""

    async def script(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(*(event for event in events if event), b"")

    return script


class Waits:
    """A provider that streams the first events, and the others once `seen` is set: by whoever has got the first."""

    def __init__(self, first: Sequence[bytes], others: Sequence[bytes]) -> None:
        self.seen = asyncio.Event()
        self._first, self._others = first, others

    async def __call__(self, connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(*self._first)
        await self.seen.wait()
        await connection.chunk(*self._others, b"")


def answers(status: int, content: bytes, **headers: str) -> Script:
    """A provider that answers this, whatever it is asked."""

    async def script(connection: Connection) -> None:
        await connection.answer(status, content, **headers)

    return script


def error(message: str = "no", **fields: object) -> bytes:
    """An error's body, as OpenAI's API has it."""
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None, **fields}}).encode()


async def breaks_off(connection: Connection) -> None:
    """A provider that takes the request and hangs up."""
    connection.writer.close()


def trickles(parts: Sequence[bytes], pause_s: float = 0.0) -> Script:
    """A provider that streams this in these pieces, each in a packet of its own as far as that can be had."""

    async def script(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        for part in parts:
            await connection.chunk(part)
            await asyncio.sleep(pause_s)
        await connection.chunk(b"")

    return script


HALF = delta(content="half an ans")
ROLE = delta(role="assistant", content="")
WHOLE = completion("a whole answer")
