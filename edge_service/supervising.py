"""Wires the process that watches over several workers. It serves operators alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from edge_service.adapters import telemetry_structlog
from edge_service.adapters.expositions_prometheus import exposition, families
from edge_service.adapters.http.listening import listen, reserve
from edge_service.adapters.http.operations import operations_routes
from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.server import SignalFreeServer, url
from edge_service.adapters.signals_posix import stop_by_signals
from edge_service.adapters.telemetry_prometheus import WorkersTelemetry
from edge_service.adapters.workers.supervisor import Supervisor
from edge_service.settings import Settings

OVERDUE_S = 4.0
"""What a worker may take beyond the time that it gives to others."""


async def supervise(settings: Settings, command: Sequence[str]) -> int:
    """Runs `command` for each worker until a signal says to stop; the status to exit with. Raises `OSError` if an
    address cannot be listened on, or `StartError`."""
    telemetry_structlog.configure()
    operating = listen(*settings.ops, "--ops-listen") if settings.ops else None
    with reserve(settings.host, settings.port) as reserved:
        also = f"operations on {url(operating)}, " if operating else ""
        registry = CollectorRegistry()
        telemetry = WorkersTelemetry(registry, lambda: supervisor.serving)
        line = f"forebay-edge: serving {also}HTTP on {url(reserved, 'https' if settings.tls else 'http')}"
        supervisor = Supervisor(
            command,
            reserved.getsockname()[1],
            settings.workers,
            grace_s=settings.drain_delay_s + settings.drain_s + OVERDUE_S,
            announce=lambda: print(line, flush=True),
            tell_of_end=telemetry.ended,
        )
        stop_by_signals(supervisor.stop)

        async def metrics() -> bytes:
            return exposition((*await supervisor.metrics(), *families(registry)))

        app = Starlette(routes=operations_routes(metrics, supervisor.is_ready))
        app.router.redirect_slashes = False  # It redirects to wherever the Host header says.
        operations = SignalFreeServer(
            uvicorn.Config(app, http=protocol(Bounds()), ws="none", lifespan="off", log_config=None)
        )
        serving_operations = asyncio.create_task(operations.serve([operating])) if operating else None
        try:
            return await supervisor.run()
        finally:
            if serving_operations is not None:
                operations.should_exit = True  # To the last: that is when operators look.
                await serving_operations
