from __future__ import annotations

import pytest

from resolver_service.domain.catalog import Strategy
from resolver_service.domain.config import parse
from tests.unit.resolver_service.domain.written import (
    CLUSTER,
    POOL,
    WHOLE,
    changed,
    document,
    found,
    members,
    problems,
    provider,
    targets,
)

# --- Pools -----------------------------------------------------------------------------------------------------------


def test_a_pool_is_as_it_is_written() -> None:
    tree = document(
        pools=[
            {
                "id": " Fast ",
                "description": " quick\nwork ",
                "strategy": "priority",
                "members": [
                    {"provider": "ONE", "model": "beta", "priority": 5, "weight": 3},
                    {"provider": "two", "model": "alpha", "priority": -1},
                    {"provider": "one", "model": "unlisted", "priority": 5, "disabled": True},
                ],
            }
        ]
    )
    fast = parse(tree).pools["fast"]
    assert (fast.kind, fast.id, fast.description, fast.strategy) == ("pool", "Fast", "quick\nwork", Strategy.PRIORITY)
    assert [(tier.priority, tier.weights) for tier in fast.tiers] == [(-1, (1,)), (5, (3, 1))]
    assert [(m.priority, m.weight) for m in members(fast)] == [(-1, 1), (5, 3), (5, 1)]
    assert [(t.id, t.path, t.disabled) for t in targets(fast)] == [
        ("two/ALPHA#0", "Fast/two", False),
        ("one/beta#0", "Fast/one", False),
        ("one/unlisted#0", "Fast/one", True),
    ]


def test_round_robin_has_one_tier_whatever_the_priorities() -> None:
    pool = {"id": "p", "members": [{"provider": "one", "model": m, "priority": p} for m, p in (("b", 9), ("a", -9))]}
    (tier,) = parse(document(pools=[pool])).pools["p"].tiers
    assert (tier.priority, tier.weights) == (0, (1, 1))
    assert [m.sources[0].targets[0].model for m in tier.members] == ["b", "a"]
    assert [m.priority for m in tier.members] == [9, -9]


@pytest.mark.parametrize(
    ("default", "own", "strategy"),
    [
        (None, None, Strategy.ROUND_ROBIN),
        ("priority", None, Strategy.PRIORITY),
        ("priority", "round-robin", Strategy.ROUND_ROBIN),
        ("round-robin", "priority", Strategy.PRIORITY),
    ],
)
def test_a_pool_without_strategy_takes_the_default(default: str | None, own: str | None, strategy: Strategy) -> None:
    tree = document(pools=[{"id": "p", "strategy": own, "members": [{"model": "alpha"}]}])
    tree["model-pools"]["default-strategy"] = default
    assert parse(tree).pools["p"].strategy is strategy


@pytest.mark.parametrize("default", ["priority", "round-robin"])
def test_a_cluster_without_strategy_goes_by_priority_whatever_the_default(default: str) -> None:
    tree = document(clusters=[{"id": "c", "members": [{"model": "alpha"}]}])
    tree["model-pools"]["default-strategy"] = default
    assert parse(tree).clusters["c"].strategy is Strategy.PRIORITY


@pytest.mark.parametrize(
    ("model", "name"),
    [("beta", "beta"), ("unlisted", "unlisted"), ("Beta(high)", "Beta"), ("x(1)", "x"), ("odd(name)", "odd(name)")],
)
def test_a_pool_without_id_has_the_name_of_its_first_members_model(model: str, name: str) -> None:
    providers = [provider("one", "beta", "odd(name)")]
    pool = {"members": [{"provider": "one", "model": model}, {"provider": "one", "model": "z"}]}
    (found_pool,) = parse(document(providers, [pool])).pools.values()
    assert found_pool.id == name


def test_a_member_without_provider_is_a_turn_taker_per_provider_that_lists_the_model() -> None:
    pool = {"id": "p", "strategy": "priority", "members": [{"model": "Alpha(low)", "weight": 4, "priority": 2}]}
    catalog = parse(document(pools=[pool]))
    assert [(m.weight, m.priority, [t.id for t in m.sources[0].targets]) for m in members(catalog.pools["p"])] == [
        (4, 2, ["one/alpha#0"]),
        (4, 2, ["two/ALPHA#0"]),
    ]
    assert {t.reasoning for t in targets(catalog.pools["p"])} == {"low"}


