"""The HTTP server: uvicorn's, with a start and a shutdown of our own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from edge_service.adapters.http.dealing import Dealing, Hands
from edge_service.app.draining import UnderWay

ENDING_S = 1.0
"""How long clients may take to read the error that ends their request after the grace period, before their connections
are aborted."""

_CLOSE = (b"connection", b"close")
"""Sent with each answer while draining. The server closes the connection after it, and the client's next one goes to
another edge."""


class SignalFreeServer(uvicorn.Server):
    """Leaves signals to its owner: uvicorn would end the process by the signal, not with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server(SignalFreeServer):
    """Stops in this order: it reports that it is not ready, accepts no more connections after `delay_s`, and after
    another `drain_s` ends the requests that are left with an error."""

    def __init__(
        self,
        app: ASGIApp,
        under_way: UnderWay,
        *,
        http: type[asyncio.Protocol],
        drain_s: float,
        delay_s: float,
        scheme: str = "http",
        also: str = "",
    ) -> None:
        """`scheme` and `also` are parts of the line that is printed once it serves."""
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",  # uvicorn detects it by `iscoroutinefunction`, which is false for our applications.
                http=http,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                # Never reached: uvicorn would cancel the requests, and not wait for them to answer.
                timeout_graceful_shutdown=math.ceil(drain_s + ENDING_S) + 1,
            )
        )
        self._under_way = under_way
        self._drain_s = drain_s
        self._delay_s = delay_s
        self._scheme = scheme
        self._also = also

    def stop(self) -> None:
        """Begins the shutdown; returns at once."""
        self._under_way.drain()
        self.server_state.default_headers.append(_CLOSE)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            print(f"forebay-edge: serving {self._also}HTTP on {url(listening, self._scheme)}", flush=True)

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        closing = [_CLOSE] if self._under_way.is_draining else []
        said = self.server_state.default_headers
        self.server_state.default_headers = [*(header for header in said if header is not _CLOSE), *closing]
        return ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(self._delay_s)
        later = asyncio.get_running_loop().call_later
        timers = [later(self._drain_s, self._under_way.end), later(self._drain_s + ENDING_S, self._cut_off)]
        try:
            await super().shutdown(sockets)
        finally:
            for timer in timers:
                timer.cancel()

    def _cut_off(self) -> None:
        # Aborted, since uvloop closes a transport only after all has been written, which may be never.
        for connection in list(self.server_state.connections):
            connection.transport.abort()


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a worker needs to serve at a shared address."""

    listening: socket.socket
    """Bound, but not listening yet."""
    hands: Hands
    serves: Callable[[], None]
    """Called once connections are accepted."""
    leaves: Callable[[], None]
    """Called when the worker is about to stop accepting them."""


class WorkerServer(Server):
    """The server of a worker: serves at a shared address, and prints no line."""

    def __init__(
        self,
        app: ASGIApp,
        under_way: UnderWay,
        sharing: Sharing,
        *,
        http: type[asyncio.Protocol],
        drain_s: float,
        delay_s: float,
    ) -> None:
        super().__init__(app, under_way, http=http, drain_s=drain_s, delay_s=delay_s)
        self._sharing = sharing
        self._dealing: Dealing | None = None
        self._dealt_to: Sequence[int] = ()

    def deal_to(self, workers: Sequence[int]) -> None:
        """Takes the numbers of the workers that serve now."""
        self._dealt_to = workers
        if self._dealing is not None:
            self._dealing.deal_to(workers)

    def stop(self) -> None:
        if not self.should_exit:
            super().stop()
            self._sharing.leaves()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        protocol: Any = self.config.http_protocol_class
        make = functools.partial(protocol, self.config, self.server_state, self.lifespan.state)
        self._dealing = Dealing(self._sharing.listening, self._sharing.hands, make)
        self._dealing.deal_to(self._dealt_to)
        self.servers.append(cast(asyncio.Server, self._dealing))  # It has the methods that uvicorn calls.
        if not self.should_exit:
            self._sharing.serves()


def url(listening: socket.socket, scheme: str = "http") -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
