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
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from resolver_service.adapters import config_file, config_yaml, telemetry_structlog
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.certificates_files import Files, Followed
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.grpc_api.pool_admin import PoolAdminServicer
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.adapters.operations_uvicorn import Operations, OperationsServer, listen, url
from resolver_service.adapters.record_file import FileRecord
from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.telemetry_prometheus import PrometheusTelemetry, Sources
from resolver_service.app.access import Access
from resolver_service.app.alone import Alone
from resolver_service.app.bindings import Bindings
from resolver_service.app.configure import FILE, Configuration, digest_of
from resolver_service.app.considerate import considerate
from resolver_service.app.edit import Editor
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import ClientLimits
from resolver_service.app.operate import Operator
from resolver_service.app.ports import HealthChanged, History, Kept, PastRevision, ReadOnlyError, Siblings, Stores
from resolver_service.app.probes import ProbeBook
from resolver_service.app.report import Reports
from resolver_service.app.resolve import Resolver
from resolver_service.app.standing import standings
from resolver_service.app.status import Status
from resolver_service.app.watch import Bell, Watch
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_advice import advice
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.settings import Settings

if TYPE_CHECKING:  # 7 MB that only a resolver with a store needs, and 2 MB that only one with a state directory does.
    from resolver_service.adapters.record_copy import ConfigCopy
    from resolver_service.adapters.stores_redis.beginning import Beginning
    from resolver_service.adapters.stores_redis.record import RedisRecord
    from resolver_service.adapters.stores_redis.siblings import RedisSiblings
    from resolver_service.adapters.stores_redis.state import RedisState
    from resolver_service.adapters.stores_sqlite import SqliteState

LAST_WORDS_S = 1.0


class UnreadableError(Exception):
    """The configuration, or what else it was told, cannot be read. The text says what to do."""

    code = "config_unreadable"


@dataclass(frozen=True, slots=True)
class _Shared:
    """The configuration, where resolvers share it."""

    record: RedisRecord
    copy: ConfigCopy
    beginning: Beginning


@dataclass(frozen=True, slots=True)
class _Operating:
    """What serves /metrics and the health checks."""

    registry: CollectorRegistry
    is_serving: asyncio.Event
    server: OperationsServer
    at: str
    """For the line that is printed at the start."""


