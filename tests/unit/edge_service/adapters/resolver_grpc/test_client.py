from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from edge_service.adapters.resolver_grpc import stream
from edge_service.adapters.resolver_grpc.client import LET_IN_S, ResolverClient
from edge_service.adapters.resolver_grpc.outbox import MOST
from edge_service.app.ports import Question, ReportBound
from edge_service.domain.affinity import AffinityKeys, Made
from edge_service.domain.errors import ClientKeyError, ModelNotFoundError, NoPlanError, UnavailableError
from edge_service.domain.needs import Capability, Needs, Operation
from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb

UNKNOWN_KEY = status_pb2.Status(code=code_pb2.UNAUTHENTICATED, message="the API key is not known")
UNKNOWN_KEY.details.add().Pack(error_details_pb2.ErrorInfo(reason="CLIENT_KEY_UNKNOWN", domain="forebay"))

NOBODY = "127.0.0.1:9"
"""The discard port: nothing listens there."""


async def test_reports_that_are_kept_and_given_up_are_counted_over_all_resolvers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "FLUSH_S", 0)
    client = ResolverClient([NOBODY, NOBODY], token="")
    try:
        for one, reports in zip(client._streams, (MOST + 2, 5), strict=True):
            for _ in range(reports):
                one.report(pb.OutcomeReport())
        assert (client.reports_dropped, client.reports_unacknowledged) == (2, MOST + 5)
    finally:
        await client.aclose()


class Answers:
    """A resolver's stream that always has the same answer, until it is away."""

    def __init__(self) -> None:
        self.is_up = True
        self.depends_on_needs = True
        self.is_known = True
        self.has_targets = True
        self.key: bytes | None = None
        """The only one that is let in, if any is not."""
        self.asked: list[pb.ResolveRequest] = []
        self.reports: list[pb.OutcomeReport] = []

    def report(self, report: pb.OutcomeReport, *, at_once: bool = False) -> None:
        self.reports.append(report)

    async def resolve(self, request: pb.ResolveRequest, timeout_s: float) -> pb.ResolveAnswer:
        self.asked.append(request)
        if self.is_up and self.key is not None and request.client_key_sha256 != self.key:
            return pb.ResolveAnswer(error=UNKNOWN_KEY)
        if request.operation == plan_pb2.OPERATION_AUTHENTICATE and self.is_up:
            return pb.ResolveAnswer(plan=plan_pb2.Plan(decision_id="nothing"))
        if not self.is_known:
            return pb.ResolveAnswer(error=status_pb2.Status(code=code_pb2.NOT_FOUND))
        if not self.is_up:
            raise stream.StreamLostError
        attempts = [plan_pb2.Attempt(target_id="p/m#0")] if self.has_targets else []
        return pb.ResolveAnswer(plan=plan_pb2.Plan(attempts=attempts, depends_on_needs=self.depends_on_needs))

    async def aclose(self) -> None:
        pass


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[tuple[ResolverClient, Any]]:
    client = ResolverClient([], token="")
    answers: Any = Answers()
    client._streams = [answers]
    yield client, answers
    await client.aclose()


def question(needs: Needs, operation: Operation = Operation.GENERATE, client_key: bytes = b"") -> Question:
    return Question("r", "m", stream=False, operation=operation, needs=needs, client_key=client_key)


NEEDS = Needs((Capability.TOOLS, Capability.VISION), 5000, 1000)


@pytest.mark.parametrize(
    ("needs", "operation", "is_found"),
    [
        (NEEDS, Operation.GENERATE, True),
        (Needs((Capability.VISION, Capability.TOOLS), 6000, 900), Operation.GENERATE, True),
        (Needs((Capability.TOOLS, Capability.VISION), 50_000, 1000), Operation.GENERATE, False),
        (Needs((Capability.TOOLS,), 5000, 1000), Operation.GENERATE, False),
        (Needs(), Operation.GENERATE, False),
        (NEEDS, Operation.EMBED, False),
    ],
)
async def test_a_plan_that_depends_on_needs_is_remembered_for_about_the_same_ones(
    needs: Needs, operation: Operation, is_found: bool
) -> None:
    async with asking() as (client, answers):
        await client.resolve(question(NEEDS))
        answers.is_up = False
        if is_found:
            assert (await client.resolve(question(needs, operation))).is_stale
        else:
            with pytest.raises(UnavailableError):
                await client.resolve(question(needs, operation))


async def test_a_plan_that_does_not_depend_on_needs_is_remembered_for_any() -> None:
    async with asking() as (client, answers):
        answers.depends_on_needs = False
        await client.resolve(question(NEEDS))
        answers.is_up = False
        assert (await client.resolve(question(Needs()))).is_stale
        assert (await client.resolve(question(Needs((), 10**6, 1)))).is_stale
        with pytest.raises(UnavailableError):
            await client.resolve(question(NEEDS, Operation.EMBED))


@pytest.mark.parametrize("depends_on_needs", [True, False])
async def test_of_a_name_that_is_gone_nothing_is_remembered(depends_on_needs: bool) -> None:
    async with asking() as (client, answers):
        answers.depends_on_needs = depends_on_needs
        await client.resolve(question(NEEDS))
        answers.is_known = False
        with pytest.raises(ModelNotFoundError):
            await client.resolve(question(NEEDS))
        answers.is_known, answers.is_up = True, False
        with pytest.raises(UnavailableError):
            await client.resolve(question(NEEDS))


