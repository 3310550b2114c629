"""Deals connections out to several workers as evenly as can be.

The kernel picks a listening socket by a hash of the addresses: of 32 clients that keep their connections one of two
workers often gets twenty. So the worker that accepts a connection passes it on to the next one in turn, itself
included.
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
"""Connections that are accepted in a row before the event loop goes on."""
PAUSE_S = 1.0
"""How long to wait when the system has no more descriptors."""

_log = structlog.get_logger("forebay.edge.http")


@dataclass(frozen=True, slots=True)
class Hands:
    """The sockets by which workers pass connections to each other, by worker."""

    own: int
    receiving: socket.socket
    giving: Sequence[socket.socket]


class Dealing:
    """Accepts connections, in the place of an `asyncio.Server`. Until `deal_to` is called it keeps all of them."""

    def __init__(self, listening: socket.socket, hands: Hands, make: Callable[[], asyncio.Protocol]) -> None:
        """`make` makes the protocol of a connection."""
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
        """These accept connections."""
        self._others = [each for each in workers if each != self._hands.own]
        self._turn = 0

    def close(self) -> None:
        """Accepts no more. What others have dealt is still taken."""
        if self._pausing is not None:
            self._pausing.cancel()
        if self._listening.fileno() != -1:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    async def wait_closed(self) -> None:
        """As `asyncio.Server` has it. What is dealt from here on is for the worker that replaces this one."""
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
            # One that has too many to take already leaves it here.
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
