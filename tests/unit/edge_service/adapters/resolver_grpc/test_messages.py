from __future__ import annotations

import pytest
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from edge_service.adapters.resolver_grpc import messages
from edge_service.app.ports import Model, Question, ReportBound
from edge_service.domain.affinity import Made
from edge_service.domain.client_limits import Allowance, ClientLimits
from edge_service.domain.errors import (
    ApiError,
    ClientKeyError,
    ClientLimitError,
    InvalidRequestError,
    LimitedError,
    ModelNotFoundError,
    ResponseNotFoundError,
    UnavailableError,
)
from edge_service.domain.failover import ReportClosed, ReportContent, ReportEnded, ReportFailed
from edge_service.domain.needs import Capability, Needs, Operation
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import NO_PARAMS, NO_QUIRKS, AnswerRule, Attempt, Params, Plan, Quirks, Timeouts
from edge_service.domain.retry_after import http_s
from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb

TARGET = Attempt("p/m#1", "p", "openai", "https://p.test/v1", "m", "env:P_API_KEY", health_generation=2**63)


@pytest.mark.parametrize("stream", [True, False])
def test_a_question_becomes_a_request_that_will_be_reported_on(stream: bool) -> None:
    request = messages.resolve_request(Question("id-1", "Chat \U0001f600", stream), 300)
    assert request == pb.ResolveRequest(
        request_id="id-1",
        model="Chat \U0001f600",
        operation=plan_pb2.OPERATION_GENERATE,
        stream=stream,
        timeout_ms=300,
        will_report=True,
    )


@pytest.mark.parametrize("required", [True, False])
def test_the_hash_of_the_clients_key_goes_with_the_question(required: bool) -> None:
    request = messages.resolve_request(Question("r", "m", False, client_key=b"hash"), 300, key_required=required)
    assert (request.client_key_sha256, request.client_key_required) == (b"hash", required)
    question = Question("r", "", False, Operation.AUTHENTICATE, client_key=b"hash")
    assert not messages.resolve_request(question, 300).will_report


LIMITS = plan_pb2.ClientLimits(requests=plan_pb2.Allowance(limit=10, remaining=9, reset_ms=1500))
READ = ClientLimits(Allowance(10, 9, 1.5), None)


def test_a_clients_limits_are_read() -> None:
    assert messages.plan(plan_pb2.Plan(limits=LIMITS)).limits == READ
    assert messages.plan(plan_pb2.Plan(limits=plan_pb2.ClientLimits())).limits == ClientLimits(None, None)
    assert messages.plan(plan_pb2.Plan()).limits is None


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (code_pb2.UNAUTHENTICATED, "CLIENT_KEY_MISSING", ClientKeyError),
        (code_pb2.UNAUTHENTICATED, "CLIENT_KEY_UNKNOWN", ClientKeyError),
        (code_pb2.UNAUTHENTICATED, "CLIENT_KEY_EXPIRED", ClientKeyError),
        (code_pb2.UNAUTHENTICATED, "", UnavailableError),
        (code_pb2.RESOURCE_EXHAUSTED, "CLIENT_REQUESTS", ClientLimitError),
        (code_pb2.RESOURCE_EXHAUSTED, "CLIENT_TOKENS", ClientLimitError),
        (code_pb2.RESOURCE_EXHAUSTED, "CLIENT_CONCURRENT", ClientLimitError),
    ],
)
def test_what_is_wrong_with_a_client_is_told_from_what_is_wrong_elsewhere(
    code: int, reason: str, kind: type[ApiError]
) -> None:
    status = status_pb2.Status(code=code, message="words")
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain="forebay"), LIMITS):
        status.details.add().Pack(detail)
    error = messages.api_error(status)
    assert (type(error), error.message, error.limits) == (kind, "words", READ)
    assert (messages.key_error(status) is None) == (kind is not ClientKeyError)
    assert messages.key_error(None) is None


def test_what_a_request_needs_goes_with_the_question() -> None:
    needs = Needs((Capability.JSON_SCHEMA, Capability.VISION), 2**40, 64_000)
    request = messages.resolve_request(Question("id-1", "m", False, Operation.EMBED, needs), 300)
    assert request.operation == plan_pb2.OPERATION_EMBED
    assert request.needs == pb.Needs(
        capabilities=["json-schema", "vision"], estimated_input_tokens=2**32 - 1, max_output_tokens=64_000
    )
    assert not messages.resolve_request(Question("id-1", "m", False), 300).HasField("needs")


def test_what_a_request_goes_on_from_is_told_as_a_key_alone() -> None:
    made = Made("resp_1", b"o" * 32)
    request = messages.resolve_request(Question("r", "m", False, goes_on_from=made), 300, b"k" * 32)
    assert (request.affinity_key, request.affinity_required) == (b"k" * 32, True)
    report = messages.outcome_report("d", ReportBound(TARGET, made), 0.0, b"k" * 32)
    assert report == pb.OutcomeReport(decision_id="d", bound=pb.AttemptBound(target_id="p/m#1", affinity_key=b"k" * 32))


