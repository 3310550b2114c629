"""A request's whole way through the edge, over real sockets: from a client's connection to a provider's and back, all
in one process and one event loop. Of the client and the provider it has as little as can be."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from uvicorn.server import ServerState

from benchmarks import nginx
from benchmarks.edge_paths import SMALL, STREAMED, Resolver, log
from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.serving import Conversations, Serving
from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry
from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.calls import Calls
from edge_service.adapters.upstream.pool import Pool
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Services
from edge_service.dialects.asked import OPENAI, chat_completion
from edge_service.domain.plan import Attempt


class Provider(asyncio.Protocol):
    """Answers everything with the same."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)


class Client(asyncio.Protocol):
    """Asks once at a time, and takes what ends as it should for an answer."""

    def __init__(self, request: bytes, end: bytes) -> None:
        self._request, self._end = request, end
        self._transport: Any = None
        self._got = b""
        self._answered: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._got.endswith(self._end):
            self._answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectionError(f"the edge hung up after {self._got[:300]!r}"))

    async def ask(self) -> None:
        self._got = b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        await self._answered


def _request(body: bytes) -> bytes:
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
    return f"{head}user-agent: counted\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _answer(kind: str, *chunks: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nserver: counted\r\n"
    if len(chunks) == 1:
        return f"{head}content-length: {len(chunks[0])}\r\n\r\n".encode() + chunks[0]
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + b"".join(map(_chunk, [*chunks, b""]))


def _chunk(chunk: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(chunk), chunk)


async def _connected(body: bytes, answer: bytes, end: bytes) -> Client:
    """A client of an edge that asks such a provider; they are there for as long as the event loop."""
    loop = asyncio.get_running_loop()
    provider = await loop.create_server(lambda: Provider(answer), "127.0.0.1", 0)
    port = provider.sockets[0].getsockname()[1]
    attempt = Attempt("p/m#0", "p", "openai", f"http://127.0.0.1:{port}/v1", "upstream-model", "", allow_private=True)
    resolver: Any = Resolver((attempt,))
    estimator: Any = None
    upstream = Calls(Pool(ssl.create_default_context(), Guard()), lambda reference: "")
    telemetry = PrometheusTelemetry(CollectorRegistry(), resolver, log().write)
    services = Services(resolver, upstream, time.perf_counter, time.time, telemetry, estimator)
    app = Conversations(Serving(Gateway(services), UnderWay()), chat_completion, OPENAI)
    made = protocol(Bounds())
    config = uvicorn.Config(
        app, interface="asgi3", http=made, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    state = ServerState()
    edge = await loop.create_server(lambda: made(config, state, {}), "127.0.0.1", 0)
    address = edge.sockets[0].getsockname()
    _, client = await loop.create_connection(lambda: Client(_request(body), end), *address)
    return client


def _over_sockets(body: bytes, answer: bytes, end: bytes) -> Callable[[], Awaitable[None]]:
    clients: list[Client] = []

    async def ask() -> None:
        if not clients:
            clients.append(await _connected(body, answer, end))
        await clients[0].ask()

    return ask


def paths() -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Each goes its way once."""
    completion, events = nginx.completion(), nginx.events(50)
    return {
        "edge: from socket to socket, JSON": _over_sockets(SMALL, _answer("application/json", completion), b"}"),
        "edge: from socket to socket, 50 events": _over_sockets(
            STREAMED, _answer("text/event-stream", *events), nginx.DONE
        ),
    }
