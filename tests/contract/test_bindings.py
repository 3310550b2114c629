"""What only its maker knows leads back to its maker, over the wire."""

from __future__ import annotations

import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.contract.serving import (
    CONFIG,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    Served,
    closed,
    failed,
    refused,
    serving,
)

KEY = b"k" * 32
RETRIEVE = plan_pb2.OPERATION_RETRIEVE


def bound(plan: plan_pb2.Plan, target: str, key: bytes = KEY) -> pb.OutcomeReport:
    return pb.OutcomeReport(decision_id=plan.decision_id, bound=pb.AttemptBound(target_id=target, affinity_key=key))


async def made(it: Served, name: str, target: str) -> None:
    plan = await it.resolve(name, will_report=True)
    await it.report(bound(plan, target), closed(plan))


async def going_on(it: Served, name: str) -> plan_pb2.Plan:
    return await it.resolve(name, will_report=True, affinity_key=KEY, affinity_required=True)


async def test_a_plan_leads_back_to_who_made_it_alone(it: Served) -> None:
    await made(it, "chat", "two/m#0")
    for _ in range(3):
        plan = await going_on(it, "Turns")
        assert ([a.target_id for a in plan.attempts], plan.attempts_allowed) == (["two/m#0"], 1)


async def test_what_was_made_has_a_plan_of_its_own(it: Served) -> None:
    await made(it, "CHAT", "two/m#0")
    plan = await it.resolve("", operation=RETRIEVE, affinity_key=KEY)
    assert [a.target_id for a in plan.attempts] == ["two/m#0"]
    assert plan.attempts[0].base_url == "https://two.example"
    assert plan.attempts[0].timeouts.idle_ms == 90_000
    assert (plan.attempts_allowed, plan.total_ms, plan.revision) == (1, 600_000, 1)


async def test_it_carries_the_name_that_was_asked_for(it: Served) -> None:
    async with serving(CONFIG.replace("models: [m, Raw-One]", "models: [m, Raw-One]\n    responses: true")) as it:
        await made(it, "CHAT", "one/m#0")
        assert (await it.resolve("", operation=RETRIEVE, affinity_key=KEY)).name == "chat"


async def test_explain_tells_who_did_not_make_it(it: Served) -> None:
    await made(it, "chat", "two/m#0")
    explained = await it.explain("Turns", affinity_key=KEY, affinity_required=True)
    assert [(t.target_id, t.available, t.reason) for t in explained.targets] == [
        ("two/m#0", True, "number 1"),
        ("one/m#0", False, "did not make what the request goes on from"),
    ]
    found = await it.explain("", operation=RETRIEVE, affinity_key=KEY)
    assert [(t.target_id, t.reason) for t in found.targets] == [("two/m#0", "made it")]


async def test_what_nobody_made_has_none(it: Served) -> None:
    caught = await refused(it.resolve("", operation=RETRIEVE, affinity_key=KEY))
    assert caught.code == NOT_FOUND
    assert caught.reason == "UNBOUND"
    assert len((await going_on(it, "Turns")).attempts) == 1


async def test_a_name_that_does_not_lead_there_is_the_request_s_fault(it: Served) -> None:
    await made(it, "raw-two", "two/raw-two#0")
    caught = await refused(going_on(it, "solo"))
    assert caught.code == INVALID_ARGUMENT
    assert (caught.reason, caught.fields) == ("BOUND_ELSEWHERE", ["model"])
    assert "'solo' does not lead to the provider that made" in caught.message


async def test_who_made_it_is_waited_for(it: Served) -> None:
    await made(it, "chat", "two/m#0")
    plan = await going_on(it, "chat")
    await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=20_000))
    caught = await refused(going_on(it, "chat"))
    assert caught.code == RESOURCE_EXHAUSTED
    assert caught.retry_after_s == 20
    assert [a.target_id for a in (await it.resolve("chat")).attempts] == ["one/m#0", "two/raw-two#0"]


@pytest.mark.parametrize("fields", [{"operation": RETRIEVE}, {"model": "chat", "affinity_required": True}])
async def test_without_a_key_there_is_nothing_to_go_by(it: Served, fields: dict) -> None:
    caught = await refused(it.call("Resolve", pb.ResolveRequest(**fields)))
    assert caught.code == INVALID_ARGUMENT
    assert caught.fields == ["affinity_key"]


@pytest.mark.parametrize("size", [0, 65, 1_000_000])
async def test_a_key_has_a_size(it: Served, size: int) -> None:
    plan = await it.resolve("chat")
    caught = await refused(it.report(bound(plan, "two/m#0", b"x" * size)))
    assert caught.code == INVALID_ARGUMENT
    assert caught.fields == ["reports[0].bound.affinity_key"]
