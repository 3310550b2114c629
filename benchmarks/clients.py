"""Load by count: clients that ask one after the other until all is answered, so that a slow system is charged for
nothing that it did not finish. It tells when the first bytes and all further pieces of an answer arrived.

It is a process of its own, on the cores of the load: `python -m benchmarks.clients` takes its orders from stdin.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import sys
import time
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

from benchmarks import generator
from benchmarks.asking import Asked
from benchmarks.spread import percentile
from benchmarks.window import LoadError, Result

STALLED_S = 30.0
"""Without any byte for so long the load has failed."""


def run(asked: Asked, *, clients: int, count: int, answer_bytes: int, cores: tuple[int, ...]) -> Result:
    """Asks so many times in all, at least once per client. Raises `LoadError` on any error."""
    order = {"asked": asked.bytes.decode(), "host": asked.host, "clients": clients, "count": max(count, clients)}
    command = [sys.executable, "-m", "benchmarks.clients"]
    done = generator.ran(command, cores=cores, order=json.dumps({**order, "answer_bytes": answer_bytes}))
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise LoadError(last or f"the load's clients ended with status {done.returncode} and without a word")
    return Result(**json.loads(done.stdout))


@dataclass
class Tally:
    asked: bytes
    answer_bytes: int
    left: int
    """Requests that have not been sent yet."""
    whole_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    moved_at: float = 0.0


class Client(asyncio.Protocol):
    """One connection, which is kept."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._parser = httptools.HttpResponseParser(self)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport
        self._at = self._sent_at = self._first_at = self._last_at = 0.0
        self._bytes = self._pieces = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        if not self._tally.left:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._tally.left -= 1
        self._first_at = self._last_at = 0.0
        self._bytes = self._pieces = 0
        self._sent_at = time.perf_counter()
        self._transport.write(self._tally.asked)

    def data_received(self, data: bytes) -> None:
        self._at = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        self._bytes += len(body)
        if self._last_at == self._at:
            return
        if self._pieces:
            self._tally.gaps_s.append(self._at - self._last_at)
        else:
            self._first_at = self._at
        self._pieces += 1
        self._last_at = self._at

    def on_message_complete(self) -> None:
        tally = self._tally
        if self._parser.get_status_code() != 200 or self._bytes < tally.answer_bytes:
            self._fail(f"answered with {self._parser.get_status_code()} and {self._bytes} bytes")
            return
        tally.moved_at = self._at
        tally.whole_s.append(self._at - self._sent_at)
        tally.first_s.append(self._first_at - self._sent_at)
        tally.pieces.append(self._pieces)
        self._ask()

    def _fail(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(LoadError(reason))
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(LoadError(f"the connection was closed: {error}"))


async def ask(tally: Tally, host: str, clients: int) -> Result:
    """Raises `LoadError`."""
    name, _, port = host.rpartition(":")
    loop = asyncio.get_running_loop()
    began_at = tally.moved_at = time.perf_counter()
    made = [await loop.create_connection(lambda: Client(tally), name, int(port)) for _ in range(clients)]
    waiting = asyncio.gather(*(client.ended for _, client in made))
    while not waiting.done():
        await asyncio.wait([waiting], timeout=1.0)
        if time.perf_counter() - tally.moved_at > STALLED_S:
            raise LoadError(f"nothing was answered for {STALLED_S:.0f} s")
    await waiting
    return Result(
        requests=len(tally.whole_s),
        seconds=tally.moved_at - began_at,
        p50_s=percentile(tally.whole_s, 50),
        p99_s=percentile(tally.whole_s, 99),
        first_s=percentile(tally.first_s, 50),
        gap_s=percentile(tally.gaps_s, 99) if tally.gaps_s else 0.0,
        pieces=percentile(tally.pieces, 50),
    )


def main() -> None:
    order = json.load(sys.stdin)
    tally = Tally(order["asked"].encode(), order["answer_bytes"], order["count"])
    gc.disable()  # Its pauses would be in the latencies.
    try:
        result = uvloop.run(ask(tally, order["host"], order["clients"]))
    except (LoadError, OSError) as error:
        sys.exit(str(error))
    json.dump(dataclasses.asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
