"""A real gRPC server on a free port, with the resolver's own servicer behind it and a clock that the test moves."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from forebay.resolver.v1 import plan_pb2, pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.adapters.grpc_api.pool_admin import PoolAdminServicer
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.adapters.history_memory import MemoryHistory
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
from resolver_service.app.ports import ConflictError, HealthChanged, PastRevision
from resolver_service.app.probes import ProbeBook
from resolver_service.app.report import Reports
from resolver_service.app.resolve import Resolver
from resolver_service.app.standing import standings
from resolver_service.app.status import Status
from resolver_service.app.watch import Bell, Watch
from resolver_service.domain.health import PROBE_LEASE_S

LOADED_AT = 1_700_000_000
TIMEOUT_S = 20.0

CONFIG = """
providers:
  - id: one
    dialect: openai
    base-url: https://one.example/v1/
    credentials: [env:ONE_API_KEY]
    models: [m, Raw-One]
  - id: two
    dialect: anthropic
    base-url: https://two.example
    credentials: [env:TWO_API_KEY]
    models: [m, raw-two]
    allow-private: true
    rules: [{status: 400, body-contains: Quota, disposition: quota}, {status: 418, disposition: empty}]
model-pools:
  pools:
    - id: Turns
      description: takes turns
      members:
        - {provider: one, model: m}
        - {provider: two, model: m}
    - id: solo
      members:
        - {provider: one, model: s(low)}
    - id: off
      members:
        - {provider: one, model: o, disabled: true}
  clusters:
    - id: chat
      description: for talking
      members:
        - {pool: Turns}
        - {model: raw-two, priority: 1}
      policy:
        attempts: 2
        timeouts: {connect: 250ms, total: 90s}
        failover: {never: [empty], also: [context-length]}
"""

NARROW = """
providers: [{id: one, dialect: openai, base-url: "https://one.example", models: [narrow], max-concurrent: 1}]
policy: {timeouts: {stream: 168h}}
"""


@dataclass
class SharedStore:
    """What is told of one that does well."""

    is_degraded: bool = False
    is_durable: bool | None = True
    losses: int = 0


SHARED = SharedStore()


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.breaks = False

    def __call__(self) -> float:
        if self.breaks:
            raise ZeroDivisionError("the clock is broken")
        return self.now


class MemoryRecord:
    """A `Record` that somebody else may write to at any time."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.problem: Exception | None = None

    def read(self) -> bytes:
        return self.text

    def replace(self, before: bytes, after: bytes, revision: PastRevision) -> PastRevision:
        if self.problem:
            raise self.problem
        if self.text != before:
            raise ConflictError("the file has been edited")
        self.text = after
        return revision


@dataclass
class Refusal:
    """A status with its details unpacked."""

    code: int
    message: str
    reason: str = ""
    closest: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


def unpacked(status: status_pb2.Status) -> Refusal:
    refusal = Refusal(status.code, status.message)
    for detail in status.details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert info.domain == "forebay"
            refusal.reason, refusal.metadata = info.reason, dict(info.metadata)
            refusal.closest = [name for name in info.metadata.get("closest", "").split(",") if name]
        elif detail.Unpack(bad):
            refusal.fields = [violation.field for violation in bad.field_violations]
            refusal.descriptions = [violation.description for violation in bad.field_violations]
        elif detail.Unpack(retry):
            refusal.retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    return refusal


