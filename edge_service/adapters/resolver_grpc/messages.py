"""Between the messages of `forebay.resolver.v1` and the edge's values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from edge_service.app.ports import Model, Question, Report, ReportBound
from edge_service.domain.client_limits import Allowance, ClientLimits
from edge_service.domain.errors import (
    ApiError,
    ClientKeyError,
    ClientLimitError,
    ContextLengthError,
    InvalidRequestError,
    LimitedError,
    ModelNotFoundError,
    NeedsUnmetError,
    ResponseNotFoundError,
    UnavailableError,
)
from edge_service.domain.failover import ReportClosed, ReportContent, ReportEnded, ReportFailed
from edge_service.domain.needs import NO_NEEDS, UNREPORTED, Operation
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import NO_PARAMS, NO_QUIRKS, AnswerRule, Attempt, Params, Plan, Quirks, Timeouts
from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb

Detail = TypeVar("Detail", bound=Message)

_TO_WIRE = {d: plan_pb2.Disposition.Value(f"DISPOSITION_{d.name}") for d in Disposition}
_FROM_WIRE: dict[int, Disposition] = {number: disposition for disposition, number in _TO_WIRE.items()}
_OPERATIONS = {o: plan_pb2.Operation.Value(f"OPERATION_{o.name}") for o in Operation}
_CREDENTIAL = Disposition.CREDENTIAL
_CLOSED = pb.DecisionClosed()
_LARGEST = 2**32 - 1
MOST_ATTEMPTS = 4096
"""Decoded attempts that are kept; some KiB each."""


def resolve_request(
    question: Question, timeout_ms: int, affinity_key: bytes = b"", *, key_required: bool = False
) -> pb.ResolveRequest:
    """`affinity_key` is that of the stored response which the question continues; empty for none."""
    request = pb.ResolveRequest(
        request_id=question.request_id,
        model=question.model,
        operation=_OPERATIONS[question.operation],
        stream=question.stream,
        timeout_ms=timeout_ms,
        will_report=question.operation not in UNREPORTED,
        client_key_sha256=question.client_key,
        client_key_required=key_required,
    )
    needs = question.needs
    if needs is not NO_NEEDS:
        request.needs.capabilities.extend(needs.capabilities)
        request.needs.estimated_input_tokens = min(needs.estimated_input_tokens, _LARGEST)
        request.needs.max_output_tokens = min(needs.max_output_tokens, _LARGEST)
    if affinity_key:
        request.affinity_key, request.affinity_required = affinity_key, True
    return request


def plan(message: plan_pb2.Plan) -> Plan:
    return Plan(
        decision_id=message.decision_id,
        attempts=tuple([_attempt(attempt.SerializeToString()) for attempt in message.attempts]),
        attempts_allowed=message.attempts_allowed,
        total_s=message.total_ms / 1000,
        name=message.name,
        depends_on_needs=message.depends_on_needs,
        limits=_limits(message.limits) if message.HasField("limits") else None,
    )


def _limits(message: plan_pb2.ClientLimits) -> ClientLimits:
    return ClientLimits(
        requests=_allowance(message.requests) if message.HasField("requests") else None,
        tokens=_allowance(message.tokens) if message.HasField("tokens") else None,
    )


def _allowance(message: plan_pb2.Allowance) -> Allowance:
    return Allowance(message.limit, message.remaining, message.reset_ms / 1000)


@lru_cache(maxsize=MOST_ATTEMPTS)
def _attempt(wire: bytes) -> Attempt:
    """A decoded attempt. Plan after plan has the same ones, and to look one up by its bytes takes a tenth of the time
    of decoding it."""
    message = plan_pb2.Attempt.FromString(wire)
    timeouts = message.timeouts
    return Attempt(
        target_id=message.target_id,
        provider=message.provider,
        dialect=message.dialect,
        base_url=message.base_url,
        upstream_model=message.upstream_model,
        credential_ref=message.credential_ref,
        reasoning=message.reasoning,
        timeouts=Timeouts(
            connect_s=_connect_ms(timeouts) / 1000,
            headers_s=timeouts.headers_ms / 1000,
            first_content_s=timeouts.first_content_ms / 1000,
            idle_s=timeouts.idle_ms / 1000,
            stream_s=timeouts.stream_ms / 1000,
        ),
        never=_dispositions(message.failover.never),
        also=_dispositions(message.failover.also),
        probe=message.probe,
        health_generation=message.health_generation,
        allow_private=message.allow_private,
        rules=tuple(
            AnswerRule(_FROM_WIRE[r.disposition], r.status, r.body_contains)
            for r in message.rules
            if r.disposition in _FROM_WIRE
        ),
        quirks=_quirks(message.quirks) if message.HasField("quirks") else NO_QUIRKS,
        responses=message.responses,
        params=_params(message),
        max_output_tokens=message.max_output_tokens,
    )


def _quirks(message: plan_pb2.Quirks) -> Quirks:
    return Quirks(
        max_tokens_field=message.max_tokens_field or NO_QUIRKS.max_tokens_field,
        system_role=message.system_role or NO_QUIRKS.system_role,
        drop=frozenset(message.drop),
        auth_header=message.auth_header,
        headers=tuple((header.name.encode(), header.value.encode()) for header in message.headers),
        api_version=message.api_version,
        deployment_paths=message.deployment_paths,
        takes=frozenset(message.takes),
        lacks=frozenset(message.lacks),
        rename=tuple(sorted(message.rename.items())),
        efforts=tuple(message.efforts),
        effort_field=message.effort_field or NO_QUIRKS.effort_field,
        thoughts=tuple(message.thoughts),
        max_stops=message.max_stops or NO_QUIRKS.max_stops,
        call_id_chars=message.call_id_chars,
    )


def _params(message: plan_pb2.Attempt) -> Params:
    if message.params_set_json or message.params_default_json or message.params_drop:
        return Params(message.params_set_json, message.params_default_json, frozenset(message.params_drop))
    return NO_PARAMS


def _connect_ms(timeouts: plan_pb2.Timeouts) -> float:
    """The connect time-out, somewhat shorter than the time until something has to arrive: a provider that cannot be
    reached must not be taken for a silent one."""
    limits = [0.9 * until for until in (timeouts.headers_ms, timeouts.first_content_ms) if until]
    return min([timeouts.connect_ms or math.inf, *limits]) if limits else timeouts.connect_ms


def _dispositions(numbers: Iterable[int]) -> frozenset[Disposition]:
    # One that this edge does not know is from a newer resolver, and nothing here will ever have it.
    return frozenset(_FROM_WIRE[number] for number in numbers if number in _FROM_WIRE)


def outcome_report(
    decision_id: str, report: Report, latency_s: float = 0.0, affinity_key: bytes = b""
) -> pb.OutcomeReport:
    """`affinity_key` is that of the stored response, for a report of one."""
    if isinstance(report, ReportEnded):  # As nearly all are.
        attempt = report.attempt
        ended = pb.AttemptEnded(
            target_id=attempt.target_id,
            health_generation=attempt.health_generation,
            input_tokens=report.input_tokens,
            output_tokens=report.output_tokens,
        )
        return pb.OutcomeReport(decision_id=decision_id, ended=ended, closes=True)
    if isinstance(report, ReportClosed):
        return pb.OutcomeReport(decision_id=decision_id, closed=_CLOSED)
    if isinstance(report, ReportFailed):
        return pb.OutcomeReport(decision_id=decision_id, failed=_failed(report))
    message = pb.OutcomeReport(decision_id=decision_id)
    match report:
        case ReportContent(attempt):
            content = message.content
            content.target_id = attempt.target_id
            content.health_generation = attempt.health_generation
            content.latency_ms = round(latency_s * 1000)
        case ReportBound(attempt):
            message.bound.target_id = attempt.target_id
            message.bound.affinity_key = affinity_key
    return message


def _failed(report: ReportFailed) -> pb.AttemptFailed:
    attempt, outcome = report.attempt, report.outcome
    failed = pb.AttemptFailed(
        target_id=attempt.target_id,
        health_generation=attempt.health_generation,
        disposition=_TO_WIRE[_told_as(outcome)],
        status=outcome.status,
        input_tokens=report.input_tokens,
        output_tokens=report.output_tokens,
    )
    if outcome.retry_after_s is not None:
        # At least 1: 0 stands for unsaid, and "at once" is what the provider said.
        failed.retry_after_ms = max(1, round(outcome.retry_after_s * 1000))
    return failed


def _told_as(outcome: Outcome) -> Disposition:
    """The disposition to report. A credential that this edge cannot find, and a client's short time limit, say nothing
    of the target: it must not cool for other edges and clients."""
    if outcome.is_blameless or outcome.is_unfit:
        return Disposition.CANCELLED
    if outcome.disposition is _CREDENTIAL and not outcome.status:
        return Disposition.CANCELLED
    return outcome.disposition


_ERRORS: dict[int, type[ApiError]] = {
    code_pb2.INVALID_ARGUMENT: InvalidRequestError,
    code_pb2.NOT_FOUND: ModelNotFoundError,
    code_pb2.RESOURCE_EXHAUSTED: LimitedError,
}
_REASONS: dict[str, type[ApiError]] = {
    "CONTEXT_LENGTH_EXCEEDED": ContextLengthError,
    "UNBOUND": ResponseNotFoundError,
    "NEEDS_UNMET": NeedsUnmetError,
    "CLIENT_KEY_MISSING": ClientKeyError,
    "CLIENT_KEY_UNKNOWN": ClientKeyError,
    "CLIENT_KEY_EXPIRED": ClientKeyError,
    "CLIENT_REQUESTS": ClientLimitError,
    "CLIENT_TOKENS": ClientLimitError,
    "CLIENT_CONCURRENT": ClientLimitError,
}


def api_error(status: status_pb2.Status) -> ApiError:
    """The resolver's refusal as the client is told of it."""
    kind = _REASONS.get(_reason(status)) or _ERRORS.get(status.code, UnavailableError)
    is_of_the_name = status.code in (code_pb2.NOT_FOUND, code_pb2.INVALID_ARGUMENT)
    param = "model" if is_of_the_name and kind is not ResponseNotFoundError else None
    error = kind(status.message, param=param, retry_after_s=retry_after_s(status))
    limits = _detail(status, plan_pb2.ClientLimits())
    if limits is not None:
        error.limits = _limits(limits)
    return error


def key_error(status: status_pb2.Status | None) -> ClientKeyError | None:
    """The client-key error that a refusal stands for; None for another refusal."""
    error = None if status is None else api_error(status)
    return error if isinstance(error, ClientKeyError) else None


def _reason(status: status_pb2.Status) -> str:
    info = _detail(status, error_details_pb2.ErrorInfo())
    return "" if info is None else str(info.reason)


def retry_after_s(status: status_pb2.Status) -> float | None:
    retry = _detail(status, error_details_pb2.RetryInfo())
    return None if retry is None else float(retry.retry_delay.ToMilliseconds() / 1000)


def _detail(status: status_pb2.Status, kind: Detail) -> Detail | None:
    """The first detail of this message's type, decoded into it."""
    for detail in status.details:
        try:
            if detail.Unpack(kind):
                return kind
        except DecodeError:
            continue
    return None


def models(response: pb.ListModelsResponse) -> list[Model]:
    return [
        Model(
            m.id,
            m.kind,
            m.description,
            m.created_at,
            m.provider,
            m.context_tokens,
            m.max_output_tokens,
            frozenset(m.capabilities.names) if m.HasField("capabilities") else None,
        )
        for m in response.models
    ]
