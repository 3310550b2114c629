"""A worker's end of the connection to its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_service.adapters.workers import messages
from edge_service.adapters.workers.messages import (
    Asks,
    Fails,
    Leaves,
    Message,
    Serves,
    Serving,
    Stops,
    Tells,
)
from edge_service.domain.expositions import Family


@dataclass(frozen=True, slots=True)
class Duties:
    """What the supervisor may have a worker do."""

    stop: Callable[[], None]
    """May be called more than once."""
    deal_to: Callable[[Sequence[int]], None]
    """These workers accept connections."""
    is_ready: Callable[[], bool]
    metrics: Callable[[], tuple[Family, ...]]


class Link:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, descriptor: int) -> Link:
        """Over the socket that the supervisor has left to this process."""
        return cls(*await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor)))

    async def follow(self, duties: Duties) -> None:
        """Does what the supervisor says, for as long as there is one."""
        async for message in messages.to_worker(self._reader):
            match message:
                case Asks(id_, metrics):
                    self._tell(Tells(id_, duties.is_ready(), duties.metrics() if metrics else None))
                case Serving(slots):
                    duties.deal_to(slots)
                case Stops():
                    duties.stop()
        duties.stop()

    def serves(self) -> None:
        self._tell(Serves())

    def leaves(self) -> None:
        """Soon this worker will not accept connections any more."""
        self._tell(Leaves())

    async def aclose(self, metrics: tuple[Family, ...]) -> None:
        """Sends the last metrics, and closes the connection."""
        self._tell(Tells(0, False, metrics))
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def _tell(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(messages.frame(message))


def fail(descriptor: int, why: str) -> None:
    """Tells the supervisor why this worker cannot start. For a process without an event loop."""
    with contextlib.suppress(OSError), socket.socket(fileno=descriptor) as control:
        control.sendall(messages.frame(Fails(why)))
