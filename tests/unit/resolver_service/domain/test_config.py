from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config import ConfigError, Problem, parse
from tests.unit.resolver_service.domain.written import (
    CLUSTER,
    POOL,
    SECRET,
    WHOLE,
    changed,
    document,
    problems,
    provider,
)

# --- Nothing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"providers": None, "policy": None, "model-pools": None},
        {"providers": [], "policy": {}, "model-pools": {"pools": None, "clusters": None, "enabled": None}},
        {"policy": {"timeouts": None, "failover": None, "attempts": None, "on-exhausted": None}},
        {"policy": {"cool-down": None}},
        {"policy": {"cool-down": {"min": None, "max": None}}},
    ],
)
def test_nothing_describes_an_empty_catalog(tree: object) -> None:
    assert parse(tree) == Catalog(providers=(), pools={}, clusters={}, models={})


def test_no_document_at_all_describes_nothing() -> None:
    assert problems(None) == [("", "the file says nothing; an empty configuration is written as {}")]


# --- Words and references --------------------------------------------------------------------------------------------

NESTED = "clusters do not nest; name the pools and models that it gathers"
ONE_OF = "expected exactly one of 'pool' and 'model'"
KNOWN = "known here: providers, policy, model-pools, clients"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("provider", [], "unknown key 'provider'; did you mean 'providers'?"),
        ("zzz", 1, f"unknown key 'zzz'; {KNOWN}"),
        ("providers[0].base_url", 1, "unknown key 'base_url'; did you mean 'base-url'?"),
        ("providers[0].dialect", "opnai", "unknown dialect 'opnai'; did you mean 'openai'?"),
        ("providers[0].dialect", "cohere", "unknown dialect 'cohere'; expected openai, anthropic or gemini"),
        ("providers[0].dialect", 1, "expected a string, got an integer; put it in quotes"),
        (
            "policy.retries",
            1,
            "unknown key 'retries'; known here: attempts, on-exhausted, timeouts, failover, cool-down",
        ),
        ("policy.timeouts.totl", "1s", "unknown key 'totl'; did you mean 'total'?"),
        ("policy.failover.allso", [], "unknown key 'allso'; did you mean 'also'?"),
        ("policy.on-exhausted", "leastbad", "unknown value 'leastbad'; did you mean 'least-bad'?"),
        ("policy.on-exhausted", "wait", "unknown value 'wait'; expected reject or least-bad"),
        ("model-pools", [], "expected a mapping, got a list"),
        ("model-pools.pool", [], "unknown key 'pool'; did you mean 'pools'?"),
        ("model-pools.enabled", "no", "expected true or false, got a string"),
        ("model-pools.default-strategy", "roundrobin", "unknown strategy 'roundrobin'; did you mean 'round-robin'?"),
        ("model-pools.clusters", "x", "expected a list, got a string"),
        (f"{POOL}.stratgy", 1, "unknown key 'stratgy'; did you mean 'strategy'?"),
        (f"{POOL}.strategy", "prioriti", "unknown strategy 'prioriti'; did you mean 'priority'?"),
        (f"{POOL}.strategy", "random", "unknown strategy 'random'; expected priority or round-robin"),
        (f"{POOL}.disabled", True, "unknown key 'disabled'; known here: id, description, strategy, members, policy"),
        (f"{POOL}.description", 5, "expected a string, got an integer; put it in quotes"),
        (f"{POOL}.description", "\udfff", "must be valid Unicode"),
        (f"{POOL}.members", [], "must have at least one entry"),
        (f"{POOL}.members", None, "must have at least one entry"),
        (f"{POOL}.members", {}, "expected a list, got a mapping"),
        (f"{POOL}.members[0]", "alpha", "expected a mapping, got a string"),
        (f"{POOL}.members[0]", None, "expected a mapping, got nothing"),
        (f"{POOL}.members[0].modle", 1, "unknown key 'modle'; did you mean 'model'?"),
        (f"{POOL}.members[0].model", None, "is required"),
        (f"{POOL}.members[0].provider", "On", "unknown provider 'On'; did you mean 'one'?"),
        (f"{POOL}.members[0].provider", "zzz", "unknown provider 'zzz'"),
        (f"{POOL}.members[0].provider", "", "must not be empty"),
        (f"{POOL}.members[0].wieght", 2, "unknown key 'wieght'; did you mean 'weight'?"),
        (f"{CLUSTER}.id", None, "is required"),
        (f"{CLUSTER}.members", [], "must have at least one entry"),
        (f"{CLUSTER}.members[0].pool", "fsat", "unknown pool 'fsat'; did you mean 'fast'?"),
        (f"{CLUSTER}.members[0].pool", "zzz", "unknown pool 'zzz'"),
        (f"{CLUSTER}.members[0].pool", "CHAT", f"'CHAT' is a cluster; {NESTED}"),
        (f"{CLUSTER}.members[0].pool", "code", f"'code' is a cluster; {NESTED}"),
        (f"{CLUSTER}.members[0].pool", "Beta", "unknown pool 'Beta'; it is a model: name it with 'model'"),
        (f"{CLUSTER}.members[0].cluster", "chat", f"unknown key 'cluster'; {NESTED}"),
        (f"{CLUSTER}.members[1].model", "fast", "unknown model 'fast'; it is a pool: name it with 'pool'"),
        (f"{CLUSTER}.members[1].model", "alhpa", "unknown model 'alhpa'; did you mean 'alpha'?"),
        (f"{CLUSTER}.members[1].model", "zzz", "unknown model 'zzz'; no provider lists it"),
    ],
)
def test_one_mistake_is_one_problem_at_its_place(path: str, value: object, message: str) -> None:
    assert problems(changed(WHOLE, path, value)) == [(path, message)]


