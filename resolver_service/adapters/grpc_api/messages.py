"""Between the application's values and the messages of `forebay.resolver.v1`."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2
from resolver_service.app import watch
from resolver_service.app.access import ClientKeyError
from resolver_service.app.decisions import Explanation, Query, TargetView
from resolver_service.app.limits import ClientLimitError
from resolver_service.app.operate import UnknownTargetError
from resolver_service.app.ports import Revision
from resolver_service.app.refusals import (
    BoundElsewhereError,
    NoTargetError,
    ResolveError,
    UnboundError,
    UnknownModelError,
    UnservableError,
)
from resolver_service.app.report import Bound, Closed, Content, Ended, Event, Failed
from resolver_service.domain import selection
from resolver_service.domain.abilities import (
    CONTEXT,
    NO_NEEDS,
    OUTPUT,
    UNKNOWN,
    Abilities,
    Capability,
    Needs,
    in_common,
)
from resolver_service.domain.catalog import Group, RawModel
from resolver_service.domain.clients import Client
from resolver_service.domain.failed_keys import TooManyFailedKeysError
from resolver_service.domain.limits import Allowance, Allowances
from resolver_service.domain.names import name_key
from resolver_service.domain.policy import Disposition

ERROR_DOMAIN = "forebay"
MAX_KEY_BYTES = 64
"""Of an affinity key. An HMAC of SHA-256 has 32."""
INTERNAL = status_pb2.Status(code=code_pb2.INTERNAL, message="the resolver failed; its log says how")

TO_WIRE = {d: plan_pb2.Disposition.Value(f"DISPOSITION_{d.name}") for d in Disposition}
_FAILURES = {number: disposition for disposition, number in TO_WIRE.items() if disposition is not Disposition.OK}

# Looking them up in their module, request by request, would cost more than the comparisons.
_EMBED, _COUNT = plan_pb2.OPERATION_EMBED, plan_pb2.OPERATION_COUNT
_RETRIEVE, _AUTHENTICATE = plan_pb2.OPERATION_RETRIEVE, plan_pb2.OPERATION_AUTHENTICATE
_OPERATIONS = frozenset(plan_pb2.Operation.values())
_CAPABILITIES = {c.value: c for c in Capability}
_NEEDS_FIELDS = {CONTEXT: "estimated_input_tokens", OUTPUT: "max_output_tokens"}
_NONE: frozenset[Any] = frozenset()
_EMBEDDINGS = frozenset({Capability.EMBEDDINGS})


class InvalidRequestError(Exception):
    """A message that breaks the contract."""

    def __init__(self, field: str, description: str) -> None:
        self.field = field
        self.description = description
        super().__init__(f"{field}: {description}")


def query(request: resolver_service_pb2.ResolveRequest, path: str = "") -> Query:
    """`path` leads to the request, for the fields that errors name. Raises `InvalidRequestError`."""
    operation, model, excluded = request.operation, request.model, request.excluded_targets
    affinity_key, affinity_required = request.affinity_key, request.affinity_required
    if operation not in _OPERATIONS:
        # From a newer caller. Taken for another one it would take a turn, a probe, and targets that may be unfit.
        raise InvalidRequestError(f"{path}operation", f"this resolver knows no operation {operation}")
    retrieving = operation == _RETRIEVE
    if not (model.strip() or retrieving or operation == _AUTHENTICATE):
        raise InvalidRequestError(f"{path}model", "a model name is required")
    if (affinity_required or retrieving) and not affinity_key:
        raise InvalidRequestError(f"{path}affinity_key", "the key of what was made before is required")
    return Query(
        model,
        operation == _COUNT,
        request.will_report,
        frozenset(excluded) if excluded else _NONE,
        request.stream,
        _needs(request.needs, operation) if operation == _EMBED or request.HasField("needs") else NO_NEEDS,
        affinity_key,
        affinity_required,
        retrieving,
        request.client_key_sha256,
        request.client_key_required,
    )


def _needs(needs: resolver_service_pb2.Needs, operation: int) -> Needs:
    words = needs.capabilities
    # Words that are not known here are from a newer caller. No configuration can have them, so they are passed over.
    capabilities = frozenset([_CAPABILITIES[word] for word in words if word in _CAPABILITIES]) if words else _NONE
    if operation == _COUNT:
        return Needs(capabilities)  # Whether it would fit is what is being found out.
    if operation == _EMBED:
        capabilities |= _EMBEDDINGS
    return Needs(capabilities, needs.estimated_input_tokens, needs.max_output_tokens)


def limits(allowances: Allowances) -> plan_pb2.ClientLimits:
    return plan_pb2.ClientLimits(requests=_allowance(allowances.requests), tokens=_allowance(allowances.tokens))


def _allowance(allowance: Allowance | None) -> plan_pb2.Allowance | None:
    if allowance is None:
        return None
    return plan_pb2.Allowance(limit=allowance.limit, remaining=allowance.remaining, reset_ms=allowance.reset_ms)


def ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def event(report: resolver_service_pb2.OutcomeReport, path: str = "") -> Event:
    """What the application learns from. Raises `InvalidRequestError`."""
    match report.WhichOneof("event"):
        case "ended":
            ended = report.ended
            return Ended(ended.target_id, ended.health_generation, ended.input_tokens, ended.output_tokens)
        case "closed":
            return Closed()
        case "failed":
            failed = report.failed
            disposition = _FAILURES.get(failed.disposition)
            if disposition is None:
                raise InvalidRequestError(f"{path}failed.disposition", f"{failed.disposition} is no failure known here")
            retry_after_s = failed.retry_after_ms / 1000 if failed.retry_after_ms else None
            used = (failed.input_tokens, failed.output_tokens)
            return Failed(failed.target_id, failed.health_generation, disposition, retry_after_s, *used)
        case "bound":
            size = len(report.bound.affinity_key)
            if not 0 < size <= MAX_KEY_BYTES:
                raise InvalidRequestError(f"{path}bound.affinity_key", f"1 to {MAX_KEY_BYTES} bytes, not {size}")
            return Bound(report.bound.target_id, report.bound.affinity_key)
        case "content":
            return Content(report.content.target_id)
        case _:
            raise InvalidRequestError(f"{path}event", "one of failed, content, ended, closed and bound is required")


def explanation(found: Explanation, plan: bytes) -> resolver_service_pb2.ExplainResponse:
    """`plan` is what `PlanWriter` makes of its decision, if it has one."""
    response = resolver_service_pb2.ExplainResponse(kind=found.kind, targets=[_target_view(v) for v in found.targets])
    if found.decision is not None:
        response.plan.MergeFromString(plan)
    return response


def _target_view(view: TargetView) -> resolver_service_pb2.TargetExplanation:
    return resolver_service_pb2.TargetExplanation(
        target_id=view.target.id,
        path=view.target.path,
        available=view.available,
        reason=view.reason,
        retry_after_ms=ms(view.retry_after_s),
    )


def models(revision: Revision, client: Client | None = None) -> resolver_service_pb2.ListModelsResponse:
    """Pools, clusters, raw models, as far as the client may call them; a name that stands for several things is listed
    as what it finds."""
    catalog = revision.catalog
    entries = [
        _model(g, resolver_service_pb2.ModelEntry(kind=g.kind, description=g.description))
        for g in catalog.virtual_models()
    ]
    entries += [
        _model(model, resolver_service_pb2.ModelEntry(kind="model", provider=model.sources[0].targets[0].provider.id))
        for model in catalog.models.values()
        if not catalog.is_virtual(model.id)
    ]
    if client is not None:
        entries = [entry for entry in entries if client.may_call(name_key(entry.id))]
    for entry in entries:
        entry.created_at = revision.loaded_at
    return resolver_service_pb2.ListModelsResponse(models=entries, revision=revision.number)


def _model(found: Group | RawModel, entry: resolver_service_pb2.ModelEntry) -> resolver_service_pb2.ModelEntry:
    entry.id = found.id
    known = _known(found)
    if known != UNKNOWN:
        entry.context_tokens = known.context_tokens
        entry.max_output_tokens = known.max_output_tokens
        if known.capabilities is not None:
            entry.capabilities.names.extend(c for c in Capability if c in known.capabilities)
            entry.capabilities.SetInParent()
    return entry


def _known(found: Group | RawModel) -> Abilities:
    """What all targets have in common that a plan could have."""
    if not found.has_abilities:
        return UNKNOWN
    return in_common(t.abilities for t in selection.targets_of(found) if not t.disabled)


def watched(event: watch.Event) -> resolver_service_pb2.WatchResponse:
    if isinstance(event, int):
        return resolver_service_pb2.WatchResponse(revision=resolver_service_pb2.RevisionChanged(revision=event))
    return resolver_service_pb2.WatchResponse(
        health=resolver_service_pb2.HealthChanged(
            target_id=event.target_id, state=event.state.value, retry_after_ms=ms(event.retry_after_s)
        )
    )


def error_status(
    error: ResolveError | InvalidRequestError | UnknownTargetError | TooManyFailedKeysError,
) -> status_pb2.Status:
    """The error as every RPC answers it, with machine-readable details."""
    match error:
        case InvalidRequestError(field=field, description=description):
            violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            return _status(code_pb2.INVALID_ARGUMENT, error, error_details_pb2.BadRequest(field_violations=[violation]))
        case UnknownModelError(closest=closest):
            return _status(code_pb2.NOT_FOUND, error, _info(error.code, {"closest": ",".join(closest)}))
        case UnknownTargetError() | UnboundError():
            return _status(code_pb2.NOT_FOUND, error, _info(error.code, {}))
        case ClientKeyError():
            return _status(code_pb2.UNAUTHENTICATED, error, _info(error.code, {}))
        case ClientLimitError(retry_after_s=retry_after_s, allowances=allowances):
            return _status(
                code_pb2.RESOURCE_EXHAUSTED, error, _info(error.code, {}), _retry(retry_after_s), limits(allowances)
            )
        case TooManyFailedKeysError(retry_after_s=retry_after_s):
            return _status(code_pb2.RESOURCE_EXHAUSTED, error, _info(error.code, {}), _retry(retry_after_s))
        case BoundElsewhereError():
            violation = error_details_pb2.BadRequest.FieldViolation(field="model", description=str(error))
            fields = error_details_pb2.BadRequest(field_violations=[violation])
            return _status(code_pb2.INVALID_ARGUMENT, error, _info(error.code, {}), fields)
        case UnservableError(lacking=lacking):
            return _unservable(error, lacking)
        case NoTargetError(retry_after_s=retry_after_s):
            limited = error.code == "rate_limited"
            details: list[message.Message] = [_info(error.code, {})]
            if retry_after_s is not None:
                details.append(_retry(retry_after_s))
            return _status(code_pb2.RESOURCE_EXHAUSTED if limited else code_pb2.UNAVAILABLE, error, *details)
    return _status(code_pb2.INTERNAL, error)


def _retry(after_s: float) -> error_details_pb2.RetryInfo:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(ms(after_s))
    return retry


def _unservable(error: UnservableError, lacking: tuple[str, ...]) -> status_pb2.Status:
    fields = dict.fromkeys(_NEEDS_FIELDS.get(word, "capabilities") for word in lacking)
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=f"needs.{field}", description=str(error)) for field in fields
    ]
    reason = "context_length_exceeded" if lacking == (CONTEXT,) else error.code
    details = error_details_pb2.BadRequest(field_violations=violations)
    return _status(code_pb2.INVALID_ARGUMENT, error, _info(reason, {"lacking": ",".join(lacking)}), details)


def _info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason.upper(), domain=ERROR_DOMAIN, metadata=metadata)


def _status(code: int, error: Exception, *details: message.Message) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=str(error))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
