from __future__ import annotations

from typing import Any

import pytest

from resolver_service.domain.catalog import Target
from resolver_service.domain.config import parse
from resolver_service.domain.policy import CoolDownBounds, Disposition, Failover, OnExhausted, Policy, Timeouts
from tests.unit.resolver_service.domain.written import (
    CLUSTER,
    POOL,
    WHOLE,
    changed,
    document,
    problems,
    targets,
)


def test_a_policy_is_as_it_is_written() -> None:
    policy = {
        "attempts": 3,
        "on-exhausted": "least-bad",
        "timeouts": {
            "connect": "250ms",
            "headers": "1.5s",
            "first-content": "2m",
            "idle": "3s",
            "total": "1h",
            "stream": "2h",
        },
        "failover": {"never": ["quota", "timeout"], "also": ["context-length"]},
    }
    catalog = parse(document(policy=policy))
    alpha = catalog.models["alpha"]
    expected = Policy(
        3,
        OnExhausted.LEAST_BAD,
        Timeouts(0.25, 1.5, 120.0, 3.0, 3600.0, 7200.0),
        Failover((Disposition.QUOTA, Disposition.TIMEOUT), (Disposition.CONTEXT_LENGTH,)),
    )
    assert alpha.policy == expected
    assert targets(alpha)[0].timeouts == expected.timeouts
    assert targets(alpha)[0].failover == expected.failover


UNIT = "write it with a unit, such as 90s"


@pytest.mark.parametrize(
    ("policy", "path", "message"),
    [
        ({"attempts": 0}, "attempts", "expected an integer from 1 to 100, got 0"),
        ({"attempts": 101}, "attempts", "expected an integer from 1 to 100, got 101"),
        ({"attempts": True}, "attempts", "expected an integer, got a boolean"),
        ({"timeouts": {"idle": 90}}, "timeouts.idle", UNIT),
        ({"timeouts": {"idle": 1.5}}, "timeouts.idle", UNIT),
        ({"timeouts": {"idle": "90"}}, "timeouts.idle", UNIT),
        ({"timeouts": {"idle": "0s"}}, "timeouts.idle", "expected a duration from 1ms to 168h"),
        ({"timeouts": {"idle": True}}, "timeouts.idle", "expected a duration such as 90s, got a boolean"),
        ({"timeouts": {"idle": []}}, "timeouts.idle", "expected a duration such as 90s, got a list"),
        (
            {"timeouts": {"idle": "soon"}},
            "timeouts.idle",
            "expected one number and a unit, such as 250ms, 90s, 5m or 1h",
        ),
        ({"timeouts": "90s"}, "timeouts", "expected a mapping, got a string"),
        ({"failover": {"never": "quota"}}, "failover.never", "expected a list, got a string"),
        (
            {"failover": {"never": ["quotta"]}},
            "failover.never[0]",
            "unknown disposition 'quotta'; did you mean 'quota'?",
        ),
        (
            {"failover": {"also": ["ok"]}},
            "failover.also[0]",
            "'ok' is no failure, so there is nothing to move on from",
        ),
        (
            {"failover": {"never": ["cancelled"]}},
            "failover.never[0]",
            "'cancelled' is no failure, so there is nothing to move on from",
        ),
        ({"failover": {"never": ["quota", "quota"]}}, "failover.never[1]", "'quota' is listed twice"),
        (
            {"failover": {"never": ["quota"], "also": ["empty", "quota"]}},
            "failover.also[1]",
            "'quota' stands in 'never' too; one of the two must go",
        ),
        ({"failover": {"never": [None]}}, "failover.never[0]", "expected a string, got nothing"),
        ([], "", "expected a mapping, got a list"),
    ],
)
@pytest.mark.parametrize(
    "place",
    ["", "providers[0].", f"{POOL}.", f"{POOL}.members[0].", f"{CLUSTER}.", f"{CLUSTER}.members[0]."],
)
def test_a_policy_is_checked_wherever_it_stands(place: str, policy: object, path: str, message: str) -> None:
    got = problems(changed(WHOLE, f"{place}policy", policy))
    assert got == [(f"{place}policy{'.' if path else ''}{path}", message)]