@pytest.mark.parametrize(
    ("place", "value", "path", "message"),
    [
        (f"{POOL}.members[0]", {"model": "alpah"}, ".model", "unknown model 'alpah'; did you mean 'alpha'?"),
        (f"{POOL}.members[0]", {"model": "Bta(high)"}, ".model", "unknown model 'Bta'; did you mean 'beta'?"),
        (f"{POOL}.members[0]", {"model": "zzz"}, ".model", "unknown model 'zzz'; no provider lists it"),
        (f"{POOL}.members[0]", {}, ".model", "is required"),
        (f"{CLUSTER}.members[0]", {"cluster": "chat"}, ".cluster", f"unknown key 'cluster'; {NESTED}"),
        (f"{CLUSTER}.members[0]", {"pool": "fast", "model": "alpha"}, "", ONE_OF),
        (f"{CLUSTER}.members[0]", {"pool": None, "model": None}, "", ONE_OF),
        (f"{CLUSTER}.members[0]", {}, "", ONE_OF),
        (f"{CLUSTER}.members[0]", {"pool": 5}, ".pool", "expected a string, got an integer; put it in quotes"),
    ],
)
def test_a_member_that_leads_nowhere_is_a_problem(place: str, value: object, path: str, message: str) -> None:
    assert problems(changed(WHOLE, place, value)) == [(place + path, message)]


@pytest.mark.parametrize(
    ("key", "path", "shown"),
    [
        (5, "[5]", "5"),
        (None, "[nothing]", "nothing"),
        ((1, 2), "[a tuple]", "a tuple"),
        ("a b", "['a b']", "'a b'"),
        ("a\nb", r"['a\nb']", r"'a\nb'"),
        ("\ud800", r"['\ud800']", r"'\ud800'"),
        ("x" * 99, f"['{'x' * 57}...']", f"'{'x' * 57}...'"),
    ],
)
def test_a_key_of_any_kind_is_shown_on_one_line(key: object, path: str, shown: str) -> None:
    assert problems({key: 1}) == [(path, f"unknown key {shown}; {KNOWN}")]


def test_a_problem_with_the_document_as_a_whole_has_no_path() -> None:
    assert problems([]) == [("", "expected a mapping, got a list")]
    with pytest.raises(ConfigError, match=r"^expected a mapping, got a string$"):
        parse("providers")


def test_names_are_unique_whatever_their_case_and_the_later_one_is_wrong() -> None:
    one = {"members": [{"provider": "one", "model": "fast"}]}
    tree = document(
        [provider("one", "alpha"), provider("ONE", "alpha")],
        [{"id": "Fast", "members": [{"model": "alpha"}]}, one, {"id": " FAST ", "members": [{"model": "alpha"}]}],
        [{"id": "c", "members": [{"pool": "fast"}]}, {"id": "C", "members": [{"pool": "fast"}]}],
    )
    assert problems(tree) == [
        ("providers[1].id", "duplicate provider id 'ONE'; the first is at providers[0].id"),
        ("model-pools.pools[1].id", "duplicate pool id 'fast'; the first is at model-pools.pools[0].id"),
        ("model-pools.pools[2].id", "duplicate pool id 'FAST'; the first is at model-pools.pools[0].id"),
        ("model-pools.clusters[1].id", "duplicate cluster id 'C'; the first is at model-pools.clusters[0].id"),
    ]


# --- All at once, and harmless ---------------------------------------------------------------------------------------


