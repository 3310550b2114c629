"""The configuration: from a tree of plain data to a `Catalog`, or to everything that is wrong with it.

Reading comes first and notes problems (the modules `config_*`). Only if there are none is the catalog assembled: each
member is expanded to its targets, and of the policies and overrides above a target those that win are settled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from resolver_service.domain.abilities import UNKNOWN
from resolver_service.domain.catalog import (
    Catalog,
    Group,
    Member,
    Policy,
    RawModel,
    Source,
    Strategy,
    Target,
    Tier,
    name_key,
)
from resolver_service.domain.config_clients import read_clients
from resolver_service.domain.config_groups import GroupEntry, MemberEntry, ModelPools, read_model_pools
from resolver_service.domain.config_params import Overrides, settled
from resolver_service.domain.config_policy import Block, read_defaults
from resolver_service.domain.config_providers import Directory, Offer, read_providers
from resolver_service.domain.config_reader import ConfigError, Problem, Problems, Section

__all__ = ["ConfigError", "Problem", "parse"]

MOST_TARGETS = 500_000
"""Clusters multiply: a hundred of them with a hundred large pools each would fill the memory."""

_KEYS = ("providers", "policy", "model-pools", "clients")


def parse(document: object) -> Catalog:
    """The catalog that a document describes.

    Takes any tree that YAML or JSON can make. Raises `ConfigError` with all problems, and nothing else. That there is
    nothing at all is a problem too: so it is while somebody writes a file, or when it has been cut.
    """
    if document is None:
        raise ConfigError([Problem("", "the file says nothing; an empty configuration is written as {}")])
    problems = Problems(document)
    root = Section.of(problems, (), document, _KEYS) or Section(problems, (), {}, _KEYS)
    block, cool_down = read_defaults(root)
    defaults = block.over(Policy())
    directory = read_providers(root)
    model_pools = read_model_pools(root, directory)
    clients = read_clients(root, {*directory.listed, *model_pools.pools, *model_pools.clusters})
    if not model_pools.enabled:
        model_pools = ModelPools(enabled=False, pools={}, clusters={})
    _check_size(problems, directory, model_pools)
    problems.check()
    assembly = _Assembly(defaults)
    return Catalog(
        providers=tuple(entry.provider for entry in directory.entries),
        pools={key: assembly.pool(pool) for key, pool in model_pools.pools.items()},
        clusters={key: assembly.cluster(cluster) for key, cluster in model_pools.clusters.items()},
        models=assembly.models(directory),
        cool_down=cool_down,
        clients=clients,
    )


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
    """What the member of a cluster gives to the targets behind it."""

    prefix: str = ""
    """Of their paths."""
    policies: tuple[Block, ...] = ()
    """Those of provider, pool and pool's member win over them."""
    params: Overrides = field(default_factory=dict)
    disabled: bool = False

    def over(self, member: MemberEntry) -> _Within:
        """What a pool's member makes of it: the closest wins."""
        params = {**self.params, **member.params} if self.params and member.params else self.params or member.params
        return replace(self, params=params, disabled=self.disabled or member.disabled)


_ALONE = _Within()


def _any_known(sources: Iterable[Source]) -> bool:
    return any(source.targets[0].abilities != UNKNOWN for source in sources)


class _Assembly:
    """Makes groups and targets of entries that have been found valid."""

    def __init__(self, defaults: Policy) -> None:
        self._defaults = defaults

    def models(self, directory: Directory) -> dict[str, RawModel]:
        """Those that at least one target can serve."""
        models = {}
        for key, offers in directory.listed.items():
            name = offers[0].model
            sources = tuple(self._source(offer, name) for offer in offers)
            if not all(target.disabled for source in sources for target in source.targets):
                models[key] = RawModel(name, sources, self._defaults, _any_known(sources))
        return models

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