@pytest.mark.parametrize("reason", ["UNBOUND", "UNKNOWN_TARGET"])
def test_a_response_that_is_not_found_is_no_model_that_is_not(reason: str) -> None:
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="no")
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason))
    status.details.append(detail)
    error = messages.api_error(status)
    if reason == "UNBOUND":
        assert (type(error), error.code, error.param) == (ResponseNotFoundError, "response_not_found", None)
    else:
        assert (type(error), error.param) == (ModelNotFoundError, "model")


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_has_its_number(operation: Operation) -> None:
    request = messages.resolve_request(Question("id-1", "m", False, operation), 300)
    assert request.operation == plan_pb2.Operation.Value(f"OPERATION_{operation.name}")


def test_quirks_and_overrides_are_read() -> None:
    message = plan_pb2.Attempt(
        quirks=plan_pb2.Quirks(
            max_tokens_field="max_completion_tokens",
            system_role="developer",
            drop=["user", "seed"],
            auth_header="api-key",
            headers=[plan_pb2.Header(name="x-title", value="a")],
            api_version="2024-10-21",
            deployment_paths=True,
            takes=["top_k"],
            lacks=["n"],
            rename={"seed": "random_seed", "a": "b"},
            efforts=["low", "newer"],
            effort_field="reasoning.effort",
            thoughts=["reasoning"],
            max_stops=2,
            call_id_chars=9,
        ),
        responses=True,
        params_set_json=b'{"a":1}',
        params_default_json=b'{"b":2}',
        params_drop=["c"],
        max_output_tokens=4000,
    )
    read = messages.plan(plan_pb2.Plan(attempts=[message], depends_on_needs=True))
    assert read.attempts[0] == Attempt(
        *[""] * 6,
        quirks=Quirks(
            "max_completion_tokens",
            "developer",
            frozenset({"user", "seed"}),
            "api-key",
            ((b"x-title", b"a"),),
            "2024-10-21",
            deployment_paths=True,
            takes=frozenset({"top_k"}),
            lacks=frozenset({"n"}),
            rename=(("a", "b"), ("seed", "random_seed")),
            efforts=("low", "newer"),
            effort_field="reasoning.effort",
            thoughts=("reasoning",),
            max_stops=2,
            call_id_chars=9,
        ),
        responses=True,
        params=Params(b'{"a":1}', b'{"b":2}', frozenset({"c"})),
        max_output_tokens=4000,
    )
    assert read.depends_on_needs


def test_what_is_not_said_of_a_provider_is_as_with_others() -> None:
    quirks = plan_pb2.Quirks(api_version="preview")
    read = messages.plan(plan_pb2.Plan(attempts=[plan_pb2.Attempt(), plan_pb2.Attempt(quirks=quirks)]))
    assert read.attempts[0].quirks is NO_QUIRKS
    assert read.attempts[0].params is NO_PARAMS
    assert read.attempts[1].quirks == Quirks(api_version="preview")
    assert not read.depends_on_needs


def test_of_counting_nothing_will_be_reported() -> None:
    request = messages.resolve_request(Question("id-1", "chat", False, Operation.COUNT), 300)
    assert (request.operation, request.will_report) == (plan_pb2.OPERATION_COUNT, False)


def test_a_plan_is_read_with_all_that_the_edge_walks_by() -> None:
    message = plan_pb2.Plan(
        decision_id="d",
        attempts=[
            plan_pb2.Attempt(
                target_id="p/m#1",
                provider="p",
                dialect="openai",
                base_url="https://p.test/v1",
                upstream_model="m",
                credential_ref="env:P_API_KEY",
                reasoning="high",
                timeouts=plan_pb2.Timeouts(
                    connect_ms=250, headers_ms=60_000, first_content_ms=1000, idle_ms=0, stream_ms=2**32 - 1
                ),
                failover=plan_pb2.FailoverPolicy(
                    never=[plan_pb2.DISPOSITION_RATE_LIMITED],
                    also=[plan_pb2.DISPOSITION_CONTEXT_LENGTH, plan_pb2.DISPOSITION_CLIENT_FAULT],
                ),
                probe=True,
                health_generation=7,
                allow_private=True,
                rules=[
                    plan_pb2.AnswerRule(status=400, body_contains="Quota", disposition=plan_pb2.DISPOSITION_QUOTA),
                    # Of a newer resolver.
                    plan_pb2.AnswerRule(status=401, disposition=2**20),  # type: ignore[arg-type]
                    plan_pb2.AnswerRule(status=418, disposition=plan_pb2.DISPOSITION_EMPTY),
                ],
            ),
            plan_pb2.Attempt(target_id="q/m#0"),
        ],
        attempts_allowed=2,
        total_ms=600_500,
    )
    assert messages.plan(message) == Plan(
        decision_id="d",
        attempts=(
            Attempt(
                "p/m#1",
                "p",
                "openai",
                "https://p.test/v1",
                "m",
                "env:P_API_KEY",
                reasoning="high",
                timeouts=Timeouts(
                    connect_s=0.25, headers_s=60.0, first_content_s=1.0, idle_s=0.0, stream_s=4_294_967.295
                ),
                never=frozenset({Disposition.RATE_LIMITED}),
                also=frozenset({Disposition.CONTEXT_LENGTH, Disposition.CLIENT_FAULT}),
                probe=True,
                health_generation=7,
                allow_private=True,
                rules=(AnswerRule(Disposition.QUOTA, 400, "Quota"), AnswerRule(Disposition.EMPTY, 418)),
            ),
            Attempt("q/m#0", "", "", "", "", ""),
        ),
        attempts_allowed=2,
        total_s=600.5,
    )


