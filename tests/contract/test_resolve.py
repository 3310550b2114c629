"""`Resolve`, `Explain` and `ListModels` over the wire."""

from __future__ import annotations

import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.contract.serving import (
    INVALID_ARGUMENT,
    LOADED_AT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    Served,
    failed,
    refused,
    serving,
)

RULES = [
    plan_pb2.AnswerRule(status=400, body_contains="Quota", disposition=plan_pb2.DISPOSITION_QUOTA),
    plan_pb2.AnswerRule(status=418, disposition=plan_pb2.DISPOSITION_EMPTY),
]
COUNT = plan_pb2.OPERATION_COUNT


async def test_a_plan_has_all_that_is_needed_to_walk_it(it: Served) -> None:
    plan = await it.resolve(" CHAT ", request_id="r1", timeout_ms=500, edge_id="e")
    assert plan == plan_pb2.Plan(
        decision_id="decision-1",
        attempts=[
            plan_pb2.Attempt(
                target_id=f"{provider}/m#0",
                provider=provider,
                dialect=dialect,
                base_url=base_url,
                upstream_model="m",
                credential_ref=f"env:{provider.upper()}_API_KEY",
                allow_private=allow_private,
                path=f"chat/Turns/{provider}",
                timeouts=plan_pb2.Timeouts(
                    connect_ms=250, headers_ms=60_000, first_content_ms=120_000, idle_ms=90_000, stream_ms=3_600_000
                ),
                failover=plan_pb2.FailoverPolicy(
                    never=[plan_pb2.DISPOSITION_EMPTY], also=[plan_pb2.DISPOSITION_CONTEXT_LENGTH]
                ),
                rules=rules,
            )
            for provider, dialect, base_url, allow_private, rules in (
                ("one", "openai", "https://one.example/v1", False, []),
                ("two", "anthropic", "https://two.example", True, RULES),
            )
        ],
        attempts_allowed=2,
        total_ms=90_000,
        revision=1,
        name="chat",
    )


@pytest.mark.parametrize(("asked", "reasoning"), [("solo", "low"), ("solo(high)", "high"), ("SOLO( 64000 )", "64000")])
async def test_the_clients_reasoning_replaces_the_members(it: Served, asked: str, reasoning: str) -> None:
    plan = await it.resolve(asked)
    assert (plan.name, plan.attempts[0].upstream_model, plan.attempts[0].reasoning) == ("solo", "s", reasoning)


async def test_what_one_plan_was_given_is_not_in_the_next(it: Served) -> None:
    """Attempts are copied from messages that are made once."""
    assert (await it.resolve("Turns(high)")).attempts[0].reasoning == "high"
    assert [a.reasoning for a in (await it.resolve("Turns")).attempts] == ["", ""]


async def test_an_unknown_name_is_told_the_closest_ones(it: Served) -> None:
    refusal = await refused(it.resolving("raw-on"))
    assert (refusal.code, refusal.reason) == (NOT_FOUND, "MODEL_NOT_FOUND")
    assert refusal.closest[0] == "Raw-One", "in its own spelling"
    assert refusal.message.startswith("the model 'raw-on' does not exist; the closest names are: Raw-One")
    assert (await refused(it.resolving("zzzzz"))).closest == []


async def test_the_longest_of_names_gets_a_short_answer(it: Served) -> None:
    refusal = await refused(it.resolving("x" * 1_000_000))
    assert refusal.code == NOT_FOUND
    assert len(refusal.message) < 300


@pytest.mark.parametrize("model", ["", "  "])
async def test_a_request_without_a_model_names_the_field(it: Served, model: str) -> None:
    refusal = await refused(it.resolving(model))
    assert (refusal.code, refusal.fields) == (INVALID_ARGUMENT, ["model"])
    explain = it.call("Explain", pb.ExplainRequest(request=pb.ResolveRequest(model=model)))
    assert (await refused(explain)).fields == ["request.model"]


async def test_an_operation_that_it_does_not_know_is_refused_and_takes_no_turn(it: Served) -> None:
    """As a newer edge may send one: to take it for another would be to plan for what nobody asked."""
    refusal = await refused(it.resolving("Turns", operation=77))
    assert (refusal.code, refusal.fields) == (INVALID_ARGUMENT, ["operation"])
    assert refusal.message == "operation: this resolver knows no operation 77"
    explain = it.call("Explain", pb.ExplainRequest(request=pb.ResolveRequest(model="Turns", operation=77)))
    assert (await refused(explain)).fields == ["request.operation"]
    assert await it.first("Turns") == "one/m#0"


async def test_members_take_turns(it: Served) -> None:
    assert [await it.first("turns") for _ in range(4)] == ["one/m#0", "two/m#0"] * 2


async def test_neither_explaining_nor_counting_nor_an_error_takes_a_turn(it: Served) -> None:
    for _ in range(3):
        assert (await it.explain("Turns")).plan.attempts[0].target_id == "one/m#0"
        assert await it.first("Turns", operation=COUNT) == "one/m#0"
        assert (await refused(it.resolving("Turn"))).code == NOT_FOUND
    assert [await it.first("Turns") for _ in range(2)] == ["one/m#0", "two/m#0"]


