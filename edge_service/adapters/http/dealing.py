"""Distributes connections evenly over the workers.

Where several sockets listen at one address, the kernel chooses between them by a hash of the client's address: of 32
clients that keep their connections, one of two workers often gets twenty. So the worker that accepts a connection
passes it on to the next worker in turn, itself included.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge_service.adapters.http.listening import BACKLOG

AT_A_TIME = 64
"""Connections that are accepted in a row before the event loop serves others."""
PAUSE_S = 1.0
"""How long no connections are accepted after the system has refused one, mostly for lack of file descriptors."""

_log = structlog.get_logger("forebay.edge.http")


@dataclass(frozen=True, slots=True)
class Hands:
    """The Unix sockets over which workers pass connections to one another."""

    own: int
    """The number of this worker."""
    receiving: socket.socket
    giving: Sequence[socket.socket]
    """By the number of the worker that receives."""


class Dealing:
    """Accepts connections, in place of an `asyncio.Server`. Until `deal_to` is called it keeps all of them."""

    def __init__(self, listening: socket.socket, hands: Hands, make: Callable[[], asyncio.Protocol]) -> None:
        """`make` returns the protocol for a new connection."""
        self._listening = listening
        self._hands = hands
        self._make = make
        self._others: Sequence[int] = ()
        self._turn = 0
        self._beginning: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        listening.listen(BACKLOG)
        self._loop.add_reader(listening, self._accept)
        self._loop.add_reader(hands.receiving, self._receive)

    def deal_to(self, workers: Sequence[int]) -> None:
        """Takes the numbers of the workers that serve now, this one among them."""
        self._others = [each for each in workers if each != self._hands.own]
        self._turn = 0

    def close(self) -> None:
        """Accepts no more connections, but still takes those that other workers pass on."""
        if self._pausing is not None:
            self._pausing.cancel()
        if self._listening.fileno() != -1:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    async def wait_closed(self) -> None:
        """As of `asyncio.Server`. Connections that are passed on from now on are left to the worker that replaces this
        one, which has the same sockets."""
        self._loop.remove_reader(self._hands.receiving)
        await asyncio.gather(*self._beginning, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.error("accepting_paused", why=error.strerror)
                self._loop.remove_reader(self._listening)
                self._pausing = self._loop.call_later(PAUSE_S, self._loop.add_reader, self._listening, self._accept)
                return
            self._deal(connection)

    def _deal(self, connection: socket.socket) -> None:
        turn, self._turn = self._turn, (self._turn + 1) % (len(self._others) + 1)
        if turn:
            # If the other worker's queue is full, this one serves the connection itself.
            with contextlib.suppress(OSError):
                socket.send_fds(self._hands.giving[self._others[turn - 1]], [b"\0"], [connection.fileno()])
                connection.close()
                return
        self._serve(connection)

    def _receive(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                content, descriptors, _, _ = socket.recv_fds(self._hands.receiving, 1, 1)
            except BlockingIOError:
                return
            except OSError as error:
                _log.error("accepting_paused", why=error.strerror)
                return
            if not content:
                self._loop.remove_reader(self._hands.receiving)  # Nobody is left who could deal.
                return
            for descriptor in descriptors:
                self._serve(socket.socket(self._listening.family, socket.SOCK_STREAM, 0, fileno=descriptor))

    def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        beginning = self._loop.create_task(self._loop.connect_accepted_socket(self._make, connection))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._has_begun)

    def _has_begun(self, beginning: asyncio.Task[object]) -> None:
        self._beginning.discard(beginning)
        if not beginning.cancelled() and isinstance(error := beginning.exception(), OSError):
            _log.info("connection_lost_at_once", why=error.strerror)