@pytest.mark.parametrize(
    ("provider_name", "model", "upstream", "reasoning"),
    [
        ("one", "BETA(high)", "beta", "high"),
        ("one", "odd(name)", "Odd(Name)", ""),
        ("one", "odd(name)(64000)", "Odd(Name)", "64000"),
        ("one", "other(low)", "other", "low"),
        ("one", " other ", "other", ""),
        (None, "BETA(high)", "beta", "high"),
        (None, "odd(name)", "Odd(Name)", ""),
        (None, "odd(name)(64000)", "Odd(Name)", "64000"),
    ],
)
def test_a_reasoning_suffix_is_split_off_only_where_the_name_as_it_stands_is_unknown(
    provider_name: str | None, model: str, upstream: str, reasoning: str
) -> None:
    providers = [provider("one", "beta", "Odd(Name)")]
    catalog = parse(document(providers, [{"id": "p", "members": [{"provider": provider_name, "model": model}]}]))
    assert [(t.model, t.reasoning) for t in targets(catalog.pools["p"])] == [(upstream, reasoning)]


def test_a_model_may_be_one_that_the_named_provider_does_not_list() -> None:
    catalog = parse(document(pools=[{"id": "p", "members": [{"provider": "one", "model": "alpah"}]}]))
    assert [t.id for t in targets(catalog.pools["p"])] == ["one/alpah#0"]
    assert catalog.find("alpah") is None


@pytest.mark.parametrize(("written", "weight"), [(None, 1), (0, 1), (1, 1), (100, 100)])
def test_a_weight_that_is_left_out_or_zero_is_one(written: int | None, weight: int) -> None:
    pool = {"id": "p", "members": [{"model": "beta", "weight": written}]}
    cluster = {"id": "c", "members": [{"model": "beta", "weight": written}]}
    catalog = parse(document(pools=[pool], clusters=[cluster]))
    assert catalog.pools["p"].tiers[0].weights == catalog.clusters["c"].tiers[0].weights == (weight,)


@pytest.mark.parametrize("group", [POOL, CLUSTER])
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weight", -1, "expected an integer from 0 to 100, got -1"),
        ("weight", 101, "expected an integer from 0 to 100, got 101"),
        ("weight", 10**60, "expected an integer from 0 to 100, got an integer"),
        ("weight", True, "expected an integer, got a boolean"),
        ("weight", 1.0, "expected an integer, got a number"),
        ("weight", "2", "expected an integer, got a string"),
        ("priority", False, "expected an integer, got a boolean"),
        ("priority", 0.5, "expected an integer, got a number"),
        ("priority", "high", "expected an integer, got a string"),
        ("priority", 10**12, "expected an integer from -1000000000 to 1000000000, got 1000000000000"),
        ("disabled", "true", "expected true or false, got a string"),
    ],
)
def test_what_a_member_says_of_itself_is_checked(group: str, key: str, value: object, message: str) -> None:
    path = f"{group}.members[0].{key}"
    assert problems(changed(WHOLE, path, value)) == [(path, message)]


def test_an_integer_that_python_would_not_write_out_is_refused_like_others() -> None:
    got = problems(changed(WHOLE, f"{POOL}.members[0].weight", 10**5000))
    assert [message for _, message in got] == ["expected an integer from 0 to 100, got an integer"]


# --- Clusters --------------------------------------------------------------------------------------------------------


