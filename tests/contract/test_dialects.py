"""What the contract says of providers' quirks, members' overrides, and what models can do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.contract.serving import INVALID_ARGUMENT, Served, refused, serving

CONFIG = """
providers:
  - id: azure
    preset: azure-openai
    base-url: https://r.openai.azure.com
    quirks: {api-version: 2024-10-21, drop: [user], headers: {X-Title: Example}, system-role: developer,
             rename: {seed: random_seed}, takes: [top_k, user], lacks: [n, output.schema], efforts: [low, max],
             effort-field: reasoning.effort, thoughts: [reasoning], max-stops: 2, call-id-chars: 9}
    models: [{id: m, context: 8000, max-output: 4000, capabilities: [vision, tools]}, plain]
  - {id: one, dialect: openai, base-url: "https://one.example", models: [{id: m, context: 9000, capabilities: []}]}
  - {id: e, dialect: openai, base-url: "https://e.example", models: [{id: embed, capabilities: [embeddings]}, other]}
model-pools:
  pools:
    - id: p
      members: [{provider: azure, model: m, params: {set: {seed: 1}, default: {top_p: 0.5}, drop: [user]}}]
    - {id: mixed, members: [{provider: azure, model: m}, {provider: one, model: m}]}
    - {id: vectors, members: [{model: m}, {model: embed}, {model: other}]}
    - {id: nothing, members: [{provider: one, model: m}]}
"""
EMBED, COUNT = plan_pb2.OPERATION_EMBED, plan_pb2.OPERATION_COUNT


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Served]:
    async with serving(CONFIG) as served:
        yield served


async def test_quirks_and_overrides_travel_with_the_attempt(it: Served) -> None:
    attempt = (await it.resolve("p")).attempts[0]
    assert attempt.quirks == plan_pb2.Quirks(
        max_tokens_field="max_completion_tokens",
        system_role="developer",
        drop=["user"],
        auth_header="api-key",
        headers=[plan_pb2.Header(name="x-title", value="Example")],
        api_version="2024-10-21",
        deployment_paths=True,
        takes=["top_k", "user"],
        lacks=["n", "output.schema"],
        rename={"seed": "random_seed"},
        efforts=["low", "max"],
        effort_field="reasoning.effort",
        thoughts=["reasoning"],
        max_stops=2,
        call_id_chars=9,
    )
    assert attempt.responses
    assert (attempt.params_set_json, attempt.params_default_json) == (b'{"seed":1}', b'{"top_p":0.5}')
    assert list(attempt.params_drop) == ["user"]
    assert attempt.max_output_tokens == 4000


async def test_a_provider_like_any_other_has_no_quirks(it: Served) -> None:
    attempt = (await it.resolve("other")).attempts[0]
    assert not attempt.HasField("quirks")
    assert not attempt.responses


async def targets(it: Served, model: str, needs: pb.Needs, operation: plan_pb2.Operation) -> set[str]:
    return {a.target_id for a in (await it.resolve(model, needs=needs, operation=operation)).attempts}


@pytest.mark.parametrize(
    ("model", "needs", "operation", "expected"),
    [
        ("mixed", pb.Needs(), plan_pb2.OPERATION_GENERATE, {"azure/m#0", "one/m#0"}),
        ("mixed", pb.Needs(capabilities=["vision"]), plan_pb2.OPERATION_GENERATE, {"azure/m#0"}),
        ("mixed", pb.Needs(estimated_input_tokens=8500), plan_pb2.OPERATION_GENERATE, {"one/m#0"}),
        ("mixed", pb.Needs(max_output_tokens=4001), plan_pb2.OPERATION_GENERATE, {"one/m#0"}),
        # Of a newer caller.
        ("mixed", pb.Needs(capabilities=["telepathy"]), plan_pb2.OPERATION_GENERATE, {"azure/m#0", "one/m#0"}),
        # Whether it fits is what is being found out.
        ("mixed", pb.Needs(estimated_input_tokens=10**6), COUNT, {"azure/m#0", "one/m#0"}),
        ("mixed", pb.Needs(capabilities=["vision"]), COUNT, {"azure/m#0"}),
        ("vectors", pb.Needs(), EMBED, {"e/embed#0", "e/other#0"}),
    ],
)
async def test_a_plan_is_of_targets_that_can_serve(
    it: Served, model: str, needs: pb.Needs, operation: plan_pb2.Operation, expected: set[str]
) -> None:
    assert await targets(it, model, needs, operation) == expected


@pytest.mark.parametrize(
    ("needs", "reason", "fields", "message"),
    [
        (pb.Needs(capabilities=["vision"]), "NEEDS_UNMET", ["needs.capabilities"], "offers vision"),
        (
            pb.Needs(estimated_input_tokens=9000, max_output_tokens=1),
            "CONTEXT_LENGTH_EXCEEDED",
            ["needs.estimated_input_tokens"],
            "offers a context of 9001 tokens",
        ),
        (
            pb.Needs(capabilities=["tools", "vision"], estimated_input_tokens=9001),
            "NEEDS_UNMET",
            ["needs.capabilities", "needs.estimated_input_tokens"],
            "offers tools and vision and a context of 9001 tokens",
        ),
    ],
)
async def test_a_request_that_no_target_can_serve_is_at_fault_itself(
    it: Served, needs: pb.Needs, reason: str, fields: list[str], message: str
) -> None:
    refusal = await refused(it.resolving("nothing", needs=needs))
    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID_ARGUMENT, reason, fields)
    assert refusal.message == f"no target of 'nothing' {message}"
    assert (await it.explain("nothing", needs=needs)).targets[0].reason
    assert not (await it.explain("nothing", needs=needs)).HasField("plan")


async def test_refusals_for_needs_are_counted_under_their_name(it: Served) -> None:
    await refused(it.resolving("nothing", needs=pb.Needs(capabilities=["vision"])))
    labels = {"name": "nothing", "result": "needs_unmet"}
    assert it.registry.get_sample_value("forebay_resolves_total", labels) == 1


async def test_a_listing_has_what_all_targets_have_in_common(it: Served) -> None:
    listed = {m.id: m for m in (await it.call("ListModels", pb.ListModelsRequest())).models}
    found = {
        name: (
            m.context_tokens,
            m.max_output_tokens,
            list(m.capabilities.names) if m.HasField("capabilities") else None,
        )
        for name, m in listed.items()
    }
    assert found == {
        "p": (8000, 4000, ["tools", "vision"]),
        "mixed": (0, 0, None),
        "vectors": (0, 0, None),
        "nothing": (9000, 0, []),
        "m": (0, 0, None),
        "plain": (0, 0, None),
        "embed": (0, 0, ["embeddings"]),
        "other": (0, 0, None),
    }


async def test_a_plan_says_whether_needs_make_a_difference(it: Served) -> None:
    assert (await it.resolve("mixed")).depends_on_needs
    assert not (await it.resolve("plain")).depends_on_needs
