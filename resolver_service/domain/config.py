"""The configuration: from a tree of plain data to a `Catalog`, or to everything that is wrong with it.

Reading comes first and notes problems (the modules `config_*`). Only if there are none is the catalog assembled: each
member is expanded to its targets, and of the policies and overrides above a target those that win are settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from resolver_service.domain.abilities import UNKNOWN
from resolver_service.domain.catalog import Catalog, Group, Member, RawModel, Source, Strategy, Target, Tier
from resolver_service.domain.config_clients import read_clients
from resolver_service.domain.config_groups import GroupEntry, MemberEntry, ModelPools, PoolRead, read_model_pools
from resolver_service.domain.config_params import Overrides, settled
from resolver_service.domain.config_policy import Block, read_defaults
from resolver_service.domain.config_providers import Directory, Offer, read_providers
from resolver_service.domain.config_reader import ConfigError, Problem, Problems, Section
from resolver_service.domain.names import name_key
from resolver_service.domain.policy import Policy
from resolver_service.domain.same import same

__all__ = ["ConfigError", "Known", "Problem", "parse", "parse_further"]

MOST_TARGETS = 500_000
"""Clusters multiply: a hundred of them with a hundred large pools each would fill the memory."""

_KEYS = ("providers", "policy", "model-pools", "clients")


@dataclass(frozen=True, slots=True)
class Known:
    """What was made of a valid document, for reuse by a later one that has parts of it unchanged."""

    catalog: Catalog
    providers: object
    directory: Directory
    values: int
    """As how many values the providers count: see `MOST_VALUES`."""
    defaults: Policy
    pools: Mapping[int, PoolRead]
    groups: Mapping[int, tuple[GroupEntry, Group]]
    """The pools, by the `id()` of their entries."""


def parse(document: object) -> Catalog:
    """The catalog that a document describes.

    Takes any tree that YAML or JSON can make. Raises `ConfigError` with all problems, and nothing else. An empty
    document is a problem, too: a file may be empty while it is being written.
    """
    return parse_further(document, None).catalog


def parse_further(document: object, before: Known | None) -> Known:
    """As `parse`, but reuses what was made of the document before, where this one has the same objects in it."""
    if document is None:
        raise ConfigError([Problem("", "the file says nothing; an empty configuration is written as {}")])
    problems = Problems(document)
    root = Section.of(problems, (), document, _KEYS) or Section(problems, (), {}, _KEYS)
    block, cool_down = read_defaults(root)
    defaults = block.over(Policy())
    providers = root.get("providers")
    if before is not None and not same(providers, before.providers):
        before = None
    read_before = problems.values
    if before is None:
        directory = read_providers(root)
    else:
        directory = before.directory
        problems.count(root.at("providers"), before.values)
    provider_values = problems.values - read_before
    model_pools = read_model_pools(root, directory, {} if before is None else before.pools)
    clients = read_clients(root, {*directory.listed, *model_pools.pools, *model_pools.clusters})
    read = model_pools.read
    if not model_pools.enabled:
        model_pools = ModelPools(enabled=False, pools={}, clusters={}, read={})
    _check_size(problems, directory, model_pools)
    problems.check()
    if before is not None and before.defaults != defaults:
        before = None
    assembly = _Assembly(defaults, {} if before is None else before.groups)
    pools = {key: assembly.whole_pool(pool) for key, pool in model_pools.pools.items()}
    catalog = Catalog(
        providers=tuple(entry.provider for entry in directory.entries),
        pools=pools,
        clusters={key: assembly.cluster(cluster) for key, cluster in model_pools.clusters.items()},
        models=assembly.models(directory) if before is None else before.catalog.models,
        cool_down=cool_down,
        clients=clients,
    )
    groups = {id(entry): (entry, pools[key]) for key, entry in model_pools.pools.items()}
    return Known(catalog, providers, directory, provider_values, defaults, read, groups)


def _check_size(problems: Problems, directory: Directory, model_pools: ModelPools) -> None:
    def targets(offers: Iterable[Offer]) -> int:
        return sum(len(offer.entry.provider.credentials) for offer in offers)

    sizes = {id(p): sum(targets(m.offers) for m in p.members) for p in model_pools.pools.values()}
    total = sum(map(targets, directory.listed.values())) + sum(sizes.values())
    for cluster in model_pools.clusters.values():
        total += sum(sizes[id(m.pool)] if m.pool else targets(m.offers) for m in cluster.members)
    if total > MOST_TARGETS:
        problems.add((), f"all members together expand to {total} targets; {MOST_TARGETS} are the most")


@dataclass(frozen=True, slots=True)
class _Within:
    """What a cluster's member passes on to the targets behind it."""

    prefix: str = ""
    """Of their paths."""
    policies: tuple[Block, ...] = ()
    """Those of provider, pool and pool's member win over them."""
    params: Overrides = field(default_factory=dict)
    disabled: bool = False

    def over(self, member: MemberEntry) -> _Within:
        """The same with a pool's member below it: the closest wins."""
        params = {**self.params, **member.params} if self.params and member.params else self.params or member.params
        return replace(self, params=params, disabled=self.disabled or member.disabled)