async def refused(call: Awaitable[object]) -> Refusal:
    """What a call that must fail is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: Any = caught.value
    status = rpc_status.from_call(error)
    return unpacked(status or status_pb2.Status(code=error.code().value[0], message=error.details()))


@dataclass
class Served:
    server: grpc_server.GrpcServer
    channel: grpc.aio.Channel
    clock: Clock
    metadata: tuple[tuple[str, str], ...]
    told: list[HealthChanged]
    registry: CollectorRegistry
    record: MemoryRecord
    configuration: Configuration
    watch: Watch

    def __post_init__(self) -> None:
        self.stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(self.channel)
        self.admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(self.channel)

    def metric(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)

    def call(self, method: str, request: Message) -> Any:
        return getattr(self.stub, method)(request, timeout=TIMEOUT_S, metadata=self.metadata)

    def resolving(self, model: str, **fields: Any) -> Any:
        """The call that asks for a plan, not yet awaited."""
        return self.call("Resolve", pb.ResolveRequest(model=model, **fields))

    async def resolve(self, model: str, **fields: Any) -> plan_pb2.Plan:
        return (await self.resolving(model, **fields)).plan

    async def first(self, model: str, **fields: Any) -> str:
        return (await self.resolve(model, **fields)).attempts[0].target_id

    async def explain(self, model: str, **fields: Any) -> pb.ExplainResponse:
        return await self.call("Explain", pb.ExplainRequest(request=pb.ResolveRequest(model=model, **fields)))

    async def report(self, *reports: pb.OutcomeReport) -> None:
        await self.call("Report", pb.ReportRequest(reports=reports))


@contextlib.asynccontextmanager
async def serving(
    text: str = CONFIG,
    *,
    listen: str = "127.0.0.1:0",
    token: str = "",
    shown: str = "",
    management_key: str = "",
    reflect: bool = True,
    provider_edits: bool = False,
) -> AsyncIterator[Served]:
    """The server and a channel to it for the time of the block. `shown` is the token that the client shows."""
    clock, count = Clock(), itertools.count(1)
    bell, history, record = Bell(), MemoryHistory(), MemoryRecord(text.encode())
    configuration = Configuration(config_yaml.parsed, lambda: LOADED_AT, text.encode(), history, bell.ring)
    editor = Editor(configuration, record, history, amend, provider_edits=provider_edits)
    health, drains = MemoryHealth(), MemoryDrains()
    probes, in_flight, limits = ProbeBook(PROBE_LEASE_S), InFlight(), ClientLimits()
    bindings = Bindings(MemoryBindings(), lambda: LOADED_AT + clock.now)
    told: list[HealthChanged] = []
    resolver = Resolver(
        revisions=configuration,
        rotation=MemoryRotation(),
        health=health,
        drains=drains,
        clock=clock,
        new_id=lambda: f"decision-{next(count)}",
        probes=probes,
        in_flight=in_flight,
        access=Access(lambda: LOADED_AT),
        limits=limits,
        bindings=bindings,
    )
    registry = CollectorRegistry()
    sources = Sources(
        standings=lambda: standings(configuration.current.catalog, health, drains.drained(), clock()),
        revision=lambda: configuration.current.number,
        reloads=dict,
        probes=lambda: {"handed_out": probes.handed_out, "returned": probes.returned, "expired": probes.expired},
        state_write_failures=lambda: 0,
        store=lambda: SHARED,
    )
    telemetry = PrometheusTelemetry(registry, sources)

    def tell(change: HealthChanged) -> None:
        told.append(change)
        telemetry.health_changed(change)
        bell.ring()

    reports = Reports(configuration, health, clock, probes, in_flight, bindings, limits, tell)
    status = Status(configuration, health, drains, in_flight, reports.recent, clock)
    watch = Watch(status, bell)
    servicer = ResolverServicer(resolver, reports, configuration, telemetry, watch)
    operator, alone = Operator(configuration, health, drains, tell), Alone("this one", configuration)
    admin = PoolAdminServicer(operator, editor, status, resolver, alone)
    server = grpc_server.build(listen, servicer, admin, grpc_server.Secrets(token, management_key), reflect=reflect)
    await server.serving()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            shown_token = (("authorization", f"Bearer {shown}"),) if shown else ()
            yield Served(server, channel, clock, shown_token, told, registry, record, configuration, watch)
    finally:
        watch.close()
        await server.drain(0)


def failed(
    plan: plan_pb2.Plan,
    disposition: plan_pb2.Disposition,
    *,
    retry_after_ms: int = 0,
    number: int = 0,
) -> pb.OutcomeReport:
    attempt = plan.attempts[number]
    return pb.OutcomeReport(
        decision_id=plan.decision_id,
        failed=pb.AttemptFailed(
            target_id=attempt.target_id,
            health_generation=attempt.health_generation,
            disposition=disposition,
            retry_after_ms=retry_after_ms,
        ),
    )


def content(plan: plan_pb2.Plan) -> pb.OutcomeReport:
    attempt = plan.attempts[0]
    event = pb.AttemptContent(target_id=attempt.target_id, health_generation=attempt.health_generation, latency_ms=30)
    return pb.OutcomeReport(decision_id=plan.decision_id, content=event)


def ended(plan: plan_pb2.Plan, input_tokens: int = 0, output_tokens: int = 0) -> pb.OutcomeReport:
    attempt = plan.attempts[0]
    event = pb.AttemptEnded(
        target_id=attempt.target_id,
        health_generation=attempt.health_generation,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )
    return pb.OutcomeReport(decision_id=plan.decision_id, ended=event)


def closed(plan: plan_pb2.Plan) -> pb.OutcomeReport:
    return pb.OutcomeReport(decision_id=plan.decision_id, closed=pb.DecisionClosed())


ABORTED: int = code_pb2.ABORTED
FAILED_PRECONDITION: int = code_pb2.FAILED_PRECONDITION
INVALID_ARGUMENT: int = code_pb2.INVALID_ARGUMENT
INTERNAL: int = code_pb2.INTERNAL
NOT_FOUND: int = code_pb2.NOT_FOUND
RESOURCE_EXHAUSTED: int = code_pb2.RESOURCE_EXHAUSTED
UNAUTHENTICATED: int = code_pb2.UNAUTHENTICATED
UNAVAILABLE: int = code_pb2.UNAVAILABLE
UNIMPLEMENTED: int = code_pb2.UNIMPLEMENTED
