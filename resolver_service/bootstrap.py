"""Wires the resolver and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import signal
import time

from resolver_service.adapters import config_file, config_yaml, telemetry_structlog
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.grpc_api.pool_admin import PoolAdminServicer
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.adapters.stores_memory import MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.stores_sqlite import SqliteState
from resolver_service.app.configure import Configuration
from resolver_service.app.operate import Operator
from resolver_service.app.ports import Stores
from resolver_service.app.report import Reports
from resolver_service.app.resolve import ProbeBook, Resolver
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.settings import Settings

LAST_WORDS_S = 1.0


def check(settings: Settings) -> str:
    """A line about what the configuration has in it. Raises `ConfigError` or `OSError`."""
    catalog = config_yaml.load(settings.config.read_bytes())
    counts = (len(catalog.providers), len(catalog.models), len(catalog.pools), len(catalog.clusters))
    return f"{settings.config}: valid: %d providers, %d models, %d pools, %d clusters" % counts


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `ConfigError`, `OSError` or `AddressInUseError` if it cannot start."""
    telemetry_structlog.configure()
    configuration = Configuration(config_yaml.load, time.time, settings.config.read_bytes())
    state = SqliteState(settings.state_dir, time.monotonic, time.time) if settings.state_dir else None
    stores = state.stores if state else Stores(MemoryRotation(), MemoryHealth(), MemoryDrains())
    servicer, admin = create_servicers(configuration, stores)
    secrets_shown = grpc_server.Secrets(settings.token, settings.management_key)
    grpc = grpc_server.build(settings.listen, servicer, admin, secrets_shown, reflect=settings.reflection)

    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    following = asyncio.create_task(config_file.follow(settings.config, configuration))
    keeping = asyncio.create_task(state.keep()) if state else None
    await grpc.serving()
    print(f"forebay-resolver: serving gRPC on {grpc.address}", flush=True)

    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({stopping, following}, return_when=asyncio.FIRST_COMPLETED)
    if not following.done():
        following.cancel()
    stopping.cancel()
    await grpc.drain(settings.drain_s)
    # Calls that were cut off are still being told. What is left when the loop closes, gRPC reports with a traceback.
    if ending := asyncio.all_tasks() - {asyncio.current_task(), following, keeping}:
        await asyncio.wait(ending, timeout=LAST_WORDS_S)
    if state and keeping:
        state.stop()
        await keeping
    with contextlib.suppress(asyncio.CancelledError):
        # A watch that ended by itself ended by an error, which must not go unseen.
        await following


def create_servicers(configuration: Configuration, stores: Stores) -> tuple[ResolverServicer, PoolAdminServicer]:
    probes, tell = ProbeBook(PROBE_LEASE_S), telemetry_structlog.health_changed
    # Unique over resolvers and restarts, and cheaper than a random number each.
    boot, count = secrets.token_hex(6), itertools.count(1)
    resolver = Resolver(
        revisions=configuration,
        rotation=stores.rotation,
        health=stores.health,
        drains=stores.drains,
        clock=time.monotonic,
        new_id=lambda: f"{boot}-{next(count):x}",
        probes=probes,
    )
    reports = Reports(configuration, stores.health, time.monotonic, probes, tell)
    # The stubs call every method abstract; those that are not there answer UNIMPLEMENTED.
    admin = PoolAdminServicer(Operator(configuration, stores.health, stores.drains, tell))  # type: ignore[abstract]
    return ResolverServicer(resolver, reports, configuration), admin
