"""A pool of connections to providers: idle ones are used again, new ones are made."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from edge_service.adapters.upstream.addresses import ConnectError, Guard, first_of
from edge_service.adapters.upstream.answer import Answer
from edge_service.adapters.upstream.connection import Connection
from edge_service.domain.bodies import Body
from edge_service.domain.egress import Address

IDLE_S = 30.0
"""How long an idle connection is kept, if its provider does not say that it keeps it for less."""
MARGIN_S = 1.0
"""How much sooner than the provider an idle connection is closed."""
AGE_S = 600.0
"""The age from which a connection is not used again: names get other addresses."""
MOST_IDLE = 256
"""For each origin."""
SWEEP_S = 5.0


class Origin(NamedTuple):
    is_tls: bool
    host: str
    """A name, or an address without brackets."""
    port: int
    allow_private: bool
    """Kept apart, so that a provider which may not be at a private address never gets the connection of one which
    may."""


class Pool:
    """One connection for each request under way, and some idle ones for each origin."""

    def __init__(self, context: ssl.SSLContext, guard: Guard) -> None:
        self._context = context
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, origin: Origin, head: bytes, body: Body, connect_s: float | None) -> Answer:
        """Sends a request and waits for the head of the answer. Raises `ConnectError`, `UnreachableError` if the egress
        rule refuses, or `ConnectionBrokenError`."""
        connection = self._waiting(origin) or await self._connected(origin, connect_s)
        answer = connection.send(head, body)
        try:
            await answer.head_is_there
        except BaseException:
            answer.close()
            raise
        return answer

    async def aclose(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # Their sockets are closed in the next turn of the loop.

    def _waiting(self, origin: Origin) -> Connection | None:
        """The idle connection that was used last, so that the others can expire."""
        idle = self._idle.get(origin)
        now = self._loop.time()
        while idle:
            connection = idle.pop()
            if now < connection.expires_at and connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _connected(self, origin: Origin, connect_s: float | None) -> Connection:
        async def connect(address: Address) -> Connection:
            try:
                _, connection = await self._loop.create_connection(
                    partial(Connection, self._loop, release, self._open.discard),
                    str(address),
                    origin.port,
                    ssl=self._context if origin.is_tls else None,
                    server_hostname=origin.host if origin.is_tls else None,
                )
            except OSError as error:  # Of which ssl.SSLError is one.
                raise ConnectError(str(error)) from error
            self._open.add(connection)
            return connection

        release: Callable[[Connection], None] = partial(self._release, origin)
        try:
            async with asyncio.timeout(connect_s):
                addresses = await self._guard.allowed(origin.host, origin.port, allow_private=origin.allow_private)
                return await first_of(connect, _abort, addresses)
        except TimeoutError as error:
            raise ConnectError("no connection in time") from error

    def _release(self, origin: Origin, connection: Connection) -> None:
        now = self._loop.time()
        keep_s = IDLE_S if connection.keep_s is None else min(IDLE_S, connection.keep_s - MARGIN_S)
        connection.expires_at = min(now + keep_s, connection.opened_at + AGE_S)
        idle = self._idle.setdefault(origin, [])
        if connection.expires_at <= now or len(idle) >= MOST_IDLE:
            connection.abort()
            return
        idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Closes idle connections that have expired."""
        self._sweeper = None
        now = self._loop.time()
        for origin, idle in list(self._idle.items()):
            kept = [connection for connection in idle if now < connection.expires_at and not connection.is_closed]
            for connection in idle:
                if connection not in kept:
                    connection.abort()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        if self._idle:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


async def _abort(connection: Connection) -> None:
    connection.abort()