def test_a_cluster_gathers_pools_and_models() -> None:
    pool = {
        "id": "Fast",
        "strategy": "round-robin",
        "members": [{"provider": "one", "model": "beta(low)", "priority": 7}],
    }
    cluster = {
        "id": "Code",
        "description": "hard work",
        "members": [
            {"pool": " fast ", "priority": 1, "weight": 2},
            {"model": "alpha(high)", "priority": 1},
            {"model": "BETA"},
        ],
    }
    catalog = parse(document(pools=[pool], clusters=[cluster]))
    code = catalog.clusters["code"]
    assert (code.kind, code.id, code.description, code.strategy) == ("cluster", "Code", "hard work", Strategy.PRIORITY)
    assert [(tier.priority, tier.weights) for tier in code.tiers] == [(0, (1,)), (1, (2, 1))]
    beta, fast, alpha = members(code)
    assert [t.path for source in beta.sources for t in source.targets] == ["Code/beta/one"]
    assert fast.pool is not None
    assert fast.sources == ()
    assert (fast.pool.kind, fast.pool.id, fast.pool.strategy) == ("pool", "Fast", Strategy.ROUND_ROBIN)
    assert fast.pool.rotation_key == catalog.pools["fast"].rotation_key
    assert [(t.path, t.reasoning) for t in targets(fast.pool)] == [("Code/Fast/one", "low")]
    assert [(t.path, t.id, t.reasoning) for source in alpha.sources for t in source.targets] == [
        ("Code/alpha/one", "one/alpha#0", "high"),
        ("Code/alpha/two", "two/ALPHA#0", "high"),
    ]
    assert [t.path for t in targets(catalog.pools["fast"])] == ["Fast/one"]


def test_a_model_in_a_cluster_is_never_the_pool_of_that_name() -> None:
    pool = {"id": "alpha", "members": [{"provider": "one", "model": "beta"}]}
    catalog = parse(document(pools=[pool], clusters=[{"id": "c", "members": [{"model": "alpha"}, {"pool": "alpha"}]}]))
    assert [t.id for t in targets(catalog.clusters["c"])] == ["one/alpha#0", "two/ALPHA#0", "one/beta#0"]


def test_a_cluster_may_have_the_name_of_a_pool_and_hides_it() -> None:
    pool = {"id": "same", "members": [{"model": "beta"}]}
    catalog = parse(document(pools=[pool], clusters=[{"id": "Same", "members": [{"pool": "same"}]}]))
    assert found(catalog, "same").kind == "cluster"
    assert targets(catalog.clusters["same"])[0].path == "Same/same/one"


@pytest.mark.parametrize(
    ("place", "disabled"),
    [
        ("providers[0]", ["code/fast/one#0", "code/fast/one#1", "code/alpha/one#0", "code/alpha/one#1"]),
        ("providers[0].credentials[1]", ["code/fast/one#1", "code/alpha/one#1"]),
        (f"{POOL}.members[0]", ["code/fast/one#0", "code/fast/one#1"]),
        (f"{CLUSTER}.members[0]", ["code/fast/one#0", "code/fast/one#1"]),
        (f"{CLUSTER}.members[1]", ["code/alpha/one#0", "code/alpha/one#1", "code/alpha/two#0"]),
    ],
)
def test_what_is_disabled_stays_in_the_catalog_and_says_so(place: str, disabled: list[str]) -> None:
    before, after = parse(WHOLE).clusters["code"], parse(changed(WHOLE, f"{place}.disabled", True)).clusters["code"]
    assert [t.id for t in targets(before)] == [t.id for t in targets(after)]
    assert not any(t.disabled for t in targets(before))
    assert [f"{t.path}#{t.credential.index}" for t in targets(after) if t.disabled] == disabled


def test_a_disabled_cluster_member_leaves_the_pool_itself_in_service() -> None:
    catalog = parse(changed(WHOLE, f"{CLUSTER}.members[0].disabled", True))
    assert not any(t.disabled for t in targets(catalog.pools["fast"]))


def test_switched_off_model_pools_are_unknown_but_still_checked() -> None:
    tree = changed(WHOLE, "model-pools.enabled", False)
    catalog = parse(tree)
    assert catalog.pools == catalog.clusters == {}
    assert list(catalog.models) == ["alpha", "beta"]
    assert problems(changed(tree, f"{CLUSTER}.members[0].pool", "fats")) == [
        ("model-pools.clusters[1].members[0].pool", "unknown pool 'fats'; did you mean 'fast'?")
    ]