@pytest.mark.parametrize("disposition", Disposition)
def test_every_disposition_has_its_number_in_both_directions(disposition: Disposition) -> None:
    number = plan_pb2.Disposition.Value("DISPOSITION_" + disposition.name)
    report = messages.outcome_report("d", ReportFailed(TARGET, Outcome(disposition, status=500)), 0.0)
    assert report.failed.disposition == number
    policy = plan_pb2.FailoverPolicy(never=[number])
    plan = messages.plan(plan_pb2.Plan(attempts=[plan_pb2.Attempt(failover=policy)]))
    assert plan.attempts[0].never == {disposition}


def test_a_credential_that_no_provider_has_refused_cools_nothing() -> None:
    report = messages.outcome_report("d", ReportFailed(TARGET, Outcome(Disposition.CREDENTIAL)), 0.0)
    assert report.failed.disposition == plan_pb2.DISPOSITION_CANCELLED


def test_a_client_in_haste_cools_nothing() -> None:
    outcome = Outcome(Disposition.TIMEOUT, is_blameless=True)
    report = messages.outcome_report("d", ReportFailed(TARGET, outcome), 0.0)
    assert report.failed.disposition == plan_pb2.DISPOSITION_CANCELLED


def test_every_number_of_the_contract_is_known() -> None:
    names = {name.removeprefix("DISPOSITION_") for name in plan_pb2.Disposition.keys()}  # noqa: SIM118 - no mapping
    assert names - {"UNSPECIFIED"} == {disposition.name for disposition in Disposition}


def test_numbers_of_a_newer_contract_are_passed_over() -> None:
    policy = plan_pb2.FailoverPolicy(also=[99, 0, plan_pb2.DISPOSITION_QUOTA])  # type: ignore[list-item]
    plan = messages.plan(plan_pb2.Plan(attempts=[plan_pb2.Attempt(failover=policy)]))
    assert plan.attempts[0].also == {Disposition.QUOTA}


def test_each_report_carries_the_target_and_its_generation() -> None:
    outcome = Outcome(Disposition.RATE_LIMITED, status=429, retry_after_s=1.5)
    assert messages.outcome_report("d", ReportFailed(TARGET, outcome), 0.0) == pb.OutcomeReport(
        decision_id="d",
        failed=pb.AttemptFailed(
            target_id="p/m#1",
            health_generation=2**63,
            disposition=plan_pb2.DISPOSITION_RATE_LIMITED,
            status=429,
            retry_after_ms=1500,
        ),
    )
    left = ReportFailed(TARGET, Outcome(Disposition.CANCELLED), 7, 3)
    assert messages.outcome_report("d", left, 0.0).failed == pb.AttemptFailed(
        target_id="p/m#1",
        health_generation=2**63,
        disposition=plan_pb2.DISPOSITION_CANCELLED,
        input_tokens=7,
        output_tokens=3,
    )
    assert messages.outcome_report("d", ReportContent(TARGET), 0.2504) == pb.OutcomeReport(
        decision_id="d",
        content=pb.AttemptContent(target_id="p/m#1", health_generation=2**63, latency_ms=250),
    )
    assert messages.outcome_report("d", ReportEnded(TARGET), 0.0) == pb.OutcomeReport(
        decision_id="d", ended=pb.AttemptEnded(target_id="p/m#1", health_generation=2**63), closes=True
    )
    assert messages.outcome_report("d", ReportEnded(TARGET, 7, 3), 0.0) == pb.OutcomeReport(
        decision_id="d",
        ended=pb.AttemptEnded(target_id="p/m#1", health_generation=2**63, input_tokens=7, output_tokens=3),
        closes=True,
    )
    closed = messages.outcome_report("d", ReportClosed(), 0.0)
    assert closed.WhichOneof("event") == "closed"


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(None, 0), (0.0, 1), (0.0001, 1), (0.25, 250), (20.0, 20_000), (2_592_000.0, 2592 * 10**6)],
)
def test_at_once_is_told_apart_from_unsaid(seconds: float | None, milliseconds: int) -> None:
    outcome = Outcome(Disposition.OVERLOADED, retry_after_s=seconds)
    report = messages.outcome_report("d", ReportFailed(TARGET, outcome), 0.0)
    assert report.failed.retry_after_ms == milliseconds


