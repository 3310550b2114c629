"""`ResolveStream`: many requests and reports over one stream, and nothing of one item touches another."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.grpc_api import server as grpc_server
from resolver_service.app.leases import GRACE_S
from tests.contract.serving import (
    INTERNAL,
    INVALID_ARGUMENT,
    NARROW,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    TIMEOUT_S,
    Served,
    closed,
    content,
    failed,
    serving,
    unpacked,
)
from tests.support.chaos_proxy import chaos_proxy
from tests.support.setup import until

RATE_LIMITED = plan_pb2.DISPOSITION_RATE_LIMITED


class Stream:
    def __init__(self, it: Served) -> None:
        self.call = it.stub.ResolveStream(metadata=it.metadata)

    async def say(self, *resolves: pb.ResolveItem, reports: tuple[pb.ReportItem, ...] = ()) -> pb.ResolveStreamResponse:
        await self.call.write(pb.ResolveStreamRequest(reports=reports, resolves=resolves))
        response = await self.call.read()
        assert isinstance(response, pb.ResolveStreamResponse), "the stream has ended"
        return response


def item(number: int, model: str, **fields: Any) -> pb.ResolveItem:
    request = pb.ResolveRequest(**{"model": model, "timeout_ms": 300, "will_report": True, **fields})
    return pb.ResolveItem(id=number, request=request)


async def test_a_stream_is_accepted_before_anything_is_said(it: Served) -> None:
    call = Stream(it).call
    await call.initial_metadata()
    assert not call.done()


async def test_every_request_of_a_message_is_answered_under_its_number(it: Served) -> None:
    response = await Stream(it).say(item(7, "Turns"), item(3, "solo"), item(2**64 - 1, "m"))
    assert [(a.id, a.plan.name) for a in response.answers] == [(7, "Turns"), (3, "solo"), (2**64 - 1, "m")]


async def test_an_items_error_is_its_own(it: Served) -> None:
    stream = Stream(it)
    items = [item(1, "chatt"), item(2, ""), item(3, "solo", timeout_ms=0), item(4, "solo")]
    answers = (await stream.say(*items)).answers
    errors = [unpacked(a.error) for a in answers[:3]]
    assert [a.HasField("plan") for a in answers] == [False, False, False, True]
    assert (errors[0].code, errors[0].closest) == (NOT_FOUND, ["chat"])
    assert (errors[1].code, errors[1].fields) == (INVALID_ARGUMENT, ["model"])
    assert (errors[2].code, errors[2].fields) == (INVALID_ARGUMENT, ["timeout_ms"])
    assert (await stream.say(item(5, "solo"))).answers[0].plan.name == "solo"


async def test_an_item_that_is_refused_takes_no_turn(it: Served) -> None:
    answers = (await Stream(it).say(item(1, "Turns", timeout_ms=0), item(2, "Turns"))).answers
    assert answers[1].plan.attempts[0].target_id == "one/m#0"


async def test_a_defect_is_the_items_error_too(it: Served) -> None:
    stream = Stream(it)
    it.clock.breaks = True
    error = unpacked((await stream.say(item(1, "solo"))).answers[0].error)
    assert error.code == INTERNAL
    assert "clock" not in error.message
    it.clock.breaks = False
    assert (await stream.say(item(2, "solo"))).answers[0].plan.name == "solo"


async def test_reports_are_acknowledged_and_applied_before_the_requests_of_their_message(it: Served) -> None:
    stream = Stream(it)
    plan = (await stream.say(item(1, "solo"))).answers[0].plan
    report = failed(plan, RATE_LIMITED, retry_after_ms=20_000)
    response = await stream.say(
        item(2, "solo"),
        reports=(pb.ReportItem(id=11, report=report), pb.ReportItem(id=12, report=closed(plan))),
    )
    assert response.acknowledged == [11, 12]
    error = unpacked(response.answers[0].error)
    assert (error.code, error.retry_after_s) == (RESOURCE_EXHAUSTED, 20.0)


async def test_a_probe_comes_back_over_the_stream(it: Served) -> None:
    stream = Stream(it)
    plan = (await stream.say(item(1, "solo"))).answers[0].plan
    await stream.say(reports=(pb.ReportItem(id=1, report=failed(plan, RATE_LIMITED)),))
    it.clock.now += 30
    first, second = (await stream.say(item(2, "solo"), item(3, "solo"))).answers
    assert first.plan.attempts[0].probe
    assert unpacked(second.error).code == RESOURCE_EXHAUSTED
    response = await stream.say(item(4, "solo"), reports=(pb.ReportItem(id=2, report=closed(first.plan)),))
    assert response.answers[0].plan.attempts[0].probe


async def test_a_report_may_close_its_decision_and_whoever_opens_a_stream_is_told_so() -> None:
    async with serving(NARROW) as it:
        stream = Stream(it)
        assert ("x-forebay-closes", "1") in tuple(await stream.call.initial_metadata())
        plan = (await stream.say(item(1, "narrow"))).answers[0].plan
        from_the_future = pb.OutcomeReport(decision_id=plan.decision_id)
        for number, report in enumerate((content(plan), from_the_future), 2):
            full = await stream.say(item(number, "narrow"), reports=(pb.ReportItem(id=number, report=report),))
            assert unpacked(full.answers[0].error).reason == "BUSY"
            report.closes = True
            response = await stream.say(item(number, "narrow"), reports=(pb.ReportItem(id=number, report=report),))
            assert response.acknowledged == [number]
            from_the_future.decision_id = response.answers[0].plan.decision_id
        assert it.metric("forebay_reports_total", kind="closed", effect="applied") == 2


@pytest.mark.parametrize("report", [pb.OutcomeReport(), pb.OutcomeReport(failed=pb.AttemptFailed())])
async def test_a_report_of_a_kind_from_the_future_is_acknowledged(it: Served, report: pb.OutcomeReport) -> None:
    response = await Stream(it).say(item(1, "solo"), reports=(pb.ReportItem(id=1, report=report),))
    assert response.acknowledged == [1]
    assert response.answers[0].plan.name == "solo"


async def test_an_empty_message_is_answered_with_one(it: Served) -> None:
    assert await Stream(it).say() == pb.ResolveStreamResponse()


async def test_streams_share_turns_and_health(it: Served) -> None:
    streams = [Stream(it), Stream(it)]
    plans = [(await s.say(item(1, "Turns"))).answers[0].plan for s in streams]
    assert [p.attempts[0].target_id for p in plans] == ["one/m#0", "two/m#0"]
    await streams[0].say(reports=(pb.ReportItem(id=2, report=failed(plans[0], RATE_LIMITED)),))
    assert [a.target_id for a in (await streams[1].say(item(2, "Turns"))).answers[0].plan.attempts] == ["two/m#0"]


async def test_a_stream_ends_well_when_its_caller_has_nothing_more_to_say(it: Served) -> None:
    stream = Stream(it)
    await stream.say(item(1, "solo"))
    await stream.call.done_writing()
    assert await stream.call.code() is grpc.StatusCode.OK


async def test_a_caller_that_leaves_takes_nobody_with_it(it: Served) -> None:
    leaving, staying = Stream(it), Stream(it)
    await leaving.say(item(1, "solo"))
    leaving.call.cancel()
    assert (await staying.say(item(1, "solo"))).answers[0].plan.name == "solo"


async def test_a_caller_whose_network_is_gone_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "KEEPALIVE_S", 0.1)
    monkeypatch.setattr(grpc_server, "KEEPALIVE_TIMEOUT_S", 0.1)
    async with (
        serving() as it,
        chaos_proxy(it.server.address) as network,
        grpc.aio.insecure_channel(network.address) as channel,
    ):
        it.stub = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        await Stream(it).say(item(1, "solo"))
        network.freeze()

        async def is_given_up() -> bool:
            return it.metric("forebay_resolve_streams") == 0

        await until(is_given_up)


async def test_a_request_whose_stream_broke_does_not_fill_its_target_for_long() -> None:
    async with serving(NARROW) as it:
        stream = Stream(it)
        assert (await stream.say(item(1, "narrow", stream=True))).answers[0].HasField("plan")
        stream.call.cancel()
        other = Stream(it)

        async def is_free(number: int) -> bool:
            return (await other.say(item(number, "narrow"))).answers[0].HasField("plan")

        assert not await is_free(1), "its reports may come on the edge's next stream"
        async with asyncio.timeout(TIMEOUT_S):
            number = 2
            while not await is_free(number):  # The server learns of the end in its own time.
                number += 1
                it.clock.now += GRACE_S
