"""A TCP proxy that lets through, slows down, freezes or cuts what passes between two processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class ChaosProxy:
    """Passes everything on until told otherwise; what it is told holds for open connections too."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self.delay_s = 0.0
        """Each piece is passed on this much later, one after the other."""
        self.passed: bytearray | None = None
        """What passes is added to it, if there is one."""
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def freeze(self) -> None:
        """Connections stay open, and new ones are accepted; nothing comes through."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Every open connection is reset; new ones are served."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        host, _, port = self._target.rpartition(":")
        upstream: asyncio.StreamWriter | None = None
        try:
            there, upstream = await asyncio.open_connection(host, int(port))
            self._writers |= {writer, upstream}
            await asyncio.gather(self._pass(reader, upstream), self._pass(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # One side is gone, and with it the other; or the block is over.
        finally:
            for each in (writer, upstream):
                if each is not None:
                    self._writers.discard(each)
                    each.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._flows.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.passed is not None:
                self.passed += data
            to.write(data)
            await to.drain()
        raise ConnectionResetError("the other side has closed")

    async def aclose(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@contextlib.asynccontextmanager
async def chaos_proxy(target: str) -> AsyncIterator[ChaosProxy]:
    """A proxy to `HOST:PORT` for the time of the block."""
    proxy = ChaosProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
        await server.wait_closed()
