"""`forebay.resolver.v1.PoolAdminService` over the application. `ManagementKeyInterceptor` has let the caller in."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc.aio
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc
from resolver_service.adapters.grpc_api import json_values, messages, refusals
from resolver_service.adapters.grpc_api.messages import InvalidRequestError
from resolver_service.adapters.grpc_api.plans import PlanWriter
from resolver_service.app.edit import LONGEST_AUTHOR, Editor, Terms
from resolver_service.app.operate import Operator, UnknownTargetError
from resolver_service.app.ports import MOST_REVISIONS, Revision, Siblings
from resolver_service.app.refusals import ResolveError
from resolver_service.app.resolve import Resolver
from resolver_service.app.status import Glance, State, Status
from resolver_service.domain.config import ConfigError, Problem
from resolver_service.domain.config_changes import Change, Deleted, Kind, Put, Replaced, model_pools, providers

Context = grpc.aio.ServicerContext[Any, Any]
Response = TypeVar("Response")

USUAL_PAGE = 50
MOST_STATUS_BYTES = 15 * 1024 * 1024
"""Of targets: some 300,000. A message has 16 MiB."""

_FRAME_BYTES = 5
"""Around each target in a message, at most."""

_log = structlog.get_logger("forebay.resolver.config")


class PoolAdminServicer(pool_admin_service_pb2_grpc.PoolAdminServiceServicer):
    def __init__(
        self, operator: Operator, editor: Editor, status: Status, resolver: Resolver, siblings: Siblings
    ) -> None:
        self._operator = operator
        self._editor = editor
        self._status = status
        self._resolver = resolver
        self._siblings = siblings
        self._writer = PlanWriter()

    # --- What is configured ---

    async def GetModelPools(self, request: pb.GetModelPoolsRequest, context: Context) -> pb.GetModelPoolsResponse:
        current = self._editor.current
        said = await asyncio.to_thread(json_values.encoded, model_pools(current.document))
        return pb.GetModelPoolsResponse(model_pools_json=said, etag=current.digest)

    async def GetProviders(self, request: pb.GetProvidersRequest, context: Context) -> pb.GetProvidersResponse:
        current = self._editor.current
        said = await asyncio.to_thread(json_values.encoded, providers(current.document))
        return pb.GetProvidersResponse(providers_json=said, etag=current.digest)

    # --- Changes ---

    async def ReplaceModelPools(
        self, request: pb.ReplaceModelPoolsRequest, context: Context
    ) -> pb.ReplaceModelPoolsResponse:
        make = _replaced("model-pools", request.model_pools_json)
        return await self._change(make, request, pb.ReplaceModelPoolsResponse, context)

    async def UpsertPool(self, request: pb.UpsertPoolRequest, context: Context) -> pb.UpsertPoolResponse:
        return await self._change(_put(Kind.POOL, request.pool_json), request, pb.UpsertPoolResponse, context)

    async def DeletePool(self, request: pb.DeletePoolRequest, context: Context) -> pb.DeletePoolResponse:
        return await self._change(_deleted(Kind.POOL, request.pool_id), request, pb.DeletePoolResponse, context)

    async def UpsertCluster(self, request: pb.UpsertClusterRequest, context: Context) -> pb.UpsertClusterResponse:
        return await self._change(_put(Kind.CLUSTER, request.cluster_json), request, pb.UpsertClusterResponse, context)

    async def DeleteCluster(self, request: pb.DeleteClusterRequest, context: Context) -> pb.DeleteClusterResponse:
        make = _deleted(Kind.CLUSTER, request.cluster_id)
        return await self._change(make, request, pb.DeleteClusterResponse, context)

    async def ReplaceProviders(
        self, request: pb.ReplaceProvidersRequest, context: Context
    ) -> pb.ReplaceProvidersResponse:
        make = _replaced("providers", request.providers_json)
        return await self._change(make, request, pb.ReplaceProvidersResponse, context)

    async def UpsertProvider(self, request: pb.UpsertProviderRequest, context: Context) -> pb.UpsertProviderResponse:
        make = _put(Kind.PROVIDER, request.provider_json)
        return await self._change(make, request, pb.UpsertProviderResponse, context)

    async def DeleteProvider(self, request: pb.DeleteProviderRequest, context: Context) -> pb.DeleteProviderResponse:
        make = _deleted(Kind.PROVIDER, request.provider_id)
        return await self._change(make, request, pb.DeleteProviderResponse, context)

    # --- Revisions ---

    async def ListRevisions(self, request: pb.ListRevisionsRequest, context: Context) -> pb.ListRevisionsResponse:
        most = min(request.page_size or USUAL_PAGE, MOST_REVISIONS)
        listing = self._editor.revisions(min(request.before_revision, 2**62), most)
        found = await self._or_refuse(listing, context)
        return pb.ListRevisionsResponse(
            revisions=[
                pb.Revision(
                    revision=past.number,
                    created_at=past.created_at,
                    author=past.author,
                    summary=past.summary,
                    diff=past.diff,
                )
                for past in found
            ]
        )

    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> pb.RollbackResponse:
        number = min(request.revision, 2**62)
        made = await self._or_refuse(self._editor.roll_back(number, _terms(request)), context)
        return pb.RollbackResponse(revision=made.number, etag=made.digest)

    async def ApplyConfiguration(
        self, request: pb.ApplyConfigurationRequest, context: Context
    ) -> pb.ApplyConfigurationResponse:
        made = await self._or_refuse(self._apply(request), context)
        return pb.ApplyConfigurationResponse(revision=made.number, etag=made.digest)

    async def _apply(self, request: pb.ApplyConfigurationRequest) -> Revision:
        """Whoever sends a text has its lines before them."""
        try:
            return await self._editor.apply(request.text, _terms(request))
        except ConfigError as error:
            lines = (f" (line {it.line})" if it.line else "" for it in error.problems)
            told = [Problem(it.path, it.message + line) for it, line in zip(error.problems, lines, strict=True)]
            raise ConfigError(told) from None

    # --- Targets ---

    async def ClearCooldown(self, request: pb.ClearCooldownRequest, context: Context) -> pb.ClearCooldownResponse:
        await self._do(self._operator.clear, request.target_id, context)
        return pb.ClearCooldownResponse()

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        await self._do(self._operator.drain if request.drained else self._operator.undrain, request.target_id, context)
        return pb.DrainResponse()

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        glance = self._status.glance()
        response = await asyncio.to_thread(_status, glance)
        for replica in await self._siblings.replicas():
            response.replicas.add(
                id=replica.id,
                revision=replica.revision,
                seen_ms_ago=round(1000 * replica.seen_s_ago),
                degraded=replica.is_degraded,
            )
        return response

    async def ExplainName(self, request: pb.ExplainNameRequest, context: Context) -> pb.ExplainNameResponse:
        try:
            found = self._resolver.explain(messages.query(request.explain.request, "explain.request."), everything=True)
        except (ResolveError, InvalidRequestError) as error:
            await _abort(context, messages.error_status(error))
        plan = self._writer.write(found.decision) if found.decision else b""
        return pb.ExplainNameResponse(explanation=messages.explanation(found, plan))

    async def _change(
        self, make: Callable[[], Change], request: Any, made: Callable[..., Response], context: Context
    ) -> Response:
        revision = await self._or_refuse(self._made(make, _terms(request)), context)
        return made(revision=revision.number, etag=revision.digest)

    async def _made(self, make: Callable[[], Change], terms: Terms) -> Revision:
        return await self._editor.change(await asyncio.to_thread(make), terms)

    async def _or_refuse(self, doing: Awaitable[Response], context: Context) -> Response:
        try:
            return await doing
        except refusals.REFUSALS as error:
            await _abort(context, refusals.status(error))

    async def _do(self, what: Callable[[str], None], target_id: str, context: Context) -> None:
        try:
            what(target_id)
        except UnknownTargetError as error:
            await _abort(context, messages.error_status(error))
        await self._or_refuse(self._siblings.settled(), context)


def _terms(request: Any) -> Terms:
    def made(revision: Revision) -> None:
        what = request.DESCRIPTOR.name.removesuffix("Request")
        author = request.author[:LONGEST_AUTHOR]
        _log.info("config_changed", by=what, author=author, revision=revision.number)

    return Terms(request.etag, request.validate_only, request.author, made)


def _replaced(section: str, text: bytes) -> Callable[[], Change]:
    return lambda: Replaced(section, json_values.decoded(text))


def _put(kind: Kind, text: bytes) -> Callable[[], Change]:
    return lambda: Put(kind, json_values.decoded(text))


def _deleted(kind: Kind, name: str) -> Callable[[], Change]:
    return lambda: Deleted(kind, name)


def _status(glance: Glance) -> pb.GetStatusResponse:
    response = pb.GetStatusResponse(revision=glance.revision.number)
    for target in glance.targets():
        response.targets.add(
            target_id=target.target_id,
            state=target.state.value,
            reason=target.reason.value if target.reason else "",
            retry_after_ms=math.ceil(1000 * target.retry_after_s),
            in_flight=target.in_flight,
            recent=[pb.OutcomeCount(disposition=d.value, count=count) for d, count in target.recent.items()],
        )
    return response if response.ByteSize() <= MOST_STATUS_BYTES else _cut(response)


def _cut(response: pb.GetStatusResponse) -> pb.GetStatusResponse:
    """As much of it as there is room for."""
    targets = sorted(response.targets, key=lambda t: t.state == State.READY and not t.in_flight and not t.recent)
    sizes = itertools.accumulate(target.ByteSize() + _FRAME_BYTES for target in targets)
    kept = sum(1 for _ in itertools.takewhile(lambda size: size <= MOST_STATUS_BYTES, sizes))
    return pb.GetStatusResponse(
        revision=response.revision, targets=targets[:kept], targets_left_out=len(targets) - kept
    )


async def _abort(context: Context, status: status_pb2.Status) -> NoReturn:
    await context.abort_with_status(rpc_status.to_status(status))
