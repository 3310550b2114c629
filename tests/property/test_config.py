"""Whatever is written into a configuration, the answer is a catalog or a `ConfigError`."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable, Hashable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from resolver_service.adapters import config_yaml
from resolver_service.domain.catalog import Catalog, Group, Member, Strategy
from resolver_service.domain.config import ConfigError, Problem, parse

WORDS = [
    *("providers", "policy", "model-pools", "id", "dialect", "base-url", "credentials", "models", "allow-private"),
    *("disabled", "attempts", "on-exhausted", "timeouts", "failover", "never", "also", "idle", "total", "enabled"),
    *(
        "default-strategy",
        "pools",
        "clusters",
        "strategy",
        "members",
        "provider",
        "model",
        "pool",
        "weight",
        "priority",
    ),
    *(
        "ref",
        "description",
        "openai",
        "priority",
        "round-robin",
        "quota",
        "ok",
        "90s",
        "env:A",
        "https://a.example",
        "a",
    ),
    *("max-concurrent", "rules", "status", "body-contains", "disposition", "overloaded", "cool-down", "min", "max"),
    *(
        "preset",
        "groq",
        "ollama",
        "azure-openai",
        "responses",
        "quirks",
        "drop",
        "headers",
        "api-version",
        "2024-10-21",
    ),
    *("params", "set", "default", "temperature", "context", "max-output", "capabilities", "vision", "x-title"),
]
OVERLOADED = {"disposition": "overloaded"}
WHOLE: dict[str, Any] = {
    "providers": [
        {
            "id": "one",
            "dialect": "openai",
            "base-url": "https://one.example/v1",
            "credentials": ["env:ONE", {"ref": "file:/run/secrets/two", "disabled": True}],
            "models": ["alpha", {"id": "beta", "context": 9, "max-output": 3, "capabilities": ["tools", "vision"]}],
            "allow-private": False,
            "responses": True,
            "quirks": {
                "max-tokens-field": "max_completion_tokens",
                "system-role": "developer",
                "drop": ["user"],
                "auth-header": "api-key",
                "headers": {"X-Title": "one"},
                "api-version": "preview",
            },
            "policy": {"timeouts": {"idle": "5s"}},
        },
        {
            "id": "two",
            "dialect": "gemini",
            "base-url": "http://two.example",
            "models": ["alpha"],
            "disabled": False,
            "max-concurrent": 4,
            "rules": [{"status": 400, "body-contains": "quota", "disposition": "quota"}, {"status": 418, **OVERLOADED}],
        },
        {"id": "three", "preset": "groq", "credentials": ["env:THREE"]},
    ],
    "policy": {
        "attempts": 5,
        "on-exhausted": "least-bad",
        "timeouts": {"connect": "250ms", "total": "5m"},
        "failover": {"never": ["quota"], "also": ["context-length"]},
        "cool-down": {"min": "1s", "max": "1h"},
    },
    "model-pools": {
        "enabled": True,
        "default-strategy": "round-robin",
        "pools": [
            {"id": "fast", "members": [{"provider": "one", "model": "alpha(high)", "weight": 3}, {"model": "alpha"}]},
            {
                "strategy": "priority",
                "members": [
                    {
                        "provider": "two",
                        "model": "gamma",
                        "priority": 1,
                        "params": {"default": {"stop": ["a", {"b": None}], "top_p": 0.5}},
                    }
                ],
            },
        ],
        "clusters": [
            {
                "id": "code",
                "description": "hard work",
                "members": [
                    {"pool": "fast", "params": {"set": {"seed": 1}, "drop": ["user"]}},
                    {"model": "beta", "priority": 1, "policy": {"attempts": 2}},
                ],
            }
        ],
    },
}

words = st.sampled_from(WORDS)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words | st.binary(max_size=9) | st.dates()
)
keys: st.SearchStrategy[Hashable] = words | st.text() | st.integers() | st.none() | st.tuples(st.text(), st.dates())
trees = st.recursive(
    scalars | st.frozensets(st.integers()) | st.just(datetime.datetime(2025, 1, 1)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)


def parts(node: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree, as the mapping or list and the key or index in it."""
    entries = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    return [(node, key) for key, _ in entries] + [place for _, value in entries for place in parts(value)]


