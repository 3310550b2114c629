from __future__ import annotations

import copy
import datetime
import pickle
import re
import time
from typing import Any

import pytest

from resolver_service.domain.catalog import (
    Catalog,
    CoolDownBounds,
    Credential,
    Dialect,
    Disposition,
    Failover,
    Group,
    Member,
    OnExhausted,
    Policy,
    RawModel,
    Strategy,
    Target,
    Timeouts,
)
from resolver_service.domain.config import ConfigError, Problem, parse

SECRET = "sk-live-0123456789abcdefXYZ"


def provider(name: str, *models: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "dialect": "openai", "base-url": f"https://{name}.example/v1", "models": list(models), **more}


def document(
    providers: list[Any] | None = None, pools: list[Any] | None = None, clusters: list[Any] | None = None, **more: Any
) -> dict[str, Any]:
    if providers is None:
        providers = [provider("one", "alpha", "beta"), provider("two", "ALPHA")]
    return {"providers": providers, "model-pools": {"pools": pools or [], "clusters": clusters or []}, **more}


def problems(tree: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(tree)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def changed(tree: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the tree with another value at a path."""
    tree = copy.deepcopy(tree)
    node: Any = tree
    *parents, last = (int(part[1:-1]) if part[0] == "[" else part for part in re.findall(r"\[\d+\]|[^.\[]+", path))
    for part in parents:
        node = node[part]
    node[last] = value
    return tree


def members(group: Group) -> list[Member]:
    return [member for tier in group.tiers for member in tier.members]


def targets(entry: Group | RawModel) -> list[Target]:
    if isinstance(entry, RawModel):
        return [target for source in entry.sources for target in source.targets]
    found: list[Target] = []
    for member in members(entry):
        found += targets(member.pool) if member.pool else [t for source in member.sources for t in source.targets]
    return found


def found(catalog: Catalog, name: str) -> Group:
    group = catalog.find(name)
    assert isinstance(group, Group)
    return group


# A document with something in every place.
WHOLE: dict[str, Any] = document(
    providers=[
        provider("one", "alpha", "beta", credentials=["env:ONE", {"ref": "env:TWO", "disabled": False}]),
        provider("two", "alpha"),
    ],
    policy={"attempts": 3, "timeouts": {"idle": "90s"}, "failover": {"never": ["quota"], "also": []}},
    pools=[{"id": "fast", "strategy": "priority", "members": [{"provider": "one", "model": "alpha"}]}],
    clusters=[
        {"id": "chat", "members": [{"model": "beta"}]},
        {"id": "code", "members": [{"pool": "fast"}, {"model": "alpha"}]},
    ],
)
POOL = "model-pools.pools[0]"
CLUSTER = "model-pools.clusters[1]"


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


# --- Providers -------------------------------------------------------------------------------------------------------


def test_a_provider_is_as_it_is_written() -> None:
    tree = document(
        [
            {
                "id": " One ",
                "dialect": "anthropic",
                "base-url": " https://one.example:8443/base// ",
                "credentials": [
                    "env:_KEY_1",
                    "file:/run/secrets/one key",
                    {"ref": " env:LAST ", "disabled": True},
                    {"ref": "env:NULL", "disabled": None},
                ],
                "models": [" Alpha ", "beta"],
                "allow-private": True,
                "disabled": True,
            }
        ]
    )
    (one,) = parse(tree).providers
    assert (one.id, one.dialect, one.base_url) == ("One", Dialect.ANTHROPIC, "https://one.example:8443/base")
    assert one.models == ("Alpha", "beta")
    assert one.allow_private
    assert one.disabled
    assert one.credentials == (
        Credential("env:_KEY_1", 0),
        Credential("file:/run/secrets/one key", 1),
        Credential("env:LAST", 2, disabled=True),
        Credential("env:NULL", 3),
    )


@pytest.mark.parametrize("more", [{}, {"credentials": None}, {"credentials": []}])
def test_a_provider_without_credentials_has_an_empty_one(more: dict[str, Any]) -> None:
    (one,) = parse(
        {"providers": [{"id": "one", "dialect": "gemini", "base-url": "http://one.example", **more}]}
    ).providers
    assert one.credentials == (Credential("", 0),)
    assert one.models == ()
    assert not one.allow_private
    assert not one.disabled


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080", "https://[::1]:1234/v1", "HTTPS://Example.COM", "http://10.0.0.1", "https://a_b-c.d/e/f"],
)
def test_a_base_url_is_absolute(url: str) -> None:
    assert parse({"providers": [provider("one", **{"base-url": url + "/"})]}).providers[0].base_url == url


USER = "must not have a user name or password: list a reference under credentials"
ABSOLUTE = "expected an absolute http or https URL, such as https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "messages"),
    [
        (None, ["is required"]),
        ("", [ABSOLUTE]),
        ("api.example.com/v1", [ABSOLUTE]),
        ("/v1", [ABSOLUTE]),
        ("ftp://example.com", [ABSOLUTE]),
        ("file:///etc/passwd", [ABSOLUTE]),
        ("https://", [ABSOLUTE]),
        ("https://:443", [ABSOLUTE]),
        ("https:///v1", [ABSOLUTE]),
        ("https://exa mple.com", [ABSOLUTE]),
        ("https://example.com/a\nb", [ABSOLUTE]),
        ("https://example.com\\@evil.example", [ABSOLUTE]),
        ("https://exämple.com", [ABSOLUTE]),
        ("https://ex%61mple.com", [ABSOLUTE]),
        ("https://[::1", [ABSOLUTE]),
        ("https://[fe80::1%25eth0]", [ABSOLUTE]),
        ("https://example.com:99999", [ABSOLUTE]),
        ("https://example.com:port", [ABSOLUTE]),
        ("https://example.com:0", [ABSOLUTE]),
        ("https://example.com/\ud800", [ABSOLUTE]),
        (
            f"https://user:{SECRET}@example.com",
            ["must not have a user name or password: list a reference under credentials"],
        ),
        (f"https://example.com?key={SECRET}", ["must not have a query"]),
        ("https://example.com?", ["must not have a query"]),
        (f"https://example.com/v1#{SECRET}", ["must not have a fragment"]),
        (
            f"https://{SECRET}@example.com?#",
            [
                USER,
                "must not have a query",
                "must not have a fragment",
            ],
        ),
        (["https://example.com"], ["expected a URL, got a list"]),
        (443, ["expected a URL, got an integer"]),
    ],
)
def test_a_base_url_that_is_none_is_refused_and_never_shown(url: object, messages: list[str]) -> None:
    got = problems({"providers": [provider("one", **{"base-url": url})]})
    assert got == [("providers[0].base-url", message) for message in messages]
    assert SECRET not in str(got)


REFERENCE = "expected a reference, env:NAME or file:/absolute/path, never the secret itself"
CREDENTIAL_KEYS = "only 'ref' and 'disabled' can stand here; env:NAME has no space after the colon"


@pytest.mark.parametrize(
    ("credential", "path", "message"),
    [
        (SECRET, "", REFERENCE),
        (f"env:{SECRET}", "", REFERENCE),
        ("env:", "", REFERENCE),
        ("env:1A", "", REFERENCE),
        ("env:Ä", "", REFERENCE),
        ("ENV:A", "", REFERENCE),
        ("$A", "", REFERENCE),
        ("", "", REFERENCE),
        ("file:relative", "", REFERENCE),
        ("file:/", "", REFERENCE),
        ("file:/a\nb", "", REFERENCE),
        ("env:A\nB", "", REFERENCE),
        ({"ref": SECRET}, ".ref", REFERENCE),
        ({"ref": {SECRET: SECRET}}, ".ref", "expected a reference, env:NAME or file:/absolute/path, got a mapping"),
        ({"disabled": True}, ".ref", "expected a reference, env:NAME or file:/absolute/path, got nothing"),
        ({"ref": "env:A", "disabled": SECRET}, ".disabled", "expected true or false, got a string"),
        ({SECRET: None}, "", CREDENTIAL_KEYS),
        ({"env": SECRET}, "", CREDENTIAL_KEYS),
        ({"ref": "env:A", SECRET: SECRET}, "", CREDENTIAL_KEYS),
        ([SECRET], "", "expected a reference, env:NAME or file:/absolute/path, got a list"),
        (None, "", "expected a reference, env:NAME or file:/absolute/path, got nothing"),
        (1234567890123, "", "expected a reference, env:NAME or file:/absolute/path, got an integer"),
    ],
)
def test_a_credential_that_is_no_reference_is_refused_and_never_shown(
    credential: object, path: str, message: str
) -> None:
    got = problems({"providers": [provider("one", credentials=["env:OK", credential])]})
    assert got == [(f"providers[0].credentials[1]{path}", message)]


def test_a_credential_stands_once_in_a_provider() -> None:
    one = provider("one", credentials=["env:A", "env:B", {"ref": " env:A"}])
    two = provider("two", credentials=["env:A"])
    assert problems({"providers": [one, two]}) == [
        ("providers[0].credentials[2].ref", "the same reference as providers[0].credentials[0]")
    ]


@pytest.mark.parametrize("credentials", [SECRET, {SECRET: SECRET}])
def test_credentials_are_a_list(credentials: object) -> None:
    ((path, message),) = problems({"providers": [provider("one", credentials=credentials)]})
    assert path == "providers[0].credentials"
    assert message.startswith("expected a list, got a ")
    assert SECRET not in message


def test_a_secret_under_a_likely_key_is_told_where_it_belongs() -> None:
    got = problems({"providers": [provider("one", **{"api-key": SECRET})]})
    assert got == [("providers[0].api-key", "unknown key 'api-key'; list a reference to it under 'credentials'")]


def test_a_provider_needs_id_dialect_and_base_url() -> None:
    assert problems({"providers": [{}]}) == [
        ("providers[0].id", "is required"),
        ("providers[0].dialect", "is required: openai, anthropic or gemini"),
        ("providers[0].base-url", "is required"),
    ]


SEPARATORS = "must not contain '/' or '#': they separate the parts of a target's name"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", SEPARATORS),
        ("a#1", SEPARATORS),
        ("a\x00b", "must not contain control characters"),
        ("a\nb", "must not contain control characters"),
        ("a\x85b", "must not contain control characters"),
        ("a\u2028b", "must not contain control characters"),
        ("a\ud800b", "must not contain control characters"),
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        (None, "is required"),
        (4.1, "expected a string, got a number; put it in quotes"),
        (7, "expected a string, got an integer; put it in quotes"),
        (True, "expected a string, got a boolean; put it in quotes"),
        (["a"], "expected a string, got a list"),
        ({"a": 1}, "expected a string, got a mapping"),
        (b"a", "expected a string, got binary data"),
        (datetime.date(2025, 1, 1), "expected a string, got a date"),
        ({"a"}, "expected a string, got a set"),
    ],
)
def test_a_provider_id_is_a_name_for_one_line(name: object, message: str) -> None:
    assert problems({"providers": [{**provider("one"), "id": name}]}) == [("providers[0].id", message)]


def test_a_model_stands_once_in_a_provider_whatever_its_case() -> None:
    assert problems({"providers": [provider("one", "Alpha", "beta", " aLPHA")]}) == [
        ("providers[0].models[2]", "duplicate model 'aLPHA'; the first is at providers[0].models[0]")
    ]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "must not be empty"),
        (None, "expected a string, got nothing"),
        (4.1, "expected a string, got a number; put it in quotes"),
        (["beta"], "expected a string, got a list"),
        ("a\rb", "must not contain control characters"),
    ],
)
def test_a_model_is_a_name(model: object, message: str) -> None:
    tree = {"providers": [{**provider("one"), "models": ["alpha", model]}]}
    assert problems(tree) == [("providers[0].models[1]", message)]


@pytest.mark.parametrize("key", ["allow-private", "disabled"])
@pytest.mark.parametrize(
    ("value", "kind"), [("yes", "a string"), (1, "an integer"), (0, "an integer"), ([], "a list"), (SECRET, "a string")]
)
def test_a_switch_is_true_or_false(key: str, value: object, kind: str) -> None:
    assert problems({"providers": [provider("one", **{key: value})]}) == [
        (f"providers[0].{key}", f"expected true or false, got {kind}")
    ]


# --- Raw models ------------------------------------------------------------------------------------------------------


def test_a_model_is_called_by_its_own_name_at_every_provider_that_lists_it() -> None:
    catalog = parse(
        {
            "providers": [
                provider("one", "Alpha", "beta", credentials=["env:A", "env:B"]),
                provider("two", "gamma", "ALPHA"),
            ]
        }
    )
    assert list(catalog.models) == ["alpha", "beta", "gamma"]
    alpha = catalog.find(" aLpHa ")
    assert isinstance(alpha, RawModel)
    assert alpha.id == "Alpha"
    assert alpha.policy == Policy()
    assert [[t.id for t in source.targets] for source in alpha.sources] == [
        ["one/Alpha#0", "one/Alpha#1"],
        ["two/ALPHA#0"],
    ]
    assert [t.path for t in targets(alpha)] == ["Alpha/one", "Alpha/one", "Alpha/two"]


def test_a_model_that_nobody_can_serve_is_not_called() -> None:
    one = provider("one", "alpha", "beta", disabled=True)
    two = provider("two", "alpha", credentials=["env:A", {"ref": "env:B", "disabled": True}])
    three = provider("three", "gamma", credentials=[{"ref": "env:C", "disabled": True}])
    catalog = parse({"providers": [one, two, three]})
    assert list(catalog.models) == ["alpha"]
    assert [t.disabled for t in targets(catalog.models["alpha"])] == [True, False, True]
    assert len(catalog.providers) == 3


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


# --- Policy ----------------------------------------------------------------------------------------------------------


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
