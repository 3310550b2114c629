"""What callers report, and the probes that depend on it."""

from __future__ import annotations

import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.contract.serving import (
    INVALID_ARGUMENT,
    NARROW,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    Served,
    closed,
    content,
    ended,
    failed,
    refused,
    serving,
)

OK, RATE_LIMITED = plan_pb2.DISPOSITION_OK, plan_pb2.DISPOSITION_RATE_LIMITED
OF_TOMORROW = max(plan_pb2.Disposition.values()) + 1


async def cool_down_is_over(it: Served) -> None:
    """The only target of `solo` has reached a limit, and the time is up."""
    await it.report(failed(await it.resolve("solo"), RATE_LIMITED, retry_after_ms=10_000))
    it.clock.now += 10


async def test_a_limit_takes_a_target_out_for_as_long_as_the_provider_said(it: Served) -> None:
    plan = await it.resolve("Turns")
    await it.report(failed(plan, RATE_LIMITED, retry_after_ms=30_000))
    assert {await it.first("Turns", will_report=True) for _ in range(3)} == {"two/m#0"}
    it.clock.now += 30
    firsts = [await it.resolve("Turns", will_report=True) for _ in range(3)]
    assert sum(a.probe for plan in firsts for a in plan.attempts) == 1


async def test_a_single_server_error_takes_nothing_out(it: Served) -> None:
    await it.report(failed(await it.resolve("solo"), plan_pb2.DISPOSITION_SERVER_ERROR, retry_after_ms=30_000))
    assert await it.first("solo") == "one/s#0"


async def test_a_fault_of_the_client_takes_nothing_out(it: Served) -> None:
    plan = await it.resolve("solo")
    await it.report(*[failed(plan, plan_pb2.DISPOSITION_CLIENT_FAULT, retry_after_ms=30_000)] * 20)
    assert await it.first("solo") == "one/s#0"


async def test_the_reports_of_a_message_are_applied_in_order(it: Served) -> None:
    """Two overloads in a row cool; with a success between them they do not."""
    plans = [await it.resolve("solo") for _ in range(4)]
    overloaded = [failed(plan, plan_pb2.DISPOSITION_OVERLOADED) for plan in plans]
    await it.report(overloaded[0], content(plans[1]), ended(plans[1]), overloaded[2])
    assert await it.first("solo") == "one/s#0"
    await it.report(overloaded[3])
    assert (await refused(it.resolving("solo"))).code == UNAVAILABLE


async def test_a_report_that_is_sent_twice_counts_once(it: Served) -> None:
    first, second = [await it.resolve("solo") for _ in range(2)]
    overloaded = failed(first, plan_pb2.DISPOSITION_OVERLOADED)
    await it.report(overloaded, overloaded)
    stream = it.stub.ResolveStream(metadata=it.metadata)
    await stream.write(pb.ResolveStreamRequest(reports=[pb.ReportItem(id=7, report=overloaded)]))
    assert list((await stream.read()).acknowledged) == [7], "or it would be sent for ever"
    assert await it.first("solo") == "one/s#0"
    await it.report(failed(second, plan_pb2.DISPOSITION_OVERLOADED))
    assert (await refused(it.resolving("solo"))).code == UNAVAILABLE


async def test_a_probe_is_handed_out_once(it: Served) -> None:
    await cool_down_is_over(it)
    plan = await it.resolve("solo", will_report=True)
    assert [a.probe for a in plan.attempts] == [True]
    refusal = await refused(it.resolving("solo", will_report=True))
    assert (refusal.code, refusal.retry_after_s) == (RESOURCE_EXHAUSTED, 60.0), "until its lease is over"


async def test_a_probe_that_was_not_used_goes_back_when_its_decision_is_closed(it: Served) -> None:
    await cool_down_is_over(it)
    plan = await it.resolve("solo", will_report=True)
    await it.report(pb.OutcomeReport(decision_id="another", closed=pb.DecisionClosed()))
    assert (await refused(it.resolving("solo", will_report=True))).code == RESOURCE_EXHAUSTED
    await it.report(closed(plan))
    assert (await it.resolve("solo", will_report=True)).attempts[0].probe


async def test_a_stream_that_has_begun_holds_no_probes_of_others(it: Served) -> None:
    """Both members have reached a limit. A stream may go on for minutes after its content is there, and nothing moves
    any more: whoever comes next is not to wait for its end."""
    plan = await it.resolve("Turns", will_report=True)
    await it.report(*(failed(plan, RATE_LIMITED, retry_after_ms=10_000, number=at) for at in (0, 1)))
    it.clock.now += 10
    stream = await it.resolve("Turns", will_report=True)
    assert [a.probe for a in stream.attempts] == [True, True]
    assert (await refused(it.resolving("Turns", will_report=True))).retry_after_s == 60.0
    await it.report(content(stream))
    second = await it.resolve("Turns", will_report=True)
    assert [(a.target_id, a.probe) for a in second.attempts] == [(stream.attempts[1].target_id, True)]
    await it.report(ended(stream), closed(stream))
    assert await it.first("Turns", will_report=True) == stream.attempts[0].target_id


