"""`PoolAdminService` in memory, as its contract says: what the edge's management API is tested against where a resolver
of its own would only be slower. And that API over it, in one process.

Configurations are judged by the resolver's own reader, and the key by its interceptor.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import grpc.aio
import httpx2
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from edge_service.adapters.http.management import management_routes
from edge_service.adapters.http.routes import http_error, internal_error
from edge_service.adapters.resolver_grpc.management import ManagementClient
from edge_service.domain.management import Caller
from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as resolver_pb
from resolver_service.adapters import config_yaml
from resolver_service.adapters.grpc_api.interceptors import DeadlineInterceptor, ManagementKeyInterceptor
from resolver_service.domain.config import ConfigError

KEY = "the-management-key"
CREATED_AT = 1_700_000_000
PROVIDERS = [
    {
        "id": "one",
        "dialect": "openai",
        "base-url": "https://one.example/v1",
        "credentials": ["env:ONE_API_KEY"],
        "models": ["m", "vendor/deep"],
    },
    {"id": "two", "dialect": "anthropic", "base-url": "https://two.example", "models": ["m"]},
]
MODEL_POOLS: dict[str, Any] = {
    "enabled": True,
    "default-strategy": "round-robin",
    "pools": [{"id": "turns", "members": [{"provider": "one", "model": "m"}, {"provider": "two", "model": "m"}]}],
    "clusters": [{"id": "chat", "members": [{"pool": "turns"}]}],
}
TARGETS = ("one/m#0", "one/vendor/deep#0", "two/m#0")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass
class PoolAdmin(pool_admin_service_pb2_grpc.PoolAdminServiceServicer):
    """A servicer."""

    providers: list[Any] = field(default_factory=lambda: json.loads(json.dumps(PROVIDERS)))
    model_pools: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(MODEL_POOLS)))
    locked: bool = False
    """Providers cannot be changed."""
    read_only: bool = False
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """All that got past the key: methods and requests."""
    drained: set[str] = field(default_factory=set)
    failing: grpc.StatusCode | None = None
    """What every call ends with, after it has done what it was asked."""
    deaf: grpc.StatusCode | None = None
    """What every call ends with, before it has done anything."""

    def __post_init__(self) -> None:
        self.revisions = [self._revision("", "began", self.providers, self.model_pools)]
        self._contents = {1: (self.providers, self.model_pools)}

    @property
    def etag(self) -> str:
        return f"r{len(self.revisions)}"

    def _revision(self, author: str, summary: str, providers: Any, model_pools: Any) -> pb.Revision:
        number = len(getattr(self, "revisions", ())) + 1
        diff = json.dumps({"providers": providers, "model-pools": model_pools})
        return pb.Revision(revision=number, created_at=CREATED_AT, author=author, summary=summary, diff=diff)

    # What is read.

    async def GetModelPools(self, request: Any, context: Context) -> pb.GetModelPoolsResponse:
        await self._called("GetModelPools", request, context)
        return pb.GetModelPoolsResponse(model_pools_json=json.dumps(self.model_pools).encode(), etag=self.etag)

    async def GetProviders(self, request: Any, context: Context) -> pb.GetProvidersResponse:
        await self._called("GetProviders", request, context)
        return pb.GetProvidersResponse(providers_json=json.dumps(self.providers).encode(), etag=self.etag)

    async def ListRevisions(self, request: Any, context: Context) -> pb.ListRevisionsResponse:
        await self._called("ListRevisions", request, context)
        before = request.before_revision or len(self.revisions) + 1
        found = [r for r in reversed(self.revisions) if r.revision < before]
        return pb.ListRevisionsResponse(revisions=found[: request.page_size])

    async def GetStatus(self, request: Any, context: Context) -> pb.GetStatusResponse:
        await self._called("GetStatus", request, context)
        targets = [
            pb.TargetStatus(
                target_id=target,
                state="drained" if target in self.drained else "cooling",
                reason="" if target in self.drained else "rate-limited",
                retry_after_ms=0 if target in self.drained else 1500,
                in_flight=2,
                recent=[pb.OutcomeCount(disposition="ok", count=3)],
            )
            for target in TARGETS
        ]
        replicas = [pb.ReplicaStatus(id="a", revision=len(self.revisions), seen_ms_ago=250, degraded=True)]
        return pb.GetStatusResponse(
            targets=targets, replicas=replicas, revision=len(self.revisions), targets_left_out=7
        )

    async def ExplainName(self, request: Any, context: Context) -> pb.ExplainNameResponse:
        await self._called("ExplainName", request, context)
        asked = request.explain.request
        if asked.model != "turns":
            await self._abort(context, code_pb2.NOT_FOUND, f"no model '{asked.model}'; did you mean 'turns'?")
        explanation = resolver_pb.ExplainResponse(kind="pool")
        for target in ("one/m#0", "two/m#0"):
            available = target not in asked.excluded_targets
            explanation.targets.add(target_id=target, path=f"turns/{target[:3]}", available=available, reason="why")
            if available:
                explanation.plan.attempts.add(target_id=target)
                explanation.plan.name, explanation.plan.attempts_allowed, explanation.plan.revision = "turns", 10, 1
        return pb.ExplainNameResponse(explanation=explanation)

    # What changes.

    async def ReplaceModelPools(self, request: Any, context: Context) -> pb.ReplaceModelPoolsResponse:
        await self._called("ReplaceModelPools", request, context)
        pools = json.loads(request.model_pools_json)
        return await self._apply(request, context, pb.ReplaceModelPoolsResponse, "replaced pools", model_pools=pools)

    async def UpsertPool(self, request: Any, context: Context) -> pb.UpsertPoolResponse:
        await self._called("UpsertPool", request, context)
        pools = self._with("pools", json.loads(request.pool_json))
        return await self._apply(request, context, pb.UpsertPoolResponse, "upserted a pool", model_pools=pools)

    async def UpsertCluster(self, request: Any, context: Context) -> pb.UpsertClusterResponse:
        await self._called("UpsertCluster", request, context)
        pools = self._with("clusters", json.loads(request.cluster_json))
        return await self._apply(request, context, pb.UpsertClusterResponse, "upserted a cluster", model_pools=pools)

    async def DeletePool(self, request: Any, context: Context) -> pb.DeletePoolResponse:
        await self._called("DeletePool", request, context)
        await self._find(self.model_pools.get("pools", []), request.pool_id, context)
        clusters = self.model_pools.get("clusters", [])
        users = [c["id"] for c in clusters if any(m.get("pool") == request.pool_id for m in c["members"])]
        if users:
            await self._abort(
                context, code_pb2.FAILED_PRECONDITION, f"used by the clusters {', '.join(users)}", "IN_USE"
            )
        pools = self._without("pools", request.pool_id)
        return await self._apply(request, context, pb.DeletePoolResponse, "deleted a pool", model_pools=pools)

    async def DeleteCluster(self, request: Any, context: Context) -> pb.DeleteClusterResponse:
        await self._called("DeleteCluster", request, context)
        await self._find(self.model_pools.get("clusters", []), request.cluster_id, context)
        pools = self._without("clusters", request.cluster_id)
        return await self._apply(request, context, pb.DeleteClusterResponse, "deleted a cluster", model_pools=pools)

    async def ReplaceProviders(self, request: Any, context: Context) -> pb.ReplaceProvidersResponse:
        await self._called("ReplaceProviders", request, context, of_providers=True)
        providers = json.loads(request.providers_json)
        return await self._apply(request, context, pb.ReplaceProvidersResponse, "replaced", providers=providers)

    async def UpsertProvider(self, request: Any, context: Context) -> pb.UpsertProviderResponse:
        await self._called("UpsertProvider", request, context, of_providers=True)
        providers = _upserted(self.providers, json.loads(request.provider_json))
        return await self._apply(request, context, pb.UpsertProviderResponse, "a provider", providers=providers)

    async def DeleteProvider(self, request: Any, context: Context) -> pb.DeleteProviderResponse:
        await self._called("DeleteProvider", request, context, of_providers=True)
        await self._find(self.providers, request.provider_id, context)
        providers = [p for p in self.providers if p["id"] != request.provider_id]
        return await self._apply(request, context, pb.DeleteProviderResponse, "a provider less", providers=providers)

    async def Rollback(self, request: Any, context: Context) -> pb.RollbackResponse:
        await self._called("Rollback", request, context)
        if request.revision not in self._contents:
            await self._abort(context, code_pb2.NOT_FOUND, "no such revision")
        providers, pools = self._contents[request.revision]
        return await self._apply(
            request, context, pb.RollbackResponse, "rolled back", providers=providers, model_pools=pools
        )

    async def ClearCooldown(self, request: Any, context: Context) -> pb.ClearCooldownResponse:
        await self._called("ClearCooldown", request, context)
        await self._target(request.target_id, context)
        return pb.ClearCooldownResponse()

    async def Drain(self, request: Any, context: Context) -> pb.DrainResponse:
        await self._called("Drain", request, context)
        await self._target(request.target_id, context)
        (self.drained.add if request.drained else self.drained.discard)(request.target_id)
        return pb.DrainResponse()

    # How.

    async def _called(self, method: str, request: Any, context: Context, *, of_providers: bool = False) -> None:
        assert context.time_remaining() is not None
        self.calls.append((method, request))
        if self.deaf is not None:
            await context.abort(self.deaf, "deaf")
        if of_providers and self.locked:
            await self._abort(context, code_pb2.FAILED_PRECONDITION, "locked", "PROVIDERS_LOCKED")

    async def _apply(
        self,
        request: Any,
        context: Context,
        response: Callable[..., Any],
        summary: str,
        *,
        providers: Any = None,
        model_pools: Any = None,
    ) -> Any:
        providers = self.providers if providers is None else providers
        model_pools = self.model_pools if model_pools is None else model_pools
        if request.etag and request.etag != self.etag:
            await self._abort(context, code_pb2.ABORTED, "another etag")
        try:
            config_yaml.load(json.dumps({"providers": providers, "model-pools": model_pools}))
        except ConfigError as error:
            bad = error_details_pb2.BadRequest()
            for problem in error.problems:
                bad.field_violations.add(field=problem.path, description=problem.message)
            await self._abort(context, code_pb2.INVALID_ARGUMENT, "invalid", detail=bad)
        if self.read_only:
            await self._abort(context, code_pb2.FAILED_PRECONDITION, "the file is read-only", "READ_ONLY")
        if not request.validate_only:
            self.providers, self.model_pools = providers, model_pools
            self.revisions.append(self._revision(request.author, summary, providers, model_pools))
            self._contents[len(self.revisions)] = (providers, model_pools)
        if self.failing is not None:
            await context.abort(self.failing, "the answer got lost")
        return response(revision=len(self.revisions), etag=self.etag)

    def _with(self, what: str, item: Any) -> Any:
        return {**self.model_pools, what: _upserted(self.model_pools.get(what, []), item)}

    def _without(self, what: str, item_id: str) -> Any:
        return {**self.model_pools, what: [item for item in self.model_pools[what] if item.get("id") != item_id]}

    async def _find(self, items: list[Any], item_id: str, context: Context) -> None:
        if item_id not in [item.get("id") for item in items]:
            await self._abort(context, code_pb2.NOT_FOUND, f"no such thing: {item_id}")

    async def _target(self, target_id: str, context: Context) -> None:
        if target_id not in TARGETS:
            await self._abort(context, code_pb2.NOT_FOUND, "no such target", "TARGET_NOT_FOUND")
        if self.failing is not None:
            await context.abort(self.failing, "the answer got lost")

    async def _abort(self, context: Context, code: int, message: str, reason: str = "", detail: Any = None) -> NoReturn:
        status = status_pb2.Status(code=code, message=message)
        for each in (detail, error_details_pb2.ErrorInfo(reason=reason, domain="forebay") if reason else None):
            if each is not None:
                packed = any_pb2.Any()
                packed.Pack(each)
                status.details.append(packed)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


def _upserted(items: list[Any], item: Any) -> list[Any]:
    kept = [item if each.get("id") == item.get("id") else each for each in items]
    return kept if item in kept else [*kept, item]


class Link:
    """A `Link` of the management client."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.is_up = True
        self._stub: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(channel)

    async def administer(self, method: str, request: Any, caller: Caller, timeout_s: float) -> Any:
        metadata = (("x-management-key", caller.key), ("x-forebay-client", caller.host))
        return await getattr(self._stub, method)(request, timeout=timeout_s, metadata=metadata)


