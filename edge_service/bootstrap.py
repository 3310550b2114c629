"""Wires the edge and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from edge_service.adapters import telemetry_structlog
from edge_service.adapters.credentials_local import LocalCredentials
from edge_service.adapters.http.routes import http_error, internal_error, routes
from edge_service.adapters.http.server import Server
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.adapters.upstream_httpx2 import Httpx2Upstream, stock_transport
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.walk import Services
from edge_service.settings import Settings


def create_app(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None = None, under_way: UnderWay | None = None
) -> Starlette:
    """The application. To be called where an event loop runs; its lifespan closes what it opened."""
    transport = transport or stock_transport()
    under_way = under_way or UnderWay()
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
        routes=routes(gateway, resolver, under_way, lambda: resolver.is_ready and not under_way.is_draining),
        exception_handlers={HTTPException: http_error, Exception: internal_error},
        lifespan=lifespan,
    )


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `OSError` if the address cannot be listened on."""
    telemetry_structlog.configure()
    _allow_open_files()
    listening = _listen(settings.host, settings.port)
    under_way = UnderWay()
    app = create_app(settings, under_way=under_way)
    server = Server(app, under_way, drain_s=settings.drain_s, delay_s=settings.drain_delay_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
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
