"""Wires the edge and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx2
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from edge_service.adapters import telemetry_structlog
from edge_service.adapters.credentials_local import LocalCredentials
from edge_service.adapters.http.operations import operations_routes
from edge_service.adapters.http.routes import http_error, internal_error, routes
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry
from edge_service.adapters.upstream_httpx2 import Httpx2Upstream, stock_transport
from edge_service.app.gateway import Gateway
from edge_service.app.walk import Services
from edge_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Edge:
    """The application, and the one for operators."""

    app: Starlette
    operations: Starlette


def create(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> Edge:
    """To be called where an event loop runs. The lifespan of the application closes what it opened."""
    transport = transport or stock_transport()
    credentials = LocalCredentials(settings.environment, settings.credential_names)
    resolver = ResolverClient(settings.resolvers, settings.token)
    upstream = Httpx2Upstream(transport, credentials.secret)
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, resolver_is_up=lambda: resolver.is_ready)
    gateway = Gateway(Services(resolver, upstream, clock=time.perf_counter, wall_clock=time.time, telemetry=telemetry))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await resolver.aclose()
            await transport.aclose()

    app = Starlette(
        routes=routes(gateway, resolver, lambda: resolver.is_ready),
        exception_handlers={HTTPException: http_error, Exception: internal_error},
        lifespan=lifespan,
    )
    return Edge(app, Starlette(routes=operations_routes(registry, lambda: resolver.is_ready)))


class Server(uvicorn.Server):
    """Leaves signals to `serve`, since uvicorn would end by the signal and not with status 0; tells that it serves."""

    def __init__(self, config: uvicorn.Config, serves: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._serves = serves

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._serves()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `OSError` if the address cannot be listened on."""
    telemetry_structlog.configure()
    _allow_open_files()
    listening = _listen(settings.host, settings.port)
    operating = _listen(*settings.ops) if settings.ops else None
    edge = create(settings)
    config = uvicorn.Config(
        edge.app,
        http="httptools",
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
    operations = Server(uvicorn.Config(edge.operations, http="httptools", ws="none", lifespan="off", log_config=None))
    also = f"operations on {_url(operating)}, " if operating else ""
    server = Server(config, lambda: print(f"forebay-edge: serving {also}HTTP on {_url(listening)}", flush=True))

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving_operations = asyncio.create_task(operations.serve([operating])) if operating else None
    await server.serve([listening])
    if serving_operations is not None:
        operations.should_exit = True  # To the last: that is when operators look.
        await serving_operations


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_open_files() -> None:
    """Each request under way takes two: as many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening
