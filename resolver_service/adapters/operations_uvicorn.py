"""What operators' tools ask over HTTP, on an address of its own: `/metrics`, `/healthz`, `/readyz`."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any, TypeAlias

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Answer: TypeAlias = tuple[int, str, bytes]
"""Status, content type, content."""

_JSON = "application/json"
_OK: Answer = (200, _JSON, b'{"status":"ok"}')
_UNAVAILABLE: Answer = (503, _JSON, b'{"status":"unavailable"}')
_NOT_FOUND: Answer = (404, _JSON, b'{"error":"there is /metrics, /healthz and /readyz"}')
_NOT_ALLOWED: Answer = (405, _JSON, b'{"error":"these are asked by GET"}')


class Operations:
    """The ASGI application. Three paths need no framework, which would take 3 MiB and 30 ms of every start."""

    def __init__(self, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._is_ready = is_ready

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        status, kind, content = await self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % len(content)),
            (b"date", formatdate(usegmt=True).encode()),
            *([(b"allow", b"GET, HEAD")] if status == 405 else []),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, method: str, path: str) -> Answer:
        if path not in {"/metrics", "/healthz", "/readyz"}:
            return _NOT_FOUND
        if method not in {"GET", "HEAD"}:
            return _NOT_ALLOWED
        if path == "/metrics":
            # In a thread: thousands of names take a while, and resolves must not wait for them.
            return 200, CONTENT_TYPE_LATEST, await asyncio.to_thread(generate_latest, self._registry)
        return _OK if path == "/healthz" or self._is_ready() else _UNAVAILABLE


class OperationsServer:
    """Serves an application with uvicorn's protocol, and without its server: that would look ten times a second for
    whether it is to stop, and take a fifth of one to do so."""

    def __init__(self, app: Operations) -> None:
        self._state = ServerState()
        config = uvicorn.Config(
            app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
        )
        self._protocol = functools.partial(HttpToolsProtocol, config=config, server_state=self._state, app_state={})
        self._server: asyncio.Server | None = None

    async def serve(self, listening: socket.socket) -> None:
        """Begins to serve, and returns."""
        self._server = await asyncio.get_running_loop().create_server(self._protocol, sock=listening)

    def close(self) -> None:
        """At once: nobody waits for metrics that somebody does not read."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """Port 0 for any free one. Raises `OSError` whose `strerror` is a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(error.errno, f"--ops-listen: cannot listen on {host}:{port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
