"""The edge's own HTTP server in front of small applications, and connections on which anything can be said to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient, ClientGoneError, read_body
from edge_service.adapters.http.protocol import Bounds, protocol

POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
BODY = b'{"model": "chat", "messages": []}'
WHOLE = POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


class Echo:
    """An application that answers with the body, and notes whose body never came."""

    def __init__(self) -> None:
        self.served = 0
        self.gone = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive)
        except ClientGoneError:
            self.gone += 1
            return
        self.served += 1
        self.headers = list(scope["headers"])
        await AsgiClient(send).respond(200, [], body)


class Wire:
    """What there is between a client and the protocol: here nothing. `test_clients_tls` has another."""

    client: ssl.SSLContext | None = None

    def protocol(self, bounds: Bounds) -> type[asyncio.Protocol]:
        return protocol(bounds)

    def secure(self, client: socket.socket) -> socket.socket:
        """Blocks while hands are shaken."""
        return client


wire = Wire()


async def opened(port: int, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=wire.client, **options)


@contextlib.asynccontextmanager
async def serving(app: Echo, bounds: Bounds, send_buffer_bytes: int = 0) -> AsyncIterator[int]:
    """The port where the application is served."""
    http = wire.protocol(bounds)
    config = uvicorn.Config(app, http=http, ws="none", lifespan="off", log_config=None, log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if send_buffer_bytes:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        server.config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await server.shutdown([listening])


async def exchange(port: int, *parts: bytes, pause_s: float = 0.0, until_closed: bool = True) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    reader, writer = await opened(port)
    try:
        with contextlib.suppress(ConnectionError):  # The answer may have come, and with it the end.
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
        async with asyncio.timeout(20):
            return await reader.read(-1 if until_closed else 65536)
    finally:
        writer.close()


@dataclass
class Talk:
    """A connection of which nothing is awaited."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next one, with the length that its head tells."""
        async with asyncio.timeout(20):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if line)
            content = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split(" ")[1]), headers, content

    async def rest(self) -> bytes:
        """What comes up to the end of the connection."""
        async with asyncio.timeout(20):
            return await self.reader.read(-1)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Talk]:
    reader, writer = await opened(port)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


SHORT = Bounds(head_s=0.3, body_idle_s=0.3, body_s=0.8)
HUGE = b"y" * 40_000
