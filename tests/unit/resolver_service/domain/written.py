"""Configurations to read, of which each test says what matters to it, and what is found in them."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from resolver_service.domain.catalog import Catalog, Group, Member, RawModel, Target
from resolver_service.domain.config import ConfigError, parse

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