async def test_excluded_targets_are_not_in_the_plan(it: Served) -> None:
    plan = await it.resolve("chat", excluded_targets=["one/m#0", "no/such#7"])
    assert [a.target_id for a in plan.attempts] == ["two/m#0", "two/raw-two#0"]
    everything = ["one/m#0", "two/m#0", "two/raw-two#0"]
    refusal = await refused(it.resolving("chat", excluded_targets=everything))
    assert (refusal.code, refusal.reason, refusal.retry_after_s) == (UNAVAILABLE, "UNAVAILABLE", None)
    views = (await it.explain("chat", excluded_targets=everything)).targets
    assert [v.reason for v in views] == ["excluded by the request"] * 3


async def test_a_name_whose_targets_are_all_disabled_is_unavailable_for_nobody_knows_how_long(it: Served) -> None:
    refusal = await refused(it.resolving("off"))
    assert (refusal.code, refusal.reason, refusal.retry_after_s) == (UNAVAILABLE, "UNAVAILABLE", None)
    explained = await it.explain("off")
    assert not explained.HasField("plan")
    assert [(v.available, v.reason) for v in explained.targets] == [(False, "disabled")]


async def test_explain_tells_of_every_target_behind_the_name(it: Served) -> None:
    plan = await it.resolve("chat")
    await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=20_000))
    it.clock.now += 5
    explained = await it.explain("chat")
    assert explained.kind == "cluster"
    assert [a.target_id for a in explained.plan.attempts] == ["two/m#0", "two/raw-two#0"]
    assert [(v.target_id, v.path, v.available, v.retry_after_ms) for v in explained.targets] == [
        ("two/m#0", "chat/Turns/two", True, 0),
        ("two/raw-two#0", "chat/raw-two/two", True, 0),
        ("one/m#0", "chat/Turns/one", False, 15_000),
    ]
    assert explained.targets[2].reason == "cooling: rate-limited"


@pytest.mark.parametrize(("name", "kind"), [("chat", "cluster"), ("Turns", "pool"), ("m", "model")])
async def test_explain_tells_what_a_name_was_found_as(it: Served, name: str, kind: str) -> None:
    assert (await it.explain(name)).kind == kind


async def test_explain_refuses_an_unknown_name_as_resolve_does(it: Served) -> None:
    explain = it.call("Explain", pb.ExplainRequest(request=pb.ResolveRequest(model="chatt")))
    refusal = await refused(explain)
    assert (refusal.code, refusal.closest) == (NOT_FOUND, ["chat"])


@pytest.mark.parametrize(
    ("disposition", "code", "reason"),
    [
        (plan_pb2.DISPOSITION_RATE_LIMITED, RESOURCE_EXHAUSTED, "RATE_LIMITED"),
        (plan_pb2.DISPOSITION_QUOTA, RESOURCE_EXHAUSTED, "RATE_LIMITED"),
        (plan_pb2.DISPOSITION_OVERLOADED, UNAVAILABLE, "UNAVAILABLE"),
    ],
)
async def test_a_cooling_name_is_told_until_when(
    it: Served, disposition: plan_pb2.Disposition, code: int, reason: str
) -> None:
    plan = await it.resolve("Turns")
    await it.report(
        failed(plan, disposition, retry_after_ms=40_000),
        failed(plan, disposition, retry_after_ms=17_500, number=1),
    )
    it.clock.now += 7.5
    refusal = await refused(it.resolving("Turns"))
    assert (refusal.code, refusal.reason, refusal.retry_after_s) == (code, reason, 10.0)


async def test_of_a_limit_and_a_breakdown_the_limit_is_told(it: Served) -> None:
    plan = await it.resolve("Turns")
    await it.report(
        failed(plan, plan_pb2.DISPOSITION_OVERLOADED, retry_after_ms=10_000),
        failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=20_000, number=1),
    )
    refusal = await refused(it.resolving("Turns"))
    assert (refusal.code, refusal.retry_after_s) == (RESOURCE_EXHAUSTED, 10.0)


async def test_models_are_listed_pools_first_then_clusters_then_raw_models(it: Served) -> None:
    response = await it.call("ListModels", pb.ListModelsRequest())
    assert response.revision == 1
    assert [(m.id, m.kind, m.description, m.provider) for m in response.models] == [
        ("Turns", "pool", "takes turns", ""),
        ("solo", "pool", "", ""),
        ("off", "pool", "", ""),
        ("chat", "cluster", "for talking", ""),
        ("m", "model", "", "one"),
        ("Raw-One", "model", "", "one"),
        ("raw-two", "model", "", "two"),
    ]
    assert {m.created_at for m in response.models} == {LOADED_AT}


async def test_a_name_that_stands_for_several_things_is_listed_once_as_what_it_finds() -> None:
    text = """
providers: [{id: p, dialect: openai, base-url: "https://p.example/v1", models: [a, b]}]
model-pools:
  pools: [{id: A, members: [{provider: p, model: a}]}, {id: B, members: [{provider: p, model: b}]}]
  clusters: [{id: b, members: [{pool: A}]}]
"""
    async with serving(text) as it:
        response = await it.call("ListModels", pb.ListModelsRequest())
        assert [(m.id, m.kind) for m in response.models] == [("A", "pool"), ("b", "cluster")]
