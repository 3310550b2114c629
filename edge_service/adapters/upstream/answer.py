"""A provider's response on its way from the connection to its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from edge_service.domain.headers import Headers

UNREAD_BYTES = 64 * 1024
"""Beyond so many unread bytes no more is read from the provider."""

Take: TypeAlias = Callable[[bytes], bool]


class ConnectionBrokenError(Exception):
    """The connection broke, or what came over it is no HTTP: the text does not quote it."""


class Line(Protocol):
    """The connection that a response comes over."""

    def resume(self) -> None:
        """More may come."""

    def abort(self) -> None:
        """Closes the connection."""


class Answer:
    """A provider's answer, while it comes."""

    __slots__ = (
        "_error",
        "_line",
        "_parts",
        "_size",
        "_take",
        "_waiter",
        "head_is_there",
        "headers",
        "is_complete",
        "status",
    )

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        self._line: Line | None = line
        self._parts: list[bytes] = []
        self._size = 0
        self._error: ConnectionBrokenError | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Take | None = None
        self.head_is_there: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: Headers = []
        """In lower case, as they came otherwise."""
        self.is_complete = False

    async def part(self) -> bytes:
        """The part of the body that has arrived since the last call; empty at its end. Raises
        `ConnectionBrokenError`."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        part = b"".join(self._parts)
        self._parts.clear()
        if self._size >= UNREAD_BYTES and self._line is not None:
            self._line.resume()
        self._size = 0
        return part

    def rest(self) -> bytes | None:
        """The rest of the body, if all of it has arrived; else None."""
        if not self.is_complete:
            return None
        rest = b"".join(self._parts)
        self._parts.clear()
        return rest

    async def pass_on(self, take: Take) -> bool:
        """Calls `take` with each part of the body as it arrives, until the body ends (True) or `take` returns False
        (False). Raises `ConnectionBrokenError`, or what `take` does."""
        if self._parts and not take(await self.part()):
            return False
        if self._error is None and not self.is_complete:
            self._take, self._waiter = take, asyncio.get_running_loop().create_future()
            try:
                if not await self._waiter:
                    return False
            finally:
                self._take = self._waiter = None
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Stops reading. If the response is not complete, its connection is closed."""
        line, self._line = self._line, None
        if line is not None:
            line.abort()
        self._parts.clear()

    # For the connection.

    def add(self, parts: list[bytes]) -> bool:
        """Takes parts of the body. Whether the connection may go on reading."""
        take, waiter = self._take, self._waiter
        if take is None or waiter is None or waiter.done():
            self._parts += parts
            self._size += sum(map(len, parts))
            self._wake()
            return self._size < UNREAD_BYTES
        try:
            if not take(b"".join(parts)):
                waiter.set_result(False)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited
            waiter.set_exception(error)
        return True

    def complete(self, parts: list[bytes]) -> None:
        """Takes the last parts. The connection may be used for another request."""
        self._line = None
        if self._take is None:
            self._parts += parts
        elif parts:
            self.add(parts)
        self.is_complete = True
        self._wake()

    def break_off(self, error: ConnectionBrokenError) -> None:
        """The connection broke before the answer was complete."""
        self._line = None
        self._error = error
        if not self.head_is_there.done():
            self.head_is_there.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)