def test_all_problems_come_at_once_in_the_documents_order() -> None:
    tree = {
        "model-pools": {
            "clusters": [{"id": "c", "members": [{"pool": "gone"}]}],
            "pools": [
                {"id": "p", "strategy": "random", "members": [{"provider": "gone", "model": "m", "weight": -1}]},
                {"id": "P", "members": []},
            ],
        },
        "polcy": {},
        "providers": [{"id": "one", "dialect": "openai", "base-url": "nowhere", "credentials": [SECRET]}, 5],
        "policy": {"attempts": 0, "timeouts": {"idle": 3}},
    }
    with pytest.raises(ConfigError) as caught:
        parse(tree)
    assert [problem.path for problem in caught.value.problems] == [
        "model-pools.clusters[0].members[0].pool",
        "model-pools.pools[0].strategy",
        "model-pools.pools[0].members[0].provider",
        "model-pools.pools[0].members[0].weight",
        "model-pools.pools[1].id",
        "model-pools.pools[1].members",
        "polcy",
        "providers[0].base-url",
        "providers[0].credentials[0]",
        "providers[1]",
        "policy.attempts",
        "policy.timeouts.idle",
    ]
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_the_error_is_a_line_per_problem_and_survives_copying() -> None:
    error = ConfigError([Problem("a.b", "is wrong"), Problem("", "is empty")])
    assert str(error) == "a.b: is wrong\nis empty"
    assert error.code == "invalid_configuration"
    assert pickle.loads(pickle.dumps(error)).problems == error.problems  # noqa: S301  # our own bytes


def test_values_are_shortened_where_they_are_shown() -> None:
    ((_, message),) = problems(changed(WHOLE, f"{POOL}.strategy", "x" * 100_000))
    assert message == f"unknown strategy '{'x' * 57}...'; expected priority or round-robin"


def test_a_document_that_contains_itself_ends() -> None:
    tree: dict[str, Any] = {"providers": []}
    tree["providers"].append(tree)
    tree["model-pools"] = {"pools": [tree], "clusters": tree["providers"]}
    tree["policy"] = tree
    assert len(problems(tree)) > 5


def test_depth_does_no_harm() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    try:
        tree = {"providers": deep, "model-pools": {"pools": [{"id": deep, "members": deep}]}, "policy": deep}
        assert ("providers[0]", "expected a mapping, got a list") in problems(tree)
    finally:
        while deep:
            deep = deep.pop()


def test_what_aliases_multiply_beyond_measure_is_refused() -> None:
    crowd = [{"provider": "one", "model": "alpha"}] * 10_000
    got = problems(document(pools=[{"id": str(n), "members": crowd} for n in range(10_000)]))
    assert got[-1][1] == "the configuration is too large: more than 1000000 values up to here"


def test_what_clusters_multiply_beyond_measure_is_refused() -> None:
    pools = [{"id": str(n), "members": [{"model": "alpha"}] * 10} for n in range(200)]
    clusters = [{"id": str(n), "members": [{"pool": str(p)} for p in range(200)]} for n in range(130)]
    assert problems(document(pools=pools, clusters=clusters)) == [
        ("", "all members together expand to 524003 targets; 500000 are the most")
    ]


def test_ten_thousand_pools_are_read_quickly() -> None:
    providers = [provider(name) for name in ("one", "two", "three")]
    pools = [
        {"id": f"pool-{n}", "members": [{"provider": p["id"], "model": f"model-{n}"} for p in providers]}
        for n in range(10_000)
    ]
    started = time.process_time()
    catalog = parse(document(providers, pools))
    # It takes about 0.7 s.
    assert time.process_time() - started < 5
    assert len(catalog.pools) == 10_000


def test_ten_thousand_mistakes_are_told_in_seconds() -> None:
    pools = [{"id": f"pool-{n}", "members": [{"model": "alpha"}]} for n in range(10_000)]
    clusters = [{"id": f"c-{n}", "members": [{"pool": f"pol-{n}"}]} for n in range(10_000)]
    started = time.process_time()
    got = problems(document(pools=pools, clusters=clusters))
    assert time.process_time() - started < 10
    assert len(got) == 10_000
    assert got[0] == ("model-pools.clusters[0].members[0].pool", "unknown pool 'pol-0'; did you mean 'pool-0'?")
    assert got[-1] == ("model-pools.clusters[9999].members[0].pool", "unknown pool 'pol-9999'")


def test_a_secret_that_stands_in_the_place_of_a_key_is_not_shown() -> None:
    secret = "sk-live-51H8xEXAMPLEkey"
    got = problems({"providers": [{**provider("one"), secret: 1}], secret: {secret: 2}})
    assert [path for path, _ in got] == ["providers[0][...]", "[...]"]
    assert all("not shown since it may be a secret; known here:" in message for _, message in got)
    assert secret not in str(got)
