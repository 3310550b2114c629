from __future__ import annotations

import json
from typing import Any

import pytest

from resolver_service.domain.catalog import NO_PARAMS, Catalog, Params
from resolver_service.domain.config import ConfigError, parse
from resolver_service.domain.config_params import DEEPEST, LARGEST_BYTES


def catalog(pools: object = None, clusters: object = None) -> Catalog:
    a = {"pool": "a", "params": pools} if clusters is None else {"pool": "a", "params": clusters}
    return parse(
        {
            "providers": [{"id": "one", "dialect": "openai", "base-url": "https://one.example", "models": ["alpha"]}],
            "model-pools": {
                "pools": [{"id": "a", "members": [{"model": "alpha", "params": pools}]}],
                "clusters": [{"id": "c", "members": [a, {"model": "alpha", "params": clusters}]}],
            },
        }
    )


def of_pool(params: object) -> Params:
    return catalog(params).pools["a"].tiers[0].members[0].sources[0].targets[0].params


def of_cluster(pools: object, clusters: object) -> Params:
    pool = catalog(pools, clusters).clusters["c"].tiers[0].members[0].pool
    assert pool is not None
    return pool.tiers[0].members[0].sources[0].targets[0].params


def problems(params: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        catalog(params, {})
    return [(p.path.removeprefix("model-pools.pools[0].members[0]."), p.message) for p in caught.value.problems]


def test_values_travel_as_json() -> None:
    value = {"a": [1, 2.5, None, True, "\u00e9\U0001f600"], "": {}}
    params = of_pool({"set": {"metadata": value, "n": 2**63 - 1}, "default": {"seed": 1}, "drop": ["user", "store"]})
    assert json.loads(params.set_json) == {"metadata": value, "n": 2**63 - 1}
    assert (params.default_json, params.drop) == (b'{"seed":1}', ("user", "store"))
    assert not any(longer in params.set_json for longer in (b"\\u", b" ")), "as short as it can be"


@pytest.mark.parametrize("params", [None, {}, {"set": {}, "default": None, "drop": []}])
def test_who_says_nothing_changes_nothing(params: object) -> None:
    assert of_pool(params) is NO_PARAMS


def test_of_a_pool_in_a_cluster_the_pools_member_wins_field_by_field() -> None:
    cluster = {"set": {"a": 1, "b": 1, "c": 1}, "default": {"d": 1}, "drop": ["e", "f"]}
    pool = {"set": {"e": 2}, "default": {"b": 2}, "drop": ["c", "d"]}
    params = of_cluster(pool, cluster)
    assert (json.loads(params.set_json), json.loads(params.default_json)) == ({"a": 1, "e": 2}, {"b": 2})
    assert set(params.drop) == {"c", "d", "f"}
    assert of_pool(pool) == of_cluster(pool, {}), "the pool itself is as it was"


def test_a_clusters_raw_model_has_its_members_params() -> None:
    source = catalog(None, {"drop": ["user"]}).clusters["c"].tiers[0].members[1].sources[0]
    assert source.targets[0].params == Params(drop=("user",))


@pytest.mark.parametrize("name", ["model", "messages", "stream", "input", "contents", "prompt"])
@pytest.mark.parametrize("how", ["set", "default", "drop"])
def test_the_request_itself_cannot_be_touched(how: str, name: str) -> None:
    told = problems({how: [name] if how == "drop" else {name: 1}})
    assert [path for path, _ in told] == [f"params.{how}" + ("[0]" if how == "drop" else f".{name}")]
    assert told[0][1].startswith(f"'{name}' cannot be touched")


def test_a_block_is_small() -> None:
    fits = {"set": {"a": "x" * (LARGEST_BYTES // 2 - 3)}, "default": {"b": "x" * (LARGEST_BYTES // 2 - 3)}}
    assert of_pool(fits).set_json
    fits["set"]["cc"] = ""
    assert problems(fits) == [("params", f"{LARGEST_BYTES} bytes are the most, as JSON; got {LARGEST_BYTES + 4}")]


def test_a_value_is_not_deep() -> None:
    deep: Any = 1
    for _ in range(DEEPEST):
        deep = [deep]
    assert of_pool({"set": {"a": deep}}).set_json
    assert [path for path, _ in problems({"set": {"a": [deep]}})] == ["params.set.a"]


def test_values_without_end_are_told_at_once() -> None:
    loop: list[Any] = []
    loop.append(loop)
    wide: Any = "x"
    for _ in range(20):
        wide = [wide] * 20
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    for value in (loop, wide, deep, "x" * 10**6, dict.fromkeys(map(str, range(10**5)))):
        assert [path for path, _ in problems({"set": {"a": value}})] == ["params.set.a"]


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, float("nan"), 2**63, -(2**63), b"a", {1: 2}, {1}])
def test_what_json_does_not_have_is_a_mistake(value: object) -> None:
    assert [path for path, _ in problems({"set": {"a": value}})] == ["params.set.a"]