async def test_a_probe_nobody_tells_of_is_handed_out_again_when_its_lease_is_over(it: Served) -> None:
    await cool_down_is_over(it)
    await it.resolve("solo", will_report=True)
    it.clock.now += 60
    assert (await it.resolve("solo", will_report=True)).attempts[0].probe


async def test_a_probe_that_served_makes_the_target_well(it: Served) -> None:
    await cool_down_is_over(it)
    plan = await it.resolve("solo", will_report=True)
    await it.report(ended(plan), closed(plan))
    again = await it.resolve("solo")
    assert not again.attempts[0].probe
    assert again.attempts[0].health_generation > plan.attempts[0].health_generation


async def test_a_probe_that_failed_cools_for_longer(it: Served) -> None:
    await it.report(failed(await it.resolve("solo"), RATE_LIMITED))
    it.clock.now += 30
    plan = await it.resolve("solo", will_report=True)
    await it.report(failed(plan, RATE_LIMITED), closed(plan))
    assert (await refused(it.resolving("solo", will_report=True))).retry_after_s == 60.0


@pytest.mark.parametrize(
    "fields", [{"will_report": False}, {"will_report": True, "operation": plan_pb2.OPERATION_COUNT}]
)
async def test_who_will_not_report_and_who_only_counts_gets_the_target_without_the_probe(
    it: Served, fields: dict[str, object]
) -> None:
    await cool_down_is_over(it)
    assert [(a.target_id, a.probe) for a in (await it.resolve("solo", **fields)).attempts] == [("one/s#0", False)]
    assert (await it.resolve("solo", will_report=True)).attempts[0].probe


async def test_who_will_not_report_is_not_the_first_to_try_a_target_again(it: Served) -> None:
    await it.report(failed(await it.resolve("Turns"), RATE_LIMITED))
    it.clock.now += 30
    assert [a.target_id for a in (await it.resolve("Turns")).attempts] == ["two/m#0"]


async def test_explain_shows_the_probe_and_leaves_it(it: Served) -> None:
    await cool_down_is_over(it)
    for _ in range(2):
        explained = await it.explain("solo", will_report=True)
        assert explained.plan.attempts[0].probe
        assert explained.targets[0].reason == "number 1, as a probe"
    assert (await it.resolve("solo", will_report=True)).attempts[0].probe


async def test_late_reports_of_one_breakdown_count_once(it: Served) -> None:
    plans = [await it.resolve("solo") for _ in range(8)]
    await it.report(*(failed(plan, RATE_LIMITED) for plan in plans))
    assert (await refused(it.resolving("solo"))).retry_after_s == 30.0


async def test_reports_of_unknown_decisions_and_targets_are_passed_over(it: Served) -> None:
    plan = plan_pb2.Plan(decision_id="gone", attempts=[plan_pb2.Attempt(target_id="no/such#0", health_generation=9)])
    await it.report(failed(plan, RATE_LIMITED), content(plan), ended(plan), closed(plan))


@pytest.mark.parametrize(
    ("report", "field"),
    [
        (pb.OutcomeReport(decision_id="d"), "reports[1].event"),
        (pb.OutcomeReport(failed=pb.AttemptFailed(target_id="one/s#0")), "reports[1].failed.disposition"),
        (pb.OutcomeReport(failed=pb.AttemptFailed(disposition=OK)), "reports[1].failed.disposition"),
        (pb.OutcomeReport(failed=pb.AttemptFailed(disposition=OF_TOMORROW)), "reports[1].failed.disposition"),
    ],
)
async def test_a_malformed_report_is_refused_and_nothing_of_its_message_applied(
    it: Served, report: pb.OutcomeReport, field: str
) -> None:
    good = failed(await it.resolve("solo"), RATE_LIMITED)
    refusal = await refused(it.report(good, report))
    assert (refusal.code, refusal.fields) == (INVALID_ARGUMENT, [field])
    assert await it.first("solo") == "one/s#0"


async def test_a_full_target_is_busy_until_its_request_is_closed() -> None:
    async with serving(NARROW) as it:
        plan = await it.resolve("narrow", will_report=True)
        refusal = await refused(it.resolving("narrow", will_report=True))
        assert (refusal.code, refusal.reason, refusal.retry_after_s) == (UNAVAILABLE, "BUSY", 1.0)
        assert refusal.message == "every target of 'narrow' is busy or out of service; try again in 1 s"
        explained = await it.explain("narrow")
        assert [(t.available, t.reason) for t in explained.targets] == [(False, "full: 1 of 1 in flight")]
        await it.report(closed(plan))
        assert await it.first("narrow", will_report=True) == "one/narrow#0"