_ALONE = _Within()


def _any_known(sources: Iterable[Source]) -> bool:
    return any(source.targets[0].abilities != UNKNOWN for source in sources)


class _Assembly:
    """Makes groups and targets of entries that have been found valid."""

    def __init__(self, defaults: Policy, known: Mapping[int, tuple[GroupEntry, Group]]) -> None:
        """`known` are pools that were made with these defaults."""
        self._defaults = defaults
        self._known = known

    def models(self, directory: Directory) -> dict[str, RawModel]:
        """Those that at least one target can serve."""
        models = {}
        for key, offers in directory.listed.items():
            name = offers[0].model
            sources = tuple(self._source(offer, name) for offer in offers)
            if not all(target.disabled for source in sources for target in source.targets):
                models[key] = RawModel(name, sources, self._defaults, _any_known(sources))
        return models

    def whole_pool(self, entry: GroupEntry) -> Group:
        """One that is called by its own name."""
        known = self._known.get(id(entry))
        return self.pool(entry) if known is None else known[1]

    def pool(self, entry: GroupEntry, within: _Within = _ALONE) -> Group:
        path = within.prefix + entry.id
        members = [
            Member(
                weight=member.weight,
                priority=member.priority,
                sources=(self._source(offer, path, within.over(member), (entry.policy, member.policy)),),
            )
            for member in entry.members
            for offer in member.offers
        ]
        return self._group("pool", entry, members)

    def cluster(self, entry: GroupEntry) -> Group:
        members = []
        for member in entry.members:
            terms = Member(weight=member.weight, priority=member.priority)
            within = _Within(f"{entry.id}/", (entry.policy, member.policy), member.params, member.disabled)
            if member.pool is not None:
                members.append(replace(terms, pool=self.pool(member.pool, within)))
            else:
                path = f"{entry.id}/{member.offers[0].model}"
                members.append(replace(terms, sources=tuple(self._source(o, path, within) for o in member.offers)))
        return self._group("cluster", entry, members)

    def _group(self, kind: str, entry: GroupEntry, members: list[Member]) -> Group:
        bands: dict[int, list[Member]] = {}
        for member in members:
            bands.setdefault(member.priority if entry.strategy is Strategy.PRIORITY else 0, []).append(member)
        return Group(
            kind=kind,
            id=entry.id,
            description=entry.description,
            strategy=entry.strategy,
            tiers=tuple(Tier(p, tuple(band), tuple(m.weight for m in band)) for p, band in sorted(bands.items())),
            policy=entry.policy.over(self._defaults),
            has_abilities=any(m.pool.has_abilities if m.pool else _any_known(m.sources) for m in members),
        )

    def _source(self, offer: Offer, path: str, within: _Within = _ALONE, above: tuple[Block, ...] = ()) -> Source:
        """`above` are the blocks that win over the provider's."""
        provider = offer.entry.provider
        policy = self._defaults
        for block in (*within.policies, offer.entry.policy, *above):
            policy = block.over(policy)
        # The total time is the walk's, which the called name alone decides on.
        timeouts = policy.timeouts
        if timeouts.total_s != self._defaults.timeouts.total_s:
            timeouts = replace(timeouts, total_s=self._defaults.timeouts.total_s)
        params = settled(within.params)
        abilities = provider.abilities.get(name_key(offer.model), UNKNOWN)
        return Source(
            tuple(
                Target(
                    provider=provider,
                    model=offer.model,
                    credential=credential,
                    path=f"{path}/{provider.id}",
                    reasoning=offer.reasoning,
                    timeouts=timeouts,
                    failover=policy.failover,
                    disabled=within.disabled or provider.disabled or credential.disabled,
                    params=params,
                    abilities=abilities,
                )
                for credential in provider.credentials
            )
        )