def test_each_that_is_wrong_of_several_is_told_once() -> None:
    got = problems(changed(WHOLE, "policy", {"failover": {"also": ["cancelled", "nope", "nix", "empty", "ok"]}}))
    assert [path for path, _ in got] == [f"policy.failover.also[{n}]" for n in (0, 1, 2, 4)]


@pytest.mark.parametrize(
    ("cool_down", "bounds"),
    [
        ({}, CoolDownBounds(1.0, 300.0)),
        ({"min": "5s"}, CoolDownBounds(5.0, 300.0)),
        ({"max": "2s"}, CoolDownBounds(1.0, 2.0)),
        ({"min": "100ms", "max": "24h"}, CoolDownBounds(0.1, 86_400.0)),
        ({"min": "10m", "max": "10m"}, CoolDownBounds(600.0, 600.0)),
    ],
)
def test_what_providers_may_ask_for_is_as_it_is_written(cool_down: dict[str, Any], bounds: CoolDownBounds) -> None:
    assert parse(document(policy={"cool-down": cool_down, "attempts": 3})).cool_down == bounds


COOL_DOWN = "expected a duration from 100ms to 24h"


@pytest.mark.parametrize(
    ("cool_down", "expected"),
    [
        ({"min": "0s"}, [("min", COOL_DOWN)]),
        ({"min": "99ms", "max": "25h"}, [("min", COOL_DOWN), ("max", COOL_DOWN)]),
        (
            {"min": 1, "max": "soon"},
            [("min", UNIT), ("max", "expected one number and a unit, such as 250ms, 90s, 5m or 1h")],
        ),
        ({"min": "5m", "max": "90s"}, [("max", "must not be less than 'min', which is 5m")]),
        ({"max": "500ms"}, [("max", "must not be less than 'min', which is 1s")]),
        ({"min": "10m"}, [("min", "must not be more than 'max', which is 5m unless told")]),
        ({"min": "10m", "max": 0}, [("max", UNIT)]),
        ({"min": [], "max": "500ms"}, [("min", "expected a duration such as 90s, got a list")]),
        ({"maximum": "1m"}, [("maximum", "unknown key 'maximum'; did you mean 'max'?")]),
        ("5m", [("", "expected a mapping, got a string")]),
    ],
)
def test_what_providers_may_ask_for_is_checked(cool_down: object, expected: list[tuple[str, str]]) -> None:
    got = problems(changed(WHOLE, "policy", {"cool-down": cool_down}))
    assert got == [(f"policy.cool-down{'.' if key else ''}{key}", message) for key, message in expected]


@pytest.mark.parametrize(
    "place", ["providers[0].", f"{POOL}.", f"{POOL}.members[0].", f"{CLUSTER}.", f"{CLUSTER}.members[0]."]
)
def test_what_providers_may_ask_for_is_told_at_the_top_level_alone(place: str) -> None:
    assert problems(changed(WHOLE, f"{place}policy", {"cool-down": {"max": "1m"}})) == [
        (
            f"{place}policy.cool-down",
            "unknown key 'cool-down'; it belongs in the policy at the top level, and holds for all providers",
        )
    ]


# From the strongest to the weakest.
LAYERS = {
    "member": f"{POOL}.members[0].policy",
    "pool": f"{POOL}.policy",
    "provider": "providers[0].policy",
    "cluster member": f"{CLUSTER}.members[0].policy",
    "cluster": f"{CLUSTER}.policy",
    "defaults": "policy",
}