MADE = Made("resp_1", b"o" * 32)


@pytest.mark.parametrize("depends_on_needs", [True, False])
async def test_what_goes_on_from_something_neither_leaves_a_plan_for_others_nor_gets_theirs(
    depends_on_needs: bool,
) -> None:
    async with asking() as (client, answers):
        answers.depends_on_needs = depends_on_needs
        going_on = replace(question(NEEDS), goes_on_from=MADE)
        await client.resolve(going_on)
        answers.is_up = False
        for each in (going_on, question(NEEDS)):
            with pytest.raises(UnavailableError):
                await client.resolve(each)
        answers.is_up = True
        await client.resolve(question(NEEDS))
        answers.is_up = False
        assert (await client.resolve(question(NEEDS))).is_stale
        with pytest.raises(UnavailableError):
            await client.resolve(going_on)


async def test_what_was_made_is_told_to_every_resolver_under_the_key_that_it_is_asked_for_by() -> None:
    async with asking() as (client, answers):
        other: Any = Answers()
        client._streams.append(other)
        plan = await client.resolve(question(NEEDS))
        client.report(plan.decision_id, ReportBound(plan.attempts[0], MADE))
        await client.resolve(replace(question(NEEDS), goes_on_from=MADE))
        key = AffinityKeys("").of(MADE)
        assert [r.bound.affinity_key for each in (answers, other) for r in each.reports] == [key, key]
        first, second = answers.asked
        assert (first.affinity_key, first.affinity_required) == (b"", False)
        assert (second.affinity_key, second.affinity_required) == (key, True)


@pytest.mark.parametrize(("operation", "waited_for"), [(Operation.COUNT, 0), (Operation.GENERATE, 2)])
async def test_of_plans_for_counting_nobody_waits_for_reports(operation: Operation, waited_for: int) -> None:
    async with asking() as (client, answers):
        await client.resolve(question(NEEDS, operation))
        answers.is_up = False
        assert (await client.resolve(question(NEEDS, operation))).is_stale
        assert len(client._made_by) == waited_for


@pytest.mark.parametrize(("operation", "closed"), [(Operation.GENERATE, 1), (Operation.COUNT, 0)])
async def test_a_plan_of_nothing_is_an_error_and_is_closed(operation: Operation, closed: int) -> None:
    async with asking() as (client, answers):
        answers.has_targets = False
        with pytest.raises(NoPlanError) as raised:
            await client.resolve(question(NEEDS, operation))
        assert (raised.value.status, raised.value.code) == (503, "no_plan")
        assert [report.WhichOneof("event") for report in answers.reports] == ["closed"] * closed
        assert not client._made_by


@pytest.mark.parametrize("depends_on_needs", [True, False])
async def test_no_client_gets_a_plan_that_was_made_for_another(depends_on_needs: bool) -> None:
    async with asking() as (client, answers):
        answers.depends_on_needs = depends_on_needs
        answers.key = b"known"
        await client.resolve(question(NEEDS, client_key=b"known"))
        for stranger in (b"stranger", b""):
            with pytest.raises(ClientKeyError):
                await client.resolve(question(NEEDS, client_key=stranger))
        answers.is_up = False
        assert (await client.resolve(question(NEEDS, client_key=b"known"))).is_stale
        for stranger in (b"stranger", b""):
            with pytest.raises(UnavailableError):
                await client.resolve(question(NEEDS, client_key=stranger))


async def test_of_a_client_that_is_not_let_in_any_more_no_plan_is_remembered() -> None:
    async with asking() as (client, answers):
        await client.resolve(question(NEEDS, client_key=b"revoked"))
        answers.key = b"other"
        with pytest.raises(ClientKeyError):
            await client.resolve(replace(question(NEEDS, client_key=b"revoked"), model="another"))
        answers.is_up = False
        with pytest.raises(UnavailableError):
            await client.resolve(question(NEEDS, client_key=b"revoked"))


def let_in(key: bytes) -> Question:
    return Question("r", "", stream=False, operation=Operation.AUTHENTICATE, client_key=key)


async def test_who_was_let_in_a_moment_ago_is_not_asked_about() -> None:
    async with asking() as (client, answers):
        now = [0.0]
        client._clock = lambda: now[0]
        await client.resolve(question(NEEDS, client_key=b"known"))
        for now[0], asked in ((LET_IN_S, 1), (LET_IN_S + 0.1, 2)):
            assert not (await client.resolve(let_in(b"known"))).is_stale
            assert len(answers.asked) == asked
        await client.resolve(question(NEEDS, client_key=b"known"))
        answers.key = b"other"
        for refused in (let_in(b"stranger"), question(NEEDS, client_key=b"known"), let_in(b"known")):
            with pytest.raises(ClientKeyError):
                await client.resolve(refused)


async def test_while_no_resolver_can_be_asked_those_are_let_in_who_have_plans() -> None:
    async with asking() as (client, answers):
        assert not (await client.resolve(let_in(b"known"))).attempts
        await client.resolve(question(NEEDS, client_key=b"known"))
        answers.is_up = False
        clock = client._clock
        client._clock = lambda: clock() + LET_IN_S + 1
        assert (await client.resolve(let_in(b"known"))).is_stale
        with pytest.raises(UnavailableError):
            await client.resolve(let_in(b"stranger"))
        assert list(client._made_by) == [""], "a plan of nothing is nobody's to report on"
