"""`config.example.yaml` describes every option that there is, and no other, with the default that the code has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import pytest

from resolver_service.adapters import config_yaml
from resolver_service.domain import (
    config,
    config_clients,
    config_groups,
    config_models,
    config_policy,
    config_providers,
    config_quirks,
    config_rules,
)
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config_params import How
from resolver_service.domain.policy import CoolDownBounds, Policy
from resolver_service.domain.presets import PRESETS

EXAMPLE = Path("config.example.yaml").read_text()
HASH = "ab" * 32

LISTED = re.compile(r"^ *# {3,8}([a-z][a-z0-9-]*) +(?=\S)")
"""The line with which the description of an option begins. Those that go on with it are indented further."""
GOES_ON = re.compile(r"^ *# {9,}(?=\S)")
WRITTEN = re.compile(r"^ *([a-z][a-z-]*):", re.MULTILINE)

MINIMAL = f"""
providers:
  - {{id: p, dialect: openai, base-url: https://p.example/v1, models: [m]}}
model-pools:
  pools:
    - {{id: pool, members: [{{provider: p, model: m}}]}}
  clusters:
    - {{id: cluster, members: [{{pool: pool}}]}}
clients:
  - {{id: c, key-sha256: {HASH}}}
"""


def part(heading: str) -> str:
    """From this heading to the next one."""
    found = re.search(rf"^# --- {heading} -.*?(?=^# --- |\Z)", EXAMPLE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[0]


def described(text: str) -> dict[str, str]:
    """What is said of each option; of one that stands in several lists, all of it."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        if begins := LISTED.match(line):
            lines = found.setdefault(begins[1], [])
            lines.append(line[begins.end() :])
        elif lines is not None and (goes_on := GOES_ON.match(line)):
            lines.append(line[goes_on.end() :])
        else:
            lines = None
    return {name: " ".join(lines) for name, lines in found.items()}


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Providers", config_providers._KEYS),
        ("Providers", config_models._KEYS),
        ("Providers", config_quirks._KEYS),
        ("Providers", config_rules._KEYS),
        ("Virtual models", config_groups._GROUP_KEYS),
        ("Virtual models", config_groups._POOL_MEMBER_KEYS),
        ("Virtual models", config_groups._CLUSTER_MEMBER_KEYS),
        ("Virtual models", tuple(How)),
        ("Clients", config_clients._KEYS),
        ("Clients", config_clients._LIMITS_KEYS),
    ],
)
def test_every_option_is_described(heading: str, keys: Iterable[str]) -> None:
    assert set(keys) - described(part(heading)).keys() == set()


def test_no_option_is_described_that_there_is_not() -> None:
    known = {
        "Providers": {*config_providers._KEYS, *config_models._KEYS, *config_quirks._KEYS, *config_rules._KEYS},
        "Virtual models": {
            *config_groups._GROUP_KEYS,
            *config_groups._POOL_MEMBER_KEYS,
            *config_groups._CLUSTER_MEMBER_KEYS,
            *How,
        },
        "Clients": {*config_clients._KEYS, *config_clients._LIMITS_KEYS},
    }
    strategies = {"priority", "round-robin"}  # The words of one option, listed like options.
    assert {heading: described(part(heading)).keys() - keys - strategies for heading, keys in known.items()} == {
        heading: set() for heading in known
    }


def test_what_stands_at_the_top_and_in_the_policy_is_written_out() -> None:
    assert set(WRITTEN.findall(re.sub(r"^# (?=clients:)", "", EXAMPLE, flags=re.MULTILINE))) >= set(config._KEYS)
    assert set(WRITTEN.findall(part("Virtual models"))) >= set(config_groups._KEYS)
    assert set(WRITTEN.findall(part("Policy"))) >= {*config_policy._KEYS, *config_policy._TIMEOUTS, "cool-down"}


def test_the_policy_that_is_shown_is_the_default() -> None:
    shown = config_yaml.load(part("Policy") + MINIMAL)
    assert shown.pools["pool"].policy == Policy()
    assert shown.cool_down == CoolDownBounds()
    assert "failover: {never: [], also: []}" in part("Policy")
    assert "cool-down: {min: " in part("Policy")


