"""Streams that are open and say nothing, to see what each of them takes: `python -m benchmarks.holding` opens them,
says so, and keeps them until its stdin ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.asking import Asked
from benchmarks.window import LoadError

OPEN_S = 30.0
TOGETHER = 20
"""Streams that are opened at a time."""


@contextlib.contextmanager
def held(asked: Asked, count: int, cores: tuple[int, ...]) -> Iterator[None]:
    """Holds so many streams open for the time of the block; the first event of each has arrived. Raises `LoadError`."""
    command = processes.on_cores(cores, [sys.executable, "-m", "benchmarks.holding"])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        try:
            order = {"asked": asked.bytes.decode(), "host": asked.host, "count": count}
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != b"open\n":
                raise LoadError(f"streams could not be kept open: {process.stderr.read().decode()[-200:].strip()}")
            yield
        finally:
            process.kill()


async def _open(asked: bytes, host: str, at_a_time: asyncio.Semaphore) -> asyncio.StreamWriter:
    async with at_a_time:
        name, _, port = host.rpartition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise LoadError(head.decode("latin-1").partition("\r\n")[0])
        await reader.readuntil(b"data: ")
        return writer


async def hold(asked: bytes, host: str, count: int) -> None:
    """Until stdin ends."""
    at_a_time = asyncio.Semaphore(TOGETHER)
    async with asyncio.timeout(OPEN_S):
        writers = await asyncio.gather(*(_open(asked, host, at_a_time) for _ in range(count)))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for writer in writers:
        writer.transport.abort()


def main() -> None:
    order = json.loads(sys.stdin.readline())
    try:
        asyncio.run(hold(order["asked"].encode(), order["host"], order["count"]))
    except (LoadError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        sys.exit(repr(error))


if __name__ == "__main__":
    main()
