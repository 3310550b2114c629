"""Targets that are known not to be able to serve a request are left out of its plan."""

from __future__ import annotations

import pytest

from resolver_service.app.decisions import Decision, Query
from resolver_service.app.refusals import NoTargetError, UnservableError
from resolver_service.domain.abilities import Capability, Needs
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

CONFIG = """
providers:
  - id: small
    dialect: openai
    base-url: https://s.example
    models: [{id: m, context: 8000, capabilities: [tools]}, plain]
  - id: large
    dialect: openai
    base-url: https://l.example
    models: [{id: m, context: 200000, capabilities: [vision]}]
  - {id: unknown, dialect: openai, base-url: "https://u.example", models: [x]}
model-pools:
  pools:
    - {id: both, members: [{model: m}]}
    - {id: all, members: [{model: m}, {provider: unknown, model: x}]}
    - {id: off, members: [{provider: small, model: m}, {provider: large, model: m, disabled: true}]}
    - {id: none, members: [{provider: large, model: m, disabled: true}]}
    - {id: bad, members: [{provider: small, model: m}, {provider: large, model: m}], policy: {on-exhausted: least-bad}}
"""
VISION, TOOLS = Needs(frozenset({Capability.VISION})), Needs(frozenset({Capability.TOOLS}))
LONG = Needs(input_tokens=7000, output_tokens=2000)
AUDIO = Needs(frozenset({Capability.AUDIO}))


@pytest.fixture
def it() -> Resolving:
    return Resolving(CONFIG)


def decide(it: Resolving, model: str, needs: Needs) -> Decision:
    return it.resolver.resolve(Query(model, will_report=True, needs=needs))


def plan(it: Resolving, model: str, needs: Needs) -> list[str]:
    return [attempt.target.id for attempt in decide(it, model, needs).attempts]


def reasons(it: Resolving, model: str, needs: Needs) -> dict[str, str]:
    return {v.target.id: v.reason for v in it.resolver.explain(Query(model, will_report=True, needs=needs)).targets}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(), {"small/m#0", "large/m#0", "unknown/x#0"}),
        (TOOLS, {"small/m#0", "unknown/x#0"}),
        (VISION, {"large/m#0", "unknown/x#0"}),
        (LONG, {"large/m#0", "unknown/x#0"}),
        (AUDIO, {"unknown/x#0"}),
    ],
)
def test_what_cannot_serve_is_left_out_and_what_is_not_known_may_try(
    it: Resolving, needs: Needs, expected: set[str]
) -> None:
    assert set(plan(it, "all", needs)) == expected


def test_they_are_left_out_before_the_choice_like_those_that_are_unavailable(it: Resolving) -> None:
    firsts = [plan(it, "all", VISION)[0] for _ in range(4)]
    assert firsts == ["large/m#0", "unknown/x#0"] * 2


def test_explain_names_what_is_missing(it: Resolving) -> None:
    assert reasons(it, "all", VISION)["small/m#0"] == "cannot: vision"
    assert reasons(it, "all", LONG)["small/m#0"] == "its context of 8000 is too small"
    assert reasons(it, "both", AUDIO) == {"small/m#0": "cannot: audio", "large/m#0": "cannot: audio"}
    it.fail("small/m#0")
    assert reasons(it, "all", VISION)["small/m#0"] == "cannot: vision", "it would be no better once it is well"
    assert reasons(it, "all", TOOLS)["small/m#0"] == "cooling: rate-limited", "that is all it lacks"


@pytest.mark.parametrize(
    ("needs", "lacking", "text"),
    [
        (AUDIO, ("audio",), "no target of 'both' offers audio"),
        (Needs(input_tokens=10**6), ("context",), "no target of 'both' offers a context of 1000000 tokens"),
        (
            Needs(TOOLS.capabilities | VISION.capabilities),
            ("vision", "tools"),
            "no target of 'both' offers vision and tools together",
        ),
    ],
)
def test_if_no_target_can_serve_the_request_is_at_fault(
    it: Resolving, needs: Needs, lacking: tuple[str, ...], text: str
) -> None:
    with pytest.raises(UnservableError) as caught:
        decide(it, "both", needs)
    assert (caught.value.lacking, str(caught.value)) == (lacking, text)
    assert it.resolver.explain(Query("both", needs=needs)).decision is None


def test_what_is_disabled_does_not_count(it: Resolving) -> None:
    with pytest.raises(UnservableError):
        decide(it, "off", VISION)


def test_where_all_are_disabled_nobody_lacks_anything(it: Resolving) -> None:
    with pytest.raises(NoTargetError) as caught:
        decide(it, "none", VISION)
    assert (caught.value.code, caught.value.retry_after_s) == ("unavailable", None)


def test_if_what_can_serve_is_away_it_is_waited_for(it: Resolving) -> None:
    it.fail("large/m#0", Disposition.RATE_LIMITED, 20.0)
    with pytest.raises(NoTargetError) as caught:
        decide(it, "both", VISION)
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 20.0)
    assert plan(it, "both", TOOLS) == ["small/m#0"]


def test_what_cools_and_could_not_serve_says_nothing_of_when_to_come_back(it: Resolving) -> None:
    it.fail("small/m#0", Disposition.RATE_LIMITED, 5.0)
    it.fail("large/m#0", Disposition.SERVER_ERROR, 40.0)
    for _ in range(5):
        it.fail("large/m#0", Disposition.SERVER_ERROR, 40.0)
    with pytest.raises(NoTargetError) as caught:
        decide(it, "both", VISION)
    assert caught.value.code == "unavailable"
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 5.0


def test_the_least_bad_is_one_that_can_serve(it: Resolving) -> None:
    it.fail("small/m#0", Disposition.RATE_LIMITED, 5.0)
    it.fail("large/m#0", Disposition.RATE_LIMITED, 40.0)
    assert plan(it, "bad", VISION) == ["large/m#0"]
    assert plan(it, "bad", Needs()) == ["small/m#0"]


def test_no_probe_goes_to_what_cannot_serve(it: Resolving) -> None:
    it.fail("small/m#0", Disposition.RATE_LIMITED, 5.0)
    it.clock.advance(6)
    assert plan(it, "both", VISION) == ["large/m#0"]
    assert it.probes.handed_out == 0
    assert {a.target.id: a.probe for a in decide(it, "both", TOOLS).attempts} == {"small/m#0": True}


def test_a_plan_says_whether_needs_make_a_difference(it: Resolving) -> None:
    assert decide(it, "all", Needs()).course.depends_on_needs
    assert not decide(it, "plain", VISION).course.depends_on_needs
