"""Pools and clusters made by hand, in as few words as a test needs."""

from __future__ import annotations

from resolver_service.domain.catalog import Group, Member, RawModel, Source, Strategy, Target, Tier
from resolver_service.domain.policy import Failover, Policy, Timeouts
from resolver_service.domain.providers import Credential, Dialect, Provider


def source(provider: str, model: str = "m", credentials: int = 1) -> Source:
    """The targets `provider/model#0`, `provider/model#1` and so on."""
    keys = tuple(Credential(f"env:{provider}_{n}", n) for n in range(credentials))
    owner = Provider(provider, Dialect.OPENAI, "https://provider.example", keys, (model,))
    return Source(tuple(Target(owner, model, key, provider, "", Timeouts(), Failover()) for key in keys))


def member(behind: str | Group, weight: int = 1, priority: int = 0, credentials: int = 1) -> Member:
    """A member with a pool, or with the model `m` of a provider, behind it."""
    if isinstance(behind, Group):
        return Member(weight, priority, pool=behind)
    return Member(weight, priority, sources=(source(behind, credentials=credentials),))


def raw_member(*providers: str, weight: int = 1, priority: int = 0, credentials: int = 1) -> Member:
    """A cluster's member with the raw model `m` behind it, which these providers list."""
    return Member(weight, priority, sources=tuple(source(p, credentials=credentials) for p in providers))


def pool(name: str, *members: Member, strategy: Strategy = Strategy.ROUND_ROBIN) -> Group:
    return _group("pool", name, members, strategy)


def cluster(name: str, *members: Member, strategy: Strategy = Strategy.PRIORITY) -> Group:
    return _group("cluster", name, members, strategy)


def raw_model(name: str, *sources: Source) -> RawModel:
    return RawModel(name, sources, Policy())


def _group(kind: str, name: str, members: tuple[Member, ...], strategy: Strategy) -> Group:
    bands: dict[int, list[Member]] = {}
    for each in members:
        bands.setdefault(each.priority if strategy is Strategy.PRIORITY else 0, []).append(each)
    tiers = tuple(Tier(p, tuple(band), tuple(m.weight for m in band)) for p, band in sorted(bands.items()))
    return Group(kind, name, "", strategy, tiers, Policy())
