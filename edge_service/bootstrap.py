"""Wires the edge and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from edge_service.adapters import memory_glibc, telemetry_structlog
from edge_service.adapters.certificates_files import Files, Followed
from edge_service.adapters.credentials_local import LocalCredentials
from edge_service.adapters.expositions_prometheus import families
from edge_service.adapters.http.cors import Cors
from edge_service.adapters.http.dealing import Hands
from edge_service.adapters.http.listening import join, listen
from edge_service.adapters.http.management import management_routes
from edge_service.adapters.http.operations import operations_routes
from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.routes import Direct, http_error, internal_error, routes
from edge_service.adapters.http.server import Server, Sharing, SignalFreeServer, WorkerServer, url
from edge_service.adapters.http.shedding import Shedding
from edge_service.adapters.http.tls import Certificate, over_tls
from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.adapters.signals_posix import stop_by_signals
from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry
from edge_service.adapters.tokenizer_bpe_openai import BpeTokenizer
from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.calls import Calls
from edge_service.adapters.upstream.names import Names
from edge_service.adapters.upstream.pool import Pool
from edge_service.adapters.upstream.stock import Httpx2Upstream
from edge_service.adapters.upstream.stock_transport import Transport
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.adapters.workers.link import Duties, Link
from edge_service.app.draining import UnderWay
from edge_service.app.estimating import Estimator
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Services
from edge_service.app.ports import Upstream
from edge_service.app.record import Record
from edge_service.domain.expositions import Family
from edge_service.settings import Settings, Worker

COLLECT_AT = 10_000
"""Objects more than at the last time, until the garbage collector looks for cycles among them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The application, and the one for operators."""

    app: ASGIApp
    routed: Starlette
    """What of the application goes by routes."""
    operations: Starlette
    metrics: Callable[[], tuple[Family, ...]]
    is_ready: Callable[[], bool]


def create(settings: Settings, under_way: UnderWay, log: Callable[[Record, float], None]) -> Edge:
    """To be called where an event loop runs. The lifespan of the application closes what it opened. `log` writes
    of each request."""
    credentials = LocalCredentials(settings.environment, settings.credential_names)
    proofs = None
    if settings.resolver_ca:
        proofs = Followed(Files(settings.resolver_pair, settings.resolver_ca), is_client=True)
    names = Names()
    channels = Channels(proofs.current if proofs else None, settings.resolver_name, names.addresses)
    resolver = ResolverClient(settings.resolvers, settings.token, channels, key_required=settings.key_required)
    calling, upstream = _upstream(settings, credentials, names)
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, resolver, log)
    services = Services(
        resolver,
        upstream,
        clock=time.perf_counter,
        wall_clock=time.time,
        telemetry=telemetry,
        estimator=Estimator(BpeTokenizer()),
        heartbeat_s=settings.heartbeat_s,
    )
    gateway = Gateway(services)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        renewing = asyncio.create_task(proofs.follow(resolver.renew)) if proofs else None
        try:
            yield
        finally:
            if renewing:
                renewing.cancel()
            await resolver.aclose()
            await calling.aclose()

    def is_ready() -> bool:
        return resolver.is_ready and not under_way.is_draining

    async def is_ready_now() -> bool:
        return is_ready()

    async def exposition() -> bytes:
        return generate_latest(registry)

    serving = routes(gateway, resolver, under_way, is_ready_now)
    routed = Starlette(
        routes=[*serving, *management_routes(resolver.management, telemetry.turned_away)],
        exception_handlers={HTTPException: http_error, Exception: internal_error},
        lifespan=lifespan,
    )
    shedding = Shedding(
        routed,
        most=settings.max_concurrent,
        most_per_key=settings.max_concurrent_per_key,
        tell=telemetry.turned_away,
    )
    app: ASGIApp = Direct(shedding, serving)
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    operations = Starlette(routes=operations_routes(exposition, is_ready_now))
    for each in (routed, operations):
        each.router.redirect_slashes = False  # It redirects to wherever the Host header says.
    return Edge(app, routed, operations, functools.partial(families, registry), is_ready)


def _upstream(settings: Settings, credentials: LocalCredentials, names: Names) -> tuple[Pool | Transport, Upstream]:
    """The connections to providers, and the calls over them. Raises `TrustError`."""
    context = ssl_context(settings.upstream_ca)
    if settings.upstream_proxy:
        transport = Transport(context, settings.upstream_proxy)
        return transport, Httpx2Upstream(transport, credentials.secret)
    pool = Pool(context, Guard(names.addresses))
    return pool, Calls(pool, credentials.secret)


async def serve(settings: Settings) -> None:
    """Serves until a signal says to stop. Raises `OSError` if the address cannot be listened on, `TrustError` or
    `CertificateError`."""
    log = telemetry_structlog.configure()
    shown = Followed(Files(settings.tls)) if settings.tls else None
    certificate = Certificate(shown.current) if shown else None
    _allow_open_files()
    listening = listen(settings.host, settings.port)
    operating = listen(*settings.ops, "--ops-listen") if settings.ops else None
    under_way = UnderWay()
    edge = create(settings, under_way, log.write)
    also = f"operations on {url(operating)}, " if operating else ""
    server = Server(
        edge.app,
        under_way,
        http=_spoken(settings, certificate),
        drain_s=settings.drain_s,
        delay_s=settings.drain_delay_s,
        scheme="https" if certificate else "http",
        also=also,
    )
    stop_by_signals(server.stop)
    operations = SignalFreeServer(
        uvicorn.Config(edge.operations, http=protocol(Bounds()), ws="none", lifespan="off", log_config=None)
    )
    renewing = asyncio.create_task(shown.follow(certificate.renew)) if shown and certificate else None
    serving_operations = asyncio.create_task(operations.serve([operating])) if operating else None
    _spare_the_collector()
    memory_glibc.keep()
    await server.serve([listening])
    if renewing:
        renewing.cancel()
    if serving_operations is not None:
        operations.should_exit = True  # To the last: that is when operators look.
        await serving_operations


async def serve_as_worker(settings: Settings, worker: Worker) -> None:
    """Serves as one of several, until a signal or the supervisor says to stop, or the supervisor is gone. Raises as
    `serve`."""
    log = telemetry_structlog.configure(worker.slot)
    shown = Followed(Files(settings.tls)) if settings.tls else None
    certificate = Certificate(shown.current) if shown else None
    _allow_open_files()
    listening = join(settings.host, worker.port)
    under_way = UnderWay()
    edge = create(settings, under_way, log.write)
    hands = Hands(worker.slot, _stream(worker.receiving), [_stream(each) for each in worker.giving])
    link = await Link.open(worker.control)
    server = WorkerServer(
        edge.app,
        under_way,
        Sharing(listening, hands, link.serves, link.leaves),
        http=_spoken(settings, certificate),
        drain_s=settings.drain_s,
        delay_s=settings.drain_delay_s,
    )
    stop_by_signals(server.stop)
    duties = Duties(server.stop, server.deal_to, edge.is_ready, edge.metrics)
    following = asyncio.create_task(link.follow(duties))
    renewing = asyncio.create_task(shown.follow(certificate.renew)) if shown and certificate else None
    _spare_the_collector()
    memory_glibc.keep()
    await server.serve([])
    if renewing:
        renewing.cancel()
    following.cancel()
    await link.aclose(edge.metrics())


def _spoken(settings: Settings, certificate: Certificate | None) -> type[asyncio.Protocol]:
    bounds = Bounds(stall_s=settings.client_stall_s)
    return over_tls(protocol(bounds), certificate, bounds.head_s) if certificate else protocol(bounds)


def _stream(descriptor: int) -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)


def _spare_the_collector() -> None:
    """What is there now stays, and a request leaves hardly a cycle behind: to look for them as often as Python does by
    itself takes a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(COLLECT_AT, 10, 10)


def _allow_open_files() -> None:
    """Each request under way takes two: as many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
