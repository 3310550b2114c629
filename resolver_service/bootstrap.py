"""Wires the resolver and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from resolver_service.adapters import config_file, telemetry_structlog
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.certificates_files import Files, Followed
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.grpc_api.pool_admin import PoolAdminServicer
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.adapters.operations_uvicorn import Operations, OperationsServer, listen, url
from resolver_service.adapters.record_file import FileRecord
from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.telemetry_prometheus import PrometheusTelemetry, Sources
from resolver_service.app.access import Access
from resolver_service.app.alone import Alone
from resolver_service.app.bindings import Bindings
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import ClientLimits
from resolver_service.app.operate import Operator
from resolver_service.app.ports import HealthChanged, Siblings, Stores
from resolver_service.app.probes import ProbeBook
from resolver_service.app.report import Reports
from resolver_service.app.resolve import Resolver
from resolver_service.app.standing import standings
from resolver_service.app.status import Status
from resolver_service.app.watch import Bell, Watch
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.opening import Opened, UnreadableError, done_or_stopped, given, open_configuration
from resolver_service.settings import Settings

if TYPE_CHECKING:  # 7 MB that only a resolver with a store needs, and 2 MB that only one with a state directory does.
    from resolver_service.adapters.stores_redis.siblings import RedisSiblings
    from resolver_service.adapters.stores_redis.state import RedisState
    from resolver_service.adapters.stores_sqlite import SqliteState

LAST_WORDS_S = 1.0
"""How long calls that were cut off may take to be told so."""


@dataclass(frozen=True, slots=True)
class _Operating:
    """What serves /metrics and the health checks."""

    registry: CollectorRegistry
    is_serving: asyncio.Event
    server: OperationsServer
    at: str
    """For the line that is printed at the start."""


@dataclass(frozen=True, slots=True)
class _Wired:
    """The parts of a resolver that are started and stopped."""

    configuration: Configuration
    grpc: grpc_server.GrpcServer
    watch: Watch
    common: RedisState | None
    """What resolvers share; None for one by itself."""
    own: SqliteState | None
    """What outlives one by itself; None where nothing does."""
    siblings: RedisSiblings | None
    """Set with `common`."""
    certificates: Followed | None
    tls: grpc_server.Tls | None
    """Set if there are certificates."""


async def serve(settings: Settings) -> None:
    """Serves until a signal says to stop. Raises `ConfigError`, `UnreadableError`, `CertificateError`, `OSError` or
    `AddressInUseError` if it cannot start."""
    telemetry_structlog.configure()
    told_to_stop, bell = asyncio.Event(), Bell()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # As with `nohup`.
            asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    with contextlib.ExitStack() as stack:
        operating = await _operating(settings, stack)
        opened = await open_configuration(settings, bell, told_to_stop, stack)
        if opened is not None:
            await _run(settings, _wired(settings, opened, bell, operating.registry), operating, told_to_stop)


async def _operating(settings: Settings, stack: contextlib.ExitStack) -> _Operating:
    """Before anything is waited for, so that it can be told that this one is alive. Raises `OSError`."""
    registry, is_serving = CollectorRegistry(), asyncio.Event()
    server = OperationsServer(Operations(registry, is_serving.is_set))
    if settings.ops is None:
        return _Operating(registry, is_serving, server, "")
    listening = stack.enter_context(listen(*settings.ops))
    await server.serve(listening)
    stack.callback(server.close)
    return _Operating(registry, is_serving, server, f"operations on {url(listening)}, ")


def _wired(settings: Settings, opened: Opened, bell: Bell, registry: CollectorRegistry) -> _Wired:
    """Raises `UnreadableError`, `CertificateError` or `AddressInUseError`."""
    certificates = Followed(Files(*settings.tls, settings.client_ca)) if settings.tls else None
    # Unique over resolvers and restarts.
    boot = secrets.token_hex(6)
    replica_id = f"{socket.gethostname()}-{boot}"
    configuration = opened.configuration
    common = _common_state(settings, configuration, replica_id) if settings.store else None
    own = _own_state(settings.state_dir) if settings.state_dir and not common else None
    state = common or own
    stores = state.stores if state else Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
    probes = ProbeBook(PROBE_LEASE_S)
    telemetry = PrometheusTelemetry(registry, _sources(configuration, stores, probes, own, common))
    siblings, editor = _editor(settings, opened, common)
    servicer, admin, watch = create_servicers(
        configuration, editor, stores, probes, telemetry, bell, boot, siblings or Alone(replica_id, configuration)
    )
    secrets_shown = grpc_server.Secrets(settings.token, settings.management_key)
    tls = grpc_server.Tls(certificates.current) if certificates else None
    grpc = grpc_server.build(settings.listen, servicer, admin, secrets_shown, reflect=settings.reflection, tls=tls)
    return _Wired(configuration, grpc, watch, common, own, siblings, certificates, tls)


async def _run(settings: Settings, it: _Wired, operating: _Operating, told_to_stop: asyncio.Event) -> None:
    """Starts the parts, serves until told to stop, and stops them in an order in which nobody misses what is gone."""
    follow = it.siblings.follow() if it.siblings else config_file.follow(given(settings.config), it.configuration)
    following = asyncio.create_task(follow)
    state = it.common or it.own
    keeping = asyncio.create_task(state.keep()) if state else None
    renewing = asyncio.create_task(it.certificates.follow(it.tls.renew)) if it.certificates and it.tls else None
    if it.common:
        await it.common.begun()
    if it.siblings:
        await it.siblings.begun()
    its_own = asyncio.all_tasks()
    await it.grpc.serving()
    operating.is_serving.set()
    print(f"forebay-resolver: serving {operating.at}gRPC on {it.grpc.address}", flush=True)

    await done_or_stopped(following, told_to_stop)
    operating.is_serving.clear()
    if renewing:
        renewing.cancel()
    it.watch.close()
    await it.grpc.drain(settings.drain_s)
    # To the last: that is when operators look.
    operating.server.close()
    # Calls that were cut off are still being told. What is left when the loop closes, gRPC reports with a traceback.
    if ending := asyncio.all_tasks() - its_own:
        await asyncio.wait(ending, timeout=LAST_WORDS_S)
    # Until now: changes wait for whoever still serves.
    if not following.done():
        following.cancel()
    if state and keeping:
        state.stop()
        await keeping
    with contextlib.suppress(asyncio.CancelledError):
        # A watch that ended by itself ended by an error, which must not go unseen.
        await following


def _common_state(settings: Settings, configuration: Configuration, replica_id: str) -> RedisState:
    """What resolvers share. Raises `UnreadableError`."""
    from resolver_service.adapters.stores_redis.state import RedisState

    try:
        return RedisState(settings.store, time.monotonic, replica_id=replica_id, place=lambda: configuration.place)
    except ValueError as error:
        raise UnreadableError(
            f"--store (FOREBAY_RESOLVER_STORE): {error}: it begins with redis:// or rediss://, and in a password "
            "all but letters and digits is to be percent-encoded"
        ) from None


def _own_state(directory: Path) -> SqliteState:
    """What outlives a resolver that shares nothing."""
    from resolver_service.adapters.stores_sqlite import SqliteState

    return SqliteState(directory, time.monotonic, time.time)


def _editor(settings: Settings, opened: Opened, state: RedisState | None) -> tuple[RedisSiblings | None, Editor]:
    configuration, shared, edits = opened.configuration, opened.shared, settings.provider_edits
    if shared is None or state is None:
        record = FileRecord(given(settings.config))
        return None, Editor(configuration, record, opened.history, amend, provider_edits=edits)
    from resolver_service.adapters.stores_redis.siblings import RedisSiblings

    is_of_record = shared.beginning.is_of_record
    siblings = RedisSiblings(state, shared.record, configuration, shared.copy.keep, is_of_record=is_of_record)
    its = shared.record
    return siblings, Editor(configuration, its, its, amend, provider_edits=edits, siblings=siblings)


def create_servicers(
    configuration: Configuration,
    editor: Editor,
    stores: Stores,
    probes: ProbeBook,
    telemetry: PrometheusTelemetry,
    bell: Bell,
    boot: str,
    siblings: Siblings,
) -> tuple[ResolverServicer, PoolAdminServicer, Watch]:
    def tell(change: HealthChanged) -> None:
        telemetry_structlog.health_changed(change)
        telemetry.health_changed(change)
        bell.ring()

    in_flight, bindings = InFlight(), Bindings(stores.bindings, time.time)
    limits = ClientLimits(stores.shared.limits if stores.shared else None)
    count = itertools.count(1)
    resolver = Resolver(
        revisions=configuration,
        rotation=stores.rotation,
        health=stores.health,
        drains=stores.drains,
        clock=time.monotonic,
        new_id=lambda: f"{boot}-{next(count):x}",  # Cheaper than a random number each.
        probes=probes,
        in_flight=in_flight,
        access=Access(time.time),
        limits=limits,
        bindings=bindings,
        shared=stores.shared,
    )
    reports = Reports(configuration, stores.health, time.monotonic, probes, in_flight, bindings, limits, tell)
    operator = Operator(configuration, stores.health, stores.drains, tell)
    status = Status(configuration, stores.health, stores.drains, in_flight, reports.recent, time.monotonic)
    watch = Watch(status, bell)
    admin = PoolAdminServicer(operator, editor, status, resolver, siblings)
    return ResolverServicer(resolver, reports, configuration, telemetry, watch, stores.shared), admin, watch


def _sources(
    configuration: Configuration,
    stores: Stores,
    probes: ProbeBook,
    own: SqliteState | None,
    common: RedisState | None,
) -> Sources:
    return Sources(
        standings=lambda: standings(
            configuration.current.catalog, stores.health, stores.drains.drained(), time.monotonic()
        ),
        revision=lambda: configuration.current.number,
        reloads=lambda: {"accepted": configuration.accepted, "rejected": configuration.rejected},
        probes=lambda: {"handed_out": probes.handed_out, "returned": probes.returned, "expired": probes.expired},
        state_write_failures=(lambda: own.failures) if own else None,
        store=(lambda: common) if common else None,
    )