def check(settings: Settings) -> str:
    """A line about what the configuration has in it, and one for each thing in it that is hardly meant. Raises
    `ConfigError` or `UnreadableError`."""
    text = _text(settings.config)
    catalog = config_yaml.load(text)
    parts = {
        "provider": catalog.providers,
        "model": catalog.models,
        "pool": catalog.pools,
        "cluster": catalog.clusters,
    }
    told = ", ".join(f"{len(part)} {noun}{'' if len(part) == 1 else 's'}" for noun, part in parts.items())
    warnings = config_yaml.located(text, list(advice(catalog)))
    return "\n".join([f"{settings.config}: valid: {told}", *(f"warning: {each.in_text()}" for each in warnings)])


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `ConfigError`, `UnreadableError`, `CertificateError`, `OSError` or
    `AddressInUseError` if it cannot start."""
    telemetry_structlog.configure()
    told_to_stop, bell = asyncio.Event(), Bell()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    with contextlib.ExitStack() as stack:
        operating = await _operating(settings, stack)
        history: History = MemoryHistory()
        shared = await _begun(settings, told_to_stop, stack) if settings.store else None
        if told_to_stop.is_set():
            return
        with considerate():
            if shared:
                configuration = _as_of_record(shared.beginning.kept, bell)
            else:
                if settings.state_dir:
                    from resolver_service.adapters.history_sqlite import SqliteHistory
                    from resolver_service.adapters.state_directory import claimed

                    history = stack.enter_context(contextlib.closing(SqliteHistory(settings.state_dir, time.time)))
                    stack.enter_context(claimed(settings.state_dir))
                text, read = _text(settings.config), config_yaml.Reader().parsed
                configuration = Configuration(read, time.time, text, history, bell.ring)
        await _serve(settings, configuration, history, shared, bell, operating, told_to_stop)


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


async def _begun(settings: Settings, told_to_stop: asyncio.Event, stack: contextlib.ExitStack) -> _Shared | None:
    """None if it was told to stop before the store could be reached."""
    from resolver_service.adapters.record_copy import ConfigCopy
    from resolver_service.adapters.stores_redis.beginning import begin
    from resolver_service.adapters.stores_redis.record import RedisRecord

    try:
        record = stack.enter_context(contextlib.closing(RedisRecord(settings.store)))
    except ValueError:
        raise UnreadableError("--store: not an address such as redis://127.0.0.1:6379/0") from None
    copy = ConfigCopy(settings.state_dir)
    beginning = asyncio.create_task(begin(record, lambda: _seed(settings.config), copy.read))
    await _done_or_stopped(beginning, told_to_stop)
    if not beginning.done():
        beginning.cancel()
        return None
    try:
        began = await beginning
    except ReadOnlyError as error:
        raise UnreadableError(str(error)) from None
    if settings.config:
        config_file.compare(settings.config, began.kept.text)
    return _Shared(record, copy, began)


async def _done_or_stopped(task: asyncio.Task[Any], told_to_stop: asyncio.Event) -> None:
    """Waits until the task is done, or the resolver is told to stop."""
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _seed(path: Path | None) -> Kept | None:
    """What an empty store begins with. Raises `ConfigError` or `UnreadableError`."""
    if path is None:
        return None
    text = _text(path)
    config_yaml.parsed(text)
    return Kept(PastRevision(1, int(time.time()), FILE, "the first configuration", "", digest_of(text)), text)


def _as_of_record(kept: Kept, bell: Bell) -> Configuration:
    try:
        return Configuration(config_yaml.Reader().parsed, time.time, kept.text, None, bell.ring, kept.revision)
    except ConfigError as error:
        words = (
            f"revision {kept.revision.number} of the configuration, which the store has, is not valid for this resolver"
        )
        raise UnreadableError(f"{words}:\n{error}") from None


async def _serve(
    settings: Settings,
    configuration: Configuration,
    history: History,
    shared: _Shared | None,
    bell: Bell,
    operating: _Operating,
    told_to_stop: asyncio.Event,
) -> None:
    certificates = Followed(Files(*settings.tls, settings.client_ca)) if settings.tls else None
    # Unique over resolvers and restarts.
    boot = secrets.token_hex(6)
    replica_id = f"{socket.gethostname()}-{boot}"
    common = _common_state(settings, configuration, replica_id) if settings.store else None
    own = _own_state(settings.state_dir) if settings.state_dir and not common else None
    state = common or own
    stores = state.stores if state else Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
    probes = ProbeBook(PROBE_LEASE_S)
    telemetry = PrometheusTelemetry(operating.registry, _sources(configuration, stores, probes, own, common))
    siblings, editor = _editor(settings, configuration, history, shared, common)
    servicer, admin, watch = create_servicers(
        configuration, editor, stores, probes, telemetry, bell, boot, siblings or Alone(replica_id, configuration)
    )
    secrets_shown = grpc_server.Secrets(settings.token, settings.management_key)
    tls = grpc_server.Tls(certificates.current) if certificates else None
    grpc = grpc_server.build(settings.listen, servicer, admin, secrets_shown, reflect=settings.reflection, tls=tls)

    follow = siblings.follow() if siblings else config_file.follow(_given(settings.config), configuration)
    following = asyncio.create_task(follow)
    keeping = asyncio.create_task(state.keep()) if state else None
    renewing = asyncio.create_task(certificates.follow(tls.renew)) if certificates and tls else None
    if common:
        await common.begun()
    if siblings:
        await siblings.begun()
    its_own = asyncio.all_tasks()
    await grpc.serving()
    operating.is_serving.set()
    print(f"forebay-resolver: serving {operating.at}gRPC on {grpc.address}", flush=True)

    await _done_or_stopped(following, told_to_stop)
    operating.is_serving.clear()
    if renewing:
        renewing.cancel()
    watch.close()
    await grpc.drain(settings.drain_s)
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


def _editor(
    settings: Settings,
    configuration: Configuration,
    history: History,
    shared: _Shared | None,
    state: RedisState | None,
) -> tuple[RedisSiblings | None, Editor]:
    edits = settings.provider_edits
    if shared is None or state is None:
        record = FileRecord(_given(settings.config))
        return None, Editor(configuration, record, history, amend, provider_edits=edits)
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


def _given(path: Path | None) -> Path:
    """`settings` has seen to it that there is one where there is no store."""
    if path is None:
        raise UnreadableError("--config FILE is required")
    return path


def _text(given: Path | None) -> bytes:
    path = _given(given)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError(
            f"there is no file {path}: name the configuration's, or begin with a copy of config.example.yaml"
        ) from None
    except IsADirectoryError:
        raise UnreadableError(f"{path} is a directory: name the configuration file in it") from None
    except PermissionError:
        raise UnreadableError(f"{path} may not be read: give the user that this runs as leave to read it") from None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from None