def said(value: object) -> str:
    """A default in the example's words."""
    if value is None or value == () or value == "" or value == {}:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def defaults(catalog: Catalog) -> dict[str, dict[str, object]]:
    """Those of what is not written out in `MINIMAL`, by the options' names."""
    (provider,) = catalog.providers
    pool, cluster = catalog.pools["pool"], catalog.clusters["cluster"]
    ((member,), (of_cluster,)) = pool.tiers[0].members, cluster.tiers[0].members
    (target,) = member.targets()
    client = next(iter((catalog.clients or {}).values()))
    quirks = {name.replace("_", "-"): value for name, value in asdict(provider.quirks).items()}
    return {
        "Providers": {
            **quirks,
            "auth-header": "as the dialect has it" if provider.quirks.auth_header is None else "another",
            "credentials": "none" if provider.credentials[0].ref == "" else "another",
            "responses": provider.responses,
            "allow-private": provider.allow_private,
            "disabled": provider.disabled,
            "disposition": provider.rules,  # The last of the list below `rules`, whose default follows it.
            "max-concurrent": "as many as come" if provider.max_concurrent is None else "another",
        },
        "Virtual models": {
            "priority": member.priority,
            "weight": member.weight if member.weight == of_cluster.weight else "another",
            "disabled": target.disabled,
            # The last of the list below `params`, likewise.
            "drop": "none" if (target.params.set_json, target.params.drop) == (b"", ()) else "another",
        },
        "Clients": {
            "allow": "every name" if client.names is None else "another",
            "expires": "never" if client.expires_at == math.inf else "another",
            "disabled": "false" if client.may_call("m") else "true",
        },
    }


def test_the_defaults_are_those_of_the_code() -> None:
    """Of all options that say `Default: ...` or mark a word with `(default)`."""
    meant = defaults(config_yaml.load(MINIMAL))
    for heading, those in meant.items():
        texts = described(part(heading))
        for option, value in those.items():
            text, word = texts[option], said(value)
            assert f"Default: {word}" in text or f"{word} (default)" in text, (heading, option, text)


def test_the_strategies_that_are_said_to_be_defaults_are() -> None:
    catalog = config_yaml.load(MINIMAL)
    strategies = part("Virtual models")
    assert f"Default: {catalog.pools['pool'].strategy.value}." in strategies
    assert f"Default: {catalog.clusters['cluster'].strategy.value}, whatever default-strategy says." in strategies
    assert catalog.pools, "enabled"
    assert "Default: true." in strategies


def test_a_pool_without_an_id_is_called_by_its_first_member() -> None:
    catalog = config_yaml.load(MINIMAL.replace("id: pool, members", "members").replace("{pool: pool}", "{pool: m}"))
    assert list(catalog.pools) == ["m"]
    assert "Default: the first member's model" in part("Virtual models")


def words(kind: type[StrEnum]) -> set[str]:
    return {word.value for word in kind}


def test_all_words_are_told() -> None:
    """Of those options that take a choice of words."""
    texts = described(part("Providers"))
    assert all(preset in texts["preset"] for preset in PRESETS)
    assert all(effort.value in texts["efforts"] for effort in config_quirks.Effort)
    told = re.findall(r"[a-z_.]+", texts["takes"] + texts["lacks"])
    assert words(config_quirks.Feature) <= {word.rstrip(".") for word in told}
    assert all(word in texts["thoughts"] for word in words(config_quirks.ThoughtsField))
    assert all(word in texts["auth-header"] for word in words(config_quirks.AuthHeader))
    assert all(word in texts["capabilities"] for word in words(config_models.Capability))
    failover = part("Policy").partition("# Which failures move on")[2]
    assert all(disposition.value in failover for disposition in config_policy.FAILURES)


def test_all_bounds_are_told() -> None:
    texts = described(part("Providers")) | described(part("Clients"))
    for option, bound in (
        ("drop", config_quirks.MOST_DROPPED),
        ("rename", config_quirks.MOST_RENAMED),
        ("headers", config_quirks.MOST_HEADERS),
        ("max-stops", config_quirks.MOST_STOPS),
        ("call-id-chars", config_quirks.LONGEST_CALL_ID),
        ("max-concurrent", config_providers.MOST_CONCURRENT),
        ("rules", config_rules.MOST_RULES),
        ("body-contains", config_rules.LONGEST_WORDS),
        ("key-sha256", config_clients.MOST_KEYS),
    ):
        assert re.search(rf"\b{bound}\b", texts[option]), option
    assert f"up to {config_groups.MOST_WEIGHT}" in described(part("Virtual models"))["weight"]
    assert f"from 1 to {config_policy.MOST_ATTEMPTS}." in part("Policy")