def problems(reader: Callable[[Any], Catalog], document: object) -> tuple[Problem, ...] | None:
    """None if there is a catalog. Anything that is raised other than `ConfigError` fails the test."""
    try:
        reader(document)
    except ConfigError as error:
        return error.problems
    return None


@given(trees)
def test_any_tree_is_a_catalog_or_an_error(tree: object) -> None:
    assert problems(parse, tree) != ()


@given(st.dictionaries(st.sampled_from(["providers", "policy", "model-pools"]), trees))
def test_any_tree_behind_the_right_keys_is_a_catalog_or_an_error(tree: object) -> None:
    assert problems(parse, tree) != ()


@given(st.text() | st.binary() | st.text(st.sampled_from("-:?[]{}&*!|>'\"%@`#, \n\tab1")))
@example("- " * 20_000)
@example("&a [*a]")
@example(b"\xff\xfe")
def test_any_text_is_a_catalog_or_an_error(text: str | bytes) -> None:
    assert problems(config_yaml.load, text) != ()


@given(st.data())
def test_a_broken_configuration_is_a_catalog_or_problems_at_places_in_it(data: st.DataObject) -> None:
    tree = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        node, key = data.draw(st.sampled_from(parts(tree) or [(tree, "providers")]))
        match data.draw(st.sampled_from(["delete", "replace", "rename", "repeat", "loop"])):
            case "delete":
                node.pop(key, None) if isinstance(node, dict) else node.pop(key)
            case "replace":
                node[key] = data.draw(trees)
            case "rename" if isinstance(node, dict) and key in node:
                node[data.draw(keys)] = node.pop(key)
            case "repeat" if isinstance(node, list):
                node.append(copy.deepcopy(node[key]))
            case "loop":
                node[key] = tree
                assert problems(parse, tree) != ()
                node[key] = None
            case _:
                pass
    found = problems(parse, tree)
    assert found != ()
    for problem in found or ():
        top = problem.path.split(".")[0].split("[")[0]
        assert top in ("providers", "policy", "model-pools") or problem.message.startswith("unknown key")
        assert len(str(problem).splitlines()) == 1


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Valid configurations, with members that can be told apart by their models."""
    terms = {
        "priority": st.integers(-3, 3),
        "weight": st.integers(0, 100) | st.none(),
        "disabled": st.booleans(),
    }
    pools = [
        {
            "id": f"pool-{number}",
            "strategy": draw(st.sampled_from(["priority", "round-robin"])),
            "members": [
                {"provider": "one", "model": f"model-{number}-{index}", **member}
                for index, member in enumerate(draw(st.lists(st.fixed_dictionaries({}, optional=terms), min_size=1)))
            ],
        }
        for number in range(draw(st.integers(1, 4)))
    ]
    clusters = [
        {
            "id": f"cluster-{number}",
            "strategy": draw(st.sampled_from(["priority", "round-robin"])),
            "members": [
                {"pool": draw(st.sampled_from(pools))["id"], **member}
                for member in draw(st.lists(st.fixed_dictionaries({}, optional=terms), min_size=1))
            ],
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    provider = {"id": "one", "dialect": "openai", "base-url": "https://one.example"}
    return {"providers": [provider], "model-pools": {"pools": pools, "clusters": clusters}}


def leads_to(member: Member) -> str:
    return member.pool.id if member.pool else member.sources[0].targets[0].model


@given(documents())
def test_a_valid_configuration_keeps_order_weights_and_priorities(document: dict[str, Any]) -> None:
    catalog = parse(document)
    for written, groups in (
        (document["model-pools"]["pools"], catalog.pools),
        (document["model-pools"]["clusters"], catalog.clusters),
    ):
        assert [entry["id"] for entry in written] == [group.id for group in groups.values()]
        for entry in written:
            check(entry, groups[entry["id"]])


def check(entry: dict[str, Any], group: Group) -> None:
    expected: dict[int, list[tuple[str, int, int]]] = {}
    for member in entry["members"]:
        priority, weight = member.get("priority", 0), member.get("weight") or 1
        tier = priority if entry["strategy"] == Strategy.PRIORITY else 0
        expected.setdefault(tier, []).append((member.get("pool") or member["model"], priority, weight))
    assert [tier.priority for tier in group.tiers] == sorted(expected)
    for tier in group.tiers:
        assert [(leads_to(m), m.priority, m.weight) for m in tier.members] == expected[tier.priority]
        assert tier.weights == tuple(m.weight for m in tier.members)