@pytest.mark.parametrize("value", ["1e300", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_whatever_a_provider_asks_for_can_be_reported(value: str) -> None:
    outcome = Outcome(Disposition.OVERLOADED, retry_after_s=http_s(value, 0.0))
    assert messages.outcome_report("d", ReportFailed(TARGET, outcome), 0.0).ByteSize()


@pytest.mark.parametrize(
    ("code", "kind", "param"),
    [
        (code_pb2.INVALID_ARGUMENT, InvalidRequestError, "model"),
        (code_pb2.NOT_FOUND, ModelNotFoundError, "model"),
        (code_pb2.RESOURCE_EXHAUSTED, LimitedError, None),
        (code_pb2.UNAVAILABLE, UnavailableError, None),
        (code_pb2.INTERNAL, UnavailableError, None),
        (code_pb2.DEADLINE_EXCEEDED, UnavailableError, None),
        (99, UnavailableError, None),
    ],
)
def test_a_refusal_of_the_resolver_is_told_in_the_edges_words(
    code: int, kind: type[ApiError], param: str | None
) -> None:
    error = messages.api_error(status_pb2.Status(code=code, message="words"))
    assert type(error) is kind
    assert (error.message, error.param, error.retry_after_s) == ("words", param, None)


def detail(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed


def test_the_soonest_recovery_is_found_among_the_details() -> None:
    info = error_details_pb2.ErrorInfo(reason="COOLING")
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=19, nanos=500_000_000))
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[detail(info), detail(retry)])
    assert messages.api_error(status).retry_after_s == 19.5


def test_a_request_that_fits_into_no_context_is_told_as_such() -> None:
    info = error_details_pb2.ErrorInfo(reason="CONTEXT_LENGTH_EXCEEDED")
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="too long", details=[detail(info)])
    error = messages.api_error(status)
    assert (error.status, error.code, error.message) == (400, "context_length_exceeded", "too long")
    info.reason = "NEEDS_UNMET"
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="no vision", details=[detail(info)])
    error = messages.api_error(status)
    assert (error.status, error.code, error.message) == (400, "needs_unmet", "no vision")


def test_details_that_cannot_be_read_are_passed_over() -> None:
    name = error_details_pb2.RetryInfo.DESCRIPTOR.full_name
    torn = any_pb2.Any(type_url=f"type.googleapis.com/{name}", value=b"\xff\xff")
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[torn])
    assert messages.api_error(status).retry_after_s is None


def test_models_are_read_in_their_order() -> None:
    response = pb.ListModelsResponse(
        models=[
            pb.ModelEntry(id="b", kind="pool", description="words", created_at=5),
            pb.ModelEntry(id="a", kind="model", provider="p"),
            pb.ModelEntry(id="c", context_tokens=9, max_output_tokens=3, capabilities=pb.Capabilities(names=["tools"])),
            pb.ModelEntry(id="d", capabilities=pb.Capabilities()),
        ]
    )
    assert messages.models(response) == [
        Model("b", "pool", "words", 5, ""),
        Model("a", "model", "", 0, "p"),
        Model("c", "", "", 0, "", 9, 3, frozenset({"tools"})),
        Model("d", "", "", 0, "", 0, 0, frozenset()),
    ]


@pytest.mark.parametrize(
    ("connect_ms", "headers_ms", "first_content_ms", "connect_s"),
    [
        (5000, 60_000, 120_000, 5.0),
        (5000, 0, 0, 5.0),
        (0, 0, 0, 0.0),
        (5000, 1000, 2000, 0.9),
        (5000, 0, 2000, 1.8),
        (0, 60_000, 0, 54.0),
    ],
)
def test_a_provider_that_is_not_reached_is_given_up_before_it_counts_as_silent(
    connect_ms: int, headers_ms: int, first_content_ms: int, connect_s: float
) -> None:
    timeouts = plan_pb2.Timeouts(connect_ms=connect_ms, headers_ms=headers_ms, first_content_ms=first_content_ms)
    read = messages.plan(plan_pb2.Plan(attempts=[plan_pb2.Attempt(timeouts=timeouts)]))
    assert read.attempts[0].timeouts.connect_s == pytest.approx(connect_s)
