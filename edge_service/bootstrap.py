"""Wires the edge and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from edge_service.adapters import telemetry_structlog
from edge_service.adapters.credentials_local import LocalCredentials
from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.routes import http_error, internal_error, routes
from edge_service.adapters.http.shedding import Shedding
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.adapters.transport_httpcore2 import Transport, ssl_context
from edge_service.adapters.upstream_httpx2 import Httpx2Upstream
from edge_service.app.gateway import Gateway
from edge_service.app.walk import Services
from edge_service.settings import Settings


def create_app(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> Starlette:
    """The application. To be called where an event loop runs; its lifespan closes what it opened."""
    transport = transport or Transport(ssl_context(settings.upstream_ca))
    credentials = LocalCredentials(settings.environment, settings.credential_names)
    resolver = ResolverClient(settings.resolvers, settings.token)
    upstream = Httpx2Upstream(transport, credentials.secret)
    gateway = Gateway(Services(resolver, upstream, clock=time.perf_counter, wall_clock=time.time))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await resolver.aclose()
            await transport.aclose()

    return Starlette(
        middleware=[Middleware(Shedding, most=settings.max_concurrent)],
        routes=routes(gateway, resolver, lambda: resolver.is_ready),
        exception_handlers={HTTPException: http_error, Exception: internal_error},
        lifespan=lifespan,
    )


class Server(uvicorn.Server):
    """Says where it serves, and leaves signals to `serve`: uvicorn would end by the signal, not with status 0."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            host, port = listening.getsockname()[:2]
            print(f"forebay-edge: serving HTTP on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `OSError` if the address cannot be listened on, or `TrustError`."""
    telemetry_structlog.configure()
    _allow_open_files()
    listening = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        create_app(settings),
        http=protocol(Bounds(stall_s=settings.client_stall_s)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    server = Server(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await server.serve([listening])


def _allow_open_files() -> None:
    """Each request under way takes two: as many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setblocking(False)
    return listening