@pytest.mark.parametrize("strongest", LAYERS)
@pytest.mark.parametrize("field", ["connect", "headers", "first-content", "idle", "stream"])
def test_an_attempt_goes_by_the_closest_time_limit(strongest: str, field: str) -> None:
    tree = WHOLE
    seconds = {name: 11 + number for number, name in enumerate(LAYERS)}
    names = list(LAYERS)
    for name in names[names.index(strongest) :]:
        tree = changed(tree, LAYERS[name], {"timeouts": {field: f"{seconds[name]}s"}})
    catalog = parse(tree)
    attribute = field.replace("-", "_") + "_s"

    def settled(target: Target) -> float:
        return float(getattr(target.timeouts, attribute))

    through_cluster = [t for t in targets(catalog.clusters["code"]) if t.path == "code/fast/one"]
    assert {settled(t) for t in through_cluster} == {seconds[strongest]}
    # Called by its own name the pool knows of no cluster.
    direct = strongest if strongest in ("member", "pool", "provider") else "defaults"
    assert {settled(t) for t in targets(catalog.pools["fast"])} == {seconds[direct]}
    raw = "provider" if names.index(strongest) <= names.index("provider") else "defaults"
    assert {settled(t) for t in targets(catalog.models["beta"])} == {seconds[raw]}


@pytest.mark.parametrize("strongest", ["provider", "cluster member", "cluster", "defaults"])
def test_a_raw_model_in_a_cluster_goes_by_provider_then_member_then_cluster(strongest: str) -> None:
    places = {**LAYERS, "cluster member": f"{CLUSTER}.members[1].policy"}
    names = ["provider", "cluster member", "cluster", "defaults"]
    tree = WHOLE
    for name in names[names.index(strongest) :]:
        tree = changed(tree, places[name], {"timeouts": {"idle": f"{11 + names.index(name)}s"}})
    (target, *_) = (t for t in targets(parse(tree).clusters["code"]) if t.path == "code/alpha/one")
    assert target.timeouts.idle_s == 11 + names.index(strongest)


def test_each_field_of_a_policy_is_settled_by_itself() -> None:
    tree = changed(WHOLE, "policy", {"failover": {"never": ["quota"], "also": ["context-length"]}})
    tree = changed(tree, LAYERS["provider"], {"timeouts": {"idle": "1s"}, "failover": {"never": ["empty"]}})
    tree = changed(tree, LAYERS["pool"], {"timeouts": {"connect": "2s"}, "failover": {"never": []}})
    tree = changed(tree, LAYERS["member"], {"timeouts": {"headers": "3s"}})
    catalog = parse(tree)
    pooled, raw = targets(catalog.pools["fast"])[0], targets(catalog.models["beta"])[0]
    assert (pooled.timeouts.idle_s, pooled.timeouts.connect_s, pooled.timeouts.headers_s) == (1.0, 2.0, 3.0)
    assert pooled.failover == Failover(never=(), also=(Disposition.CONTEXT_LENGTH,))
    assert (raw.timeouts.idle_s, raw.timeouts.connect_s, raw.timeouts.headers_s) == (1.0, 5.0, 60.0)
    assert raw.failover == Failover(never=(Disposition.EMPTY,), also=(Disposition.CONTEXT_LENGTH,))


@pytest.mark.parametrize(
    ("name", "deciding"), [("fast", "pool"), ("code", "cluster"), ("beta", "defaults"), ("chat", "defaults")]
)
def test_a_walk_goes_by_the_called_name_else_by_the_defaults(name: str, deciding: str) -> None:
    tree = WHOLE
    for number, place in enumerate(LAYERS.values()):
        policy = {"attempts": 11 + number, "timeouts": {"total": f"{11 + number}s"}}
        tree = changed(tree, place, policy)
    tree = changed(tree, f"{LAYERS[deciding]}.on-exhausted", "least-bad")
    entry = parse(tree).find(name)
    assert entry is not None
    expected = 11 + list(LAYERS).index(deciding)
    assert (entry.policy.attempts, entry.policy.timeouts.total_s) == (expected, expected)
    assert entry.policy.on_exhausted is OnExhausted.LEAST_BAD
    defaults = 11 + list(LAYERS).index("defaults")
    assert {t.timeouts.total_s for t in targets(entry)} == {defaults}
