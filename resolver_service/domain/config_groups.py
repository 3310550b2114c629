"""The pools and clusters of a configuration, as they are written, with their references followed."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass

from resolver_service.domain.catalog import Strategy
from resolver_service.domain.config_params import Overrides, read_params
from resolver_service.domain.config_policy import Block, read_policy
from resolver_service.domain.config_providers import Directory, Offer, check_unique, read_providers
from resolver_service.domain.config_reader import Path, Problems, Section, quoted
from resolver_service.domain.names import name_key, split_reasoning

MOST_WEIGHT = 100
MOST_PRIORITY = 1_000_000_000
"""On either side of zero."""

_KEYS = ("enabled", "default-strategy", "pools", "clusters")
_GROUP_KEYS = ("id", "description", "strategy", "members", "policy")
_TERMS = ("priority", "weight", "disabled", "policy", "params")
_POOL_MEMBER_KEYS = ("provider", "model", *_TERMS)
_CLUSTER_MEMBER_KEYS = ("pool", "model", *_TERMS)
_NESTED = "clusters do not nest; name the pools and models that it gathers"


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """A member as it is written; it has either a pool or offers."""

    weight: int
    priority: int
    disabled: bool
    policy: Block
    params: Overrides
    offers: tuple[Offer, ...] = ()
    """Of a pool's member: a turn-taker each. Of a cluster's member: one turn-taker, in this order."""
    pool: GroupEntry | None = None


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A pool or cluster as it is written."""

    id: str
    description: str
    strategy: Strategy
    policy: Block
    members: tuple[MemberEntry, ...]


@dataclass(frozen=True, slots=True)
class PoolRead:
    """A pool that was read from a document, for reuse if the next one has the same object."""

    fields: Mapping[Hashable, object]
    """As it is written: kept, so that its `id()`, by which it is found, is nobody else's."""
    default: Strategy
    entry: GroupEntry
    values: int


@dataclass(frozen=True, slots=True)
class ModelPools:
    enabled: bool
    pools: Mapping[str, GroupEntry]
    """By `name_key`, in the order configured; so are the clusters."""
    clusters: Mapping[str, GroupEntry]
    read: Mapping[int, PoolRead]
    """The pools, by the `id()` of their fields."""


def read_model_pools(root: Section, directory: Directory, known: Mapping[int, PoolRead]) -> ModelPools:
    """Notes the problems of pools and clusters, enabled or not. `known` are pools that were read with this directory,
    whether or not they are the document's."""
    section = root.section("model-pools", _KEYS)
    default = section.choice("default-strategy", "strategy", Strategy) or Strategy.ROUND_ROBIN
    pools, read = _read_pools(section, default, directory, known)
    return ModelPools(section.flag("enabled", default=True), pools, _read_clusters(section, directory, pools), read)


def directory_of(document: object) -> Directory:
    """The providers of a document, whether or not it is valid."""
    fields = document if isinstance(document, dict) else {}
    return read_providers(Section(Problems(fields), (), fields, ("providers", *fields)))


def pool_id(fields: Mapping[Hashable, object], directory: Directory) -> str:
    """The id of a pool that leaves it out; empty if it has none."""
    section = Section(Problems(fields), (), fields, _GROUP_KEYS)
    first = next(iter(section.sections("members", _POOL_MEMBER_KEYS)), None)
    return "" if first is None else _pool_member(first, directory)[0]


def _read_pools(
    parent: Section, default: Strategy, directory: Directory, known: Mapping[int, PoolRead]
) -> tuple[dict[str, GroupEntry], dict[int, PoolRead]]:
    problems = parent.problems
    pools: dict[str, GroupEntry] = {}
    read: dict[int, PoolRead] = {}
    first: dict[str, Path] = {}
    for path, fields in parent.items("pools") or ():
        found = known.get(id(fields))
        if found is None or found.default is not default:
            before = problems.values
            section = Section.of(problems, path, fields, _GROUP_KEYS)
            if section is None or not isinstance(fields, dict):
                continue
            entry = _read_pool(section, default, directory)
            found = PoolRead(fields, default, entry, problems.values - before)
        else:
            problems.count(path, found.values)
        read[id(fields)] = found
        if check_unique(problems, first, "pool id", found.entry.id, (*path, "id")):
            pools[name_key(found.entry.id)] = found.entry
    return pools, read