@contextlib.asynccontextmanager
async def link(servicer: Any, key: str = KEY, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Link]:
    """A way to the servicer over a real server, which asks for this key; empty for a server that has none."""
    server = grpc.aio.server(interceptors=[ManagementKeyInterceptor(key, clock), DeadlineInterceptor()])
    pool_admin_service_pb2_grpc.add_PoolAdminServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Link(channel)
    finally:
        await server.stop(0)


class Clock:
    """Seconds, as told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Managed:
    """The management API in this process."""

    admin: PoolAdmin
    links: list[Link]
    client: httpx2.AsyncClient
    app: Starlette
    clock: Clock
    told: list[str]

    @property
    def changes(self) -> list[tuple[str, Any]]:
        """What was called but for what only finds out whether the key is right."""
        return [
            (method, request)
            for method, request in self.admin.calls
            if not (method == "ListRevisions" and request.before_revision == 1)
        ]


def application(links: list[Link], tell: Callable[[str], None]) -> Starlette:
    app = Starlette(
        routes=management_routes(ManagementClient(links), tell),
        exception_handlers={HTTPException: http_error, Exception: internal_error},
    )
    app.router.redirect_slashes = False
    return app


@contextlib.asynccontextmanager
async def managed(*, key: str = KEY, shown: str = KEY) -> AsyncIterator[Managed]:
    """`key` is the resolver's, `shown` the client's; empty for none."""
    admin, clock, told = PoolAdmin(), Clock(), list[str]()
    async with link(admin, key, clock) as only:
        links = [only]
        app = application(links, told.append)
        transport = httpx2.ASGITransport(app, client=("192.0.2.1", 1234))
        head = {"x-management-key": shown} if shown else {}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://edge/v0/management", headers=head
        ) as client:
            yield Managed(admin, links, client, app, clock, told)


class DirectLink:
    """A `Link` without a network, for applications that run in event loops of somebody else's."""

    is_up = True

    def __init__(self, admin: PoolAdmin) -> None:
        self._admin = admin

    async def administer(self, method: str, request: Any, caller: Caller, timeout_s: float) -> Any:
        if caller.key != KEY:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata())
        return await getattr(self._admin, method)(request, _DirectContext(timeout_s))


class _DirectContext:
    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def time_remaining(self) -> float:
        return self._timeout_s

    async def abort_with_status(self, status: Any) -> NoReturn:
        trailing = grpc.aio.Metadata(*status.trailing_metadata)
        raise grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailing, status.details)
