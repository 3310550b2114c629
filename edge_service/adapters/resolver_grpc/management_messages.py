"""Between the messages of `PoolAdminService` and the edge's values; what its refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from edge_service.adapters.resolver_grpc.messages import resolve_request, retry_after_s
from edge_service.app.ports import Question
from edge_service.domain.errors import ApiError, UnavailableError
from edge_service.domain.management import (
    BadQuestionError,
    ConflictError,
    ExplainedTarget,
    Explanation,
    InvalidChangeError,
    KeyRefusedError,
    Kind,
    LockedError,
    Mistake,
    NotServedError,
    NotThereError,
    OutdatedError,
    ReplicaStatus,
    Revision,
    Section,
    Status,
    TargetStatus,
    TooManyFailedKeysError,
)
from forebay.resolver.v1 import pool_admin_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2


@dataclass(frozen=True, slots=True)
class Rpc:
    method: str
    request: Callable[..., Message]
    field: str
    """Where what it is about stands: in the response of a read, in the request of a change."""


GET = MappingProxyType(
    {
        Section.MODEL_POOLS: Rpc("GetModelPools", pb.GetModelPoolsRequest, "model_pools_json"),
        Section.PROVIDERS: Rpc("GetProviders", pb.GetProvidersRequest, "providers_json"),
    }
)
REPLACE = MappingProxyType(
    {
        Section.MODEL_POOLS: Rpc("ReplaceModelPools", pb.ReplaceModelPoolsRequest, "model_pools_json"),
        Section.PROVIDERS: Rpc("ReplaceProviders", pb.ReplaceProvidersRequest, "providers_json"),
    }
)
UPSERT = MappingProxyType(
    {
        Kind.POOL: Rpc("UpsertPool", pb.UpsertPoolRequest, "pool_json"),
        Kind.CLUSTER: Rpc("UpsertCluster", pb.UpsertClusterRequest, "cluster_json"),
        Kind.PROVIDER: Rpc("UpsertProvider", pb.UpsertProviderRequest, "provider_json"),
    }
)
DELETE = MappingProxyType(
    {
        Kind.POOL: Rpc("DeletePool", pb.DeletePoolRequest, "pool_id"),
        Kind.CLUSTER: Rpc("DeleteCluster", pb.DeleteClusterRequest, "cluster_id"),
        Kind.PROVIDER: Rpc("DeleteProvider", pb.DeleteProviderRequest, "provider_id"),
    }
)
ROLLBACK = Rpc("Rollback", pb.RollbackRequest, "revision")


def explain_request(question: Question, excluded: Sequence[str], timeout_ms: int) -> pb.ExplainNameRequest:
    request = resolve_request(question, timeout_ms)
    request.excluded_targets.extend(excluded)
    return pb.ExplainNameRequest(explain=resolver_service_pb2.ExplainRequest(request=request))


def explanation(message: resolver_service_pb2.ExplainResponse) -> Explanation:
    plan = message.plan
    return Explanation(
        name=plan.name,
        kind=message.kind,
        revision=plan.revision,
        attempts_allowed=plan.attempts_allowed,
        planned=tuple(attempt.target_id for attempt in plan.attempts),
        targets=tuple(
            ExplainedTarget(t.target_id, t.path, t.available, t.reason, _seconds(t.retry_after_ms))
            for t in message.targets
        ),
    )


def revisions(response: pb.ListRevisionsResponse) -> list[Revision]:
    return [Revision(r.revision, r.created_at, r.author, r.summary, r.diff) for r in response.revisions]


def status(response: pb.GetStatusResponse) -> Status:
    return Status(
        revision=response.revision,
        targets=tuple(
            TargetStatus(
                id=t.target_id,
                state=t.state,
                reason=t.reason,
                retry_after_s=_seconds(t.retry_after_ms),
                in_flight=t.in_flight,
                recent={outcome.disposition: outcome.count for outcome in t.recent},
            )
            for t in response.targets
        ),
        replicas=tuple(ReplicaStatus(r.id, r.revision, r.seen_ms_ago / 1000, r.degraded) for r in response.replicas),
        targets_left_out=response.targets_left_out,
    )


def _seconds(milliseconds: int) -> float | None:
    return milliseconds / 1000 if milliseconds else None


RETRY_AFTER_S = 1.0

_NOT_THERE: Mapping[str, str] = MappingProxyType(
    {
        "DeletePool": "pool not found",
        "DeleteCluster": "cluster not found",
        "DeleteProvider": "provider not found",
        "Rollback": "revision not found",
        "ClearCooldown": "target not found",
        "Drain": "target not found",
    }
)
_QUESTIONS = frozenset({"ExplainName", "ListRevisions"})
_LOCKED = "providers can be changed in the file only: the resolver runs without --allow-provider-edits"


def refusal(method: str, error: grpc.aio.AioRpcError) -> ApiError | None:
    """What the resolver said in refusing a call; None if it did not say that nothing was done."""
    said = _status(error)
    details = error.details() or ""
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return KeyRefusedError()
        case grpc.StatusCode.UNIMPLEMENTED:
            return NotServedError()
        case grpc.StatusCode.NOT_FOUND:
            return NotThereError(_NOT_THERE.get(method, details))
        case grpc.StatusCode.ABORTED:
            return OutdatedError()
        case grpc.StatusCode.INVALID_ARGUMENT if method in _QUESTIONS:
            return BadQuestionError(details)
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidChangeError(_mistakes(said) or (Mistake("", details),))
        case grpc.StatusCode.FAILED_PRECONDITION:
            return LockedError(_LOCKED) if _reason(said) == "PROVIDERS_LOCKED" else ConflictError(details)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if _reason(said) == "TOO_MANY_FAILED_KEYS":
            return TooManyFailedKeysError(retry_after_s(said) or RETRY_AFTER_S)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            # More calls at a time than are served, or a message that is too large: neither has been looked at.
            return UnavailableError(f"the resolver turned the call away: {details}", retry_after_s=RETRY_AFTER_S)
        case grpc.StatusCode.UNAVAILABLE if _reason(said):
            return UnavailableError(details, retry_after_s=RETRY_AFTER_S)  # The resolver's own word: it could not.
    return None


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        found: Any = rpc_status.from_call(error)  # type: ignore[arg-type] # It has all that is asked of a call.
    except (ValueError, DecodeError):  # Details that contradict the status, or are none: not the resolver's.
        found = None
    return found or status_pb2.Status()


def _mistakes(said: status_pb2.Status) -> tuple[Mistake, ...]:
    for detail in said.details:
        bad = error_details_pb2.BadRequest()
        if detail.Is(bad.DESCRIPTOR) and detail.Unpack(bad):
            return tuple(Mistake(violation.field, violation.description) for violation in bad.field_violations)
    return ()


def _reason(said: status_pb2.Status) -> str:
    for detail in said.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
            return str(info.reason)
    return ""
