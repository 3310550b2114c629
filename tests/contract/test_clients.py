"""Clients over the wire: who is let in, what they see, and how they are told of their limits."""

from __future__ import annotations

import hashlib
from typing import Any

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
    refused,
    serving,
    unpacked,
)
from tests.contract.test_resolve_stream import Stream, item

UNAUTHENTICATED = 16
AUTHENTICATE = plan_pb2.OPERATION_AUTHENTICATE


def sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


ALL, SOME, FEW, LATE = (sha256(key) for key in ("all", "some", "few", "late"))
GUARDED = f"""{CONFIG}
clients:
  - {{id: all, key-sha256: {ALL.hex()}}}
  - {{id: some, key-sha256: {SOME.hex()}, allow: [chat, "raw-*"]}}
  - {{id: few, key-sha256: {FEW.hex()}, limits: {{rpm: 2, tpm: 1000, concurrent: 1}}}}
  - {{id: late, key-sha256: {LATE.hex()}, expires: "2023-11-14"}}
"""


async def test_with_clients_every_call_needs_a_key() -> None:
    async with serving(GUARDED) as it:
        for fields, reason in (
            ({}, "CLIENT_KEY_MISSING"),
            ({"client_key_sha256": sha256("nobody's")}, "CLIENT_KEY_UNKNOWN"),
            ({"client_key_sha256": b"short"}, "CLIENT_KEY_UNKNOWN"),
        ):
            shown: Any = fields
            calls = [
                it.resolving("chat", **shown),
                it.resolving("", operation=AUTHENTICATE, **shown),
                it.explain("chat", **shown),
                it.call("ListModels", pb.ListModelsRequest(**shown)),
            ]
            for call in calls:
                refusal = await refused(call)
                assert (refusal.code, refusal.reason) == (UNAUTHENTICATED, reason)
            answer = (await Stream(it).say(item(1, "chat", **shown))).answers[0]
            assert (answer.error.code, unpacked(answer.error).reason) == (UNAUTHENTICATED, reason)
        assert (await it.resolve("chat", client_key_sha256=ALL)).name == "chat"
        assert it.metric("forebay_resolves_total", name="", result="client_key_missing") == 3


async def test_a_key_that_has_expired_is_told_apart() -> None:
    async with serving(GUARDED.replace("2023-11-14", "2023-11-13")) as it:
        assert (await refused(it.resolving("chat", client_key_sha256=LATE))).reason == "CLIENT_KEY_EXPIRED"
    async with serving(GUARDED) as it:
        assert (await it.resolve("chat", client_key_sha256=LATE)).name == "chat", "to the end of the day"


async def test_without_clients_a_caller_may_still_require_a_key(it: Served) -> None:
    assert (await it.resolve("chat", client_key_sha256=SOME)).name == "chat"
    for call in (
        it.resolving("chat", client_key_required=True, client_key_sha256=SOME),
        it.call("ListModels", pb.ListModelsRequest(client_key_required=True, client_key_sha256=SOME)),
    ):
        assert (await refused(call)).reason == "CLIENT_KEY_UNKNOWN"


async def test_a_plan_of_nothing_says_that_the_key_is_known(it: Served) -> None:
    plan = await it.resolve("", operation=AUTHENTICATE)
    assert (list(plan.attempts), plan.attempts_allowed, plan.name) == ([], 0, "")
    assert (await refused(it.resolving(""))).code == INVALID_ARGUMENT
    async with serving(GUARDED) as guarded:
        for _ in range(5):
            plan = await guarded.resolve("", operation=AUTHENTICATE, client_key_sha256=FEW)
            assert not plan.HasField("limits"), "it counts towards no limit"


async def test_each_key_has_its_own_listing() -> None:
    async def listed(key: bytes) -> list[str]:
        response = await it.call("ListModels", pb.ListModelsRequest(client_key_sha256=key))
        return [entry.id for entry in response.models]

    async with serving(GUARDED) as it:
        assert await listed(ALL) == ["Turns", "solo", "off", "chat", "m", "Raw-One", "raw-two"]
        assert await listed(SOME) == ["chat", "Raw-One", "raw-two"]


@pytest.mark.parametrize("model", ["Turns", "solo", "m", "m(high)"])
async def test_a_forbidden_name_is_an_unknown_one(model: str) -> None:
    async with serving(GUARDED) as it:
        forbidden = await refused(it.resolving(model, client_key_sha256=SOME))
        unknown = await refused(it.resolving("zzzz", client_key_sha256=SOME))
        assert (forbidden.code, forbidden.reason) == (unknown.code, unknown.reason) == (NOT_FOUND, "MODEL_NOT_FOUND")
        assert not {"turns", "solo", "m"} & {name.lower() for name in forbidden.closest}
        assert forbidden.message.replace(f"'{model}'", "'zzzz'") == unknown.message
        explained = await refused(it.explain(model, client_key_sha256=SOME))
        assert (explained.code, explained.message) == (NOT_FOUND, forbidden.message)
        assert it.metric("forebay_resolves_total", name="", result="not_found") == 2


@pytest.mark.parametrize("closes", [True, False])
async def test_limits_are_one_count_over_all_streams_and_calls(*, closes: bool) -> None:
    async with serving(GUARDED) as it:
        one, other = Stream(it), Stream(it)
        needs = pb.Needs(estimated_input_tokens=100, max_output_tokens=200)
        plan = (await one.say(item(1, "chat", client_key_sha256=FEW, needs=needs))).answers[0].plan
        told = plan.limits
        assert (told.requests.limit, told.requests.remaining, told.requests.reset_ms) == (2, 1, 60_000)
        assert (told.tokens.limit, told.tokens.remaining) == (1000, 700)

        error = (await other.say(item(1, "chat", client_key_sha256=FEW))).answers[0].error
        refusal = unpacked(error)
        assert (refusal.code, refusal.reason, refusal.retry_after_s) == (RESOURCE_EXHAUSTED, "CLIENT_CONCURRENT", 1.0)
        limits = plan_pb2.ClientLimits()
        assert any(detail.Unpack(limits) for detail in error.details)
        assert limits.requests.remaining == 1, "a refusal uses nothing"

        ended = pb.AttemptEnded(target_id=plan.attempts[0].target_id, input_tokens=90, output_tokens=60)
        report = pb.OutcomeReport(decision_id=plan.decision_id, ended=ended, closes=closes)
        reports = (report,) if closes else (report, closed(plan))
        items = tuple(pb.ReportItem(id=number, report=report) for number, report in enumerate(reports, 1))
        # What a message reports is applied before what it asks for.
        answer = (await other.say(item(2, "chat", client_key_sha256=FEW, will_report=False), reports=items)).answers[0]
        assert (answer.plan.limits.requests.remaining, answer.plan.limits.tokens.remaining) == (0, 850)
        third = await refused(it.resolving("chat", client_key_sha256=FEW))
        assert (third.reason, third.retry_after_s) == ("CLIENT_REQUESTS", 60.0)
        it.clock.now += 60
        assert (await it.resolve("chat", client_key_sha256=FEW)).limits.requests.remaining == 1
        assert it.metric("forebay_resolves_total", name="", result="client_requests") == 1


async def test_a_client_without_limits_is_told_of_none() -> None:
    async with serving(GUARDED) as it:
        assert not (await it.resolve("chat", client_key_sha256=ALL)).HasField("limits")