def _read_pool(section: Section, default: Strategy, directory: Directory) -> GroupEntry:
    members, models = [], []
    for member in section.sections("members", _POOL_MEMBER_KEYS, required=True):
        model, offers = _pool_member(member, directory)
        members.append(_member(member, offers=offers))
        models.append(model)
    name = section.name("id") if section.get("id") is not None else next(iter(models), "")
    return _group(section, name or "", default, members)


def _pool_member(section: Section, directory: Directory) -> tuple[str, tuple[Offer, ...]]:
    """The model's name without reasoning suffix, empty if it is not told, and who is to serve it."""
    provider = section.name("provider")
    written = section.name("model", required=True)
    if provider is None:
        return ("", ()) if written is None else _offers(section, written, directory)
    entry = directory.provider(provider)
    if entry is None:
        section.problems.add_unknown(section.at("provider"), "provider", provider, directory.provider_names())
    if entry is None or written is None:
        return split_reasoning(written or "")[0], ()
    model, offer = directory.offer_of(entry, written)
    return model, (offer,)


def _read_clusters(parent: Section, directory: Directory, pools: Mapping[str, GroupEntry]) -> dict[str, GroupEntry]:
    clusters: dict[str, GroupEntry] = {}
    first: dict[str, Path] = {}
    sections = list(parent.sections("clusters", _GROUP_KEYS))
    names = frozenset(name_key(name) for name in (section.get("id") for section in sections) if isinstance(name, str))
    for section in sections:
        name = section.name("id", required=True)
        entries = section.sections("members", _CLUSTER_MEMBER_KEYS, required=True, advice={"cluster": _NESTED})
        members = [_cluster_member(member, directory, pools, names) for member in entries]
        cluster = _group(section, name or "", Strategy.PRIORITY, members)
        if check_unique(section.problems, first, "cluster id", cluster.id, section.at("id")):
            clusters[name_key(cluster.id)] = cluster
    return clusters


def _cluster_member(
    section: Section, directory: Directory, pools: Mapping[str, GroupEntry], clusters: Container[str]
) -> MemberEntry:
    name, model = section.name("pool"), section.name("model")
    told = [key for key in ("pool", "model", "cluster") if section.get(key) is not None]
    if told in ([], ["pool", "model"]):
        section.problems.add(section.path, "expected exactly one of 'pool' and 'model'")
    elif model is not None:
        return _member(section, offers=_offers(section, model, directory, pools)[1])
    elif name is not None:
        return _member(section, pool=_pool(section, name, directory, pools, clusters))
    return _member(section)


def _pool(
    section: Section, name: str, directory: Directory, pools: Mapping[str, GroupEntry], clusters: Container[str]
) -> GroupEntry | None:
    pool = pools.get(name_key(name))
    if pool is None and name_key(name) in clusters:
        section.problem("pool", f"{quoted(name)} is a cluster; {_NESTED}")
    elif pool is None and directory.offers(name)[1]:
        section.problem("pool", f"unknown pool {quoted(name)}; it is a model: name it with 'model'")
    elif pool is None:
        section.problems.add_unknown(section.at("pool"), "pool", name, (pool.id for pool in pools.values()))
    return pool


def _offers(
    section: Section, written: str, directory: Directory, pools: Mapping[str, GroupEntry] | None = None
) -> tuple[str, tuple[Offer, ...]]:
    """The model's name without reasoning suffix, and every provider that lists it: at least one, or a problem."""
    model, offers = directory.offers(written)
    section.problems.count(section.path, len(offers))
    if not offers and pools and name_key(written) in pools:
        section.problem("model", f"unknown model {quoted(written)}; it is a pool: name it with 'pool'")
    elif not offers:
        candidates = directory.model_names()
        section.problems.add_unknown(section.at("model"), "model", model, candidates, "; no provider lists it")
    return model, offers


def _member(section: Section, offers: tuple[Offer, ...] = (), pool: GroupEntry | None = None) -> MemberEntry:
    return MemberEntry(
        weight=section.integer("weight", 0, MOST_WEIGHT) or 1,
        priority=section.integer("priority", -MOST_PRIORITY, MOST_PRIORITY) or 0,
        disabled=section.flag("disabled"),
        policy=read_policy(section),
        params=read_params(section),
        offers=offers,
        pool=pool,
    )


def _group(section: Section, name: str, strategy: Strategy, members: Iterable[MemberEntry]) -> GroupEntry:
    return GroupEntry(
        id=name,
        description=section.text("description"),
        strategy=section.choice("strategy", "strategy", Strategy) or strategy,
        policy=read_policy(section),
        members=tuple(members),
    )
