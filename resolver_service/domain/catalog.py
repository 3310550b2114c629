"""What can be called, as one immutable value: a validated configuration, ready to be resolved against.

A *member* of a pool or cluster expands to *targets* (provider + model + credential). A catalog is made once per
revision by `resolver_service.domain.config` and never changes.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from resolver_service.domain.abilities import UNKNOWN, Abilities
from resolver_service.domain.clients import Client
from resolver_service.domain.names import name_key
from resolver_service.domain.policy import DEFAULT_BOUNDS, CoolDownBounds, Failover, Policy, Timeouts
from resolver_service.domain.providers import Credential, Provider


class Strategy(StrEnum):
    """How the members of a pool or cluster take turns."""

    PRIORITY = "priority"
    """A tier per priority value, low to high; the members of a tier rotate."""
    ROUND_ROBIN = "round-robin"
    """One tier: all members rotate, whatever their priority."""


@dataclass(frozen=True, slots=True)
class Params:
    """What is changed in the top-level fields of a request, by the provider's names for them. A field is in one of the
    three only."""

    set_json: bytes = b""
    """A JSON object; empty for none. These fields replace what the client said."""
    default_json: bytes = b""
    """Likewise. These fill in what the client left out."""
    drop: tuple[str, ...] = ()
    """These are removed."""


NO_PARAMS = Params()


class Scopes(NamedTuple):
    """What a target's health is made of: a state is kept under each of these keys, and the target shares two of them.

    No two keys are equal that mean different things, whatever a model is called: a provider's id has neither `/` nor
    `#` in it, and a credential's index is a number.
    """

    target: str
    """`provider/model#credential-index`, the target's id."""
    credential: str
    """`provider#credential-index`."""
    model: str
    """`provider/model#*`."""


def credential_scope(target_id: str) -> str:
    """The credential's scope of a target, by its id alone: there may be no such target any more."""
    return f"{target_id.partition('/')[0]}#{target_id.rpartition('#')[2]}"


@dataclass(frozen=True, slots=True)
class Target:
    """What can be tried: one model at one provider with one credential, and the policy for the attempt.

    The same provider, model and credential may be reached in several ways (paths), each with a policy of its own.
    """

    provider: Provider
    model: str
    """The model's id at the provider, without a reasoning suffix."""
    credential: Credential
    path: str
    """Such as `coding-high/claude-sonnet-4/kiro`."""
    reasoning: str
    """The member's own default; the client's suffix replaces it."""
    timeouts: Timeouts
    failover: Failover
    disabled: bool = False
    """Its provider, member or credential is: it is never in a plan, and `Explain` says why."""
    params: Params = NO_PARAMS
    abilities: Abilities = UNKNOWN
    id: str = field(init=False)
    """`provider/model#credential-index`: who this is, whichever way it was reached."""
    scopes: Scopes = field(init=False)

    def __post_init__(self) -> None:
        provider, index = self.provider.id, self.credential.index
        object.__setattr__(self, "id", f"{provider}/{self.model}#{index}")
        object.__setattr__(self, "scopes", Scopes(self.id, f"{provider}#{index}", f"{provider}/{self.model}#*"))


@dataclass(frozen=True, slots=True)
class Source:
    """Targets that stand together: one model at one provider, a target per credential, in the order configured."""

    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A turn-taker of a group. It has either a pool behind it or sources of its own."""

    weight: int
    """From 1 to 100."""
    priority: int
    """Lower is preferred."""
    sources: tuple[Source, ...] = ()
    """Tried in this order, whenever it is the member's turn. A pool's member has one, a raw model of a cluster one per
    provider that serves it."""
    pool: Group | None = None

    def targets(self) -> Iterator[Target]:
        """All that stand behind it, as configured."""
        if self.pool is not None:
            return self.pool.targets()
        return (target for source in self.sources for target in source.targets)


@dataclass(frozen=True)
class Tier:
    """Members that rotate among themselves."""

    priority: int
    members: tuple[Member, ...]
    """In the order configured."""
    weights: tuple[int, ...]

    @cached_property
    def one_each(self) -> tuple[Target, ...]:
        """The members' targets, if each has one; else nothing."""
        sources = [source for member in self.members for source in member.sources]
        if len(sources) < len(self.members) or any(len(member.sources) > 1 for member in self.members):
            return ()
        return tuple(s.targets[0] for s in sources) if all(len(s.targets) == 1 for s in sources) else ()


class Ring(NamedTuple):
    """Targets in a plain rotation: all of them in their order, beginning with the one whose turn it is."""

    keys: tuple[tuple[str, int], ...]
    """The counters of which a turn is taken, by `rotation_key` and the tier's priority. The last one's turn says who is
    first; without any it is always the first target."""
    weights: tuple[int, ...]
    targets: tuple[Target, ...]
    """One for each weight."""


@dataclass(frozen=True)
class Group:
    """A pool or a cluster."""

    kind: str
    """`pool` or `cluster`."""
    id: str
    """In its own spelling."""
    description: str
    strategy: Strategy
    tiers: tuple[Tier, ...]
    """In the order in which they are tried."""
    policy: Policy
    """For a walk that was asked for by this name."""
    has_abilities: bool = False
    """Some target behind it has known abilities, so that a request's needs make a difference."""

    @cached_property
    def rotation_key(self) -> str:
        """The key of this group's counters; a pool has the same ones whichever way it was reached."""
        return f"{self.kind}:{name_key(self.id)}"

    @cached_property
    def enabled(self) -> tuple[Tier, ...]:
        """The tiers without what is disabled, and without those in which everything is."""
        return tuple(tier for tier in map(_enabled_tier, self.tiers) if tier.members)

    @cached_property
    def ring(self) -> Ring | None:
        """The plain rotation that it amounts to; None where it takes more than that. What is enabled must be a single
        tier with one target per member, or with one pool that has a ring itself, and no target may come up twice."""
        if len(self.enabled) != 1 or self.has_repetitions:
            return None
        (tier,) = self.enabled
        key = (self.rotation_key, tier.priority)
        if tier.one_each:
            return Ring((key,), tier.weights, tier.one_each)
        pool = tier.members[0].pool if len(tier.members) == 1 else None
        ring = pool.ring if pool is not None else None
        return None if ring is None else ring._replace(keys=(key, *ring.keys))

    @cached_property
    def scopes(self) -> frozenset[str]:
        """Those of all targets behind it."""
        return _scopes(self.targets())

    @cached_property
    def has_repetitions(self) -> bool:
        """Whether any target stands behind it twice."""
        return _repeat(self.targets())

    def targets(self) -> Iterator[Target]:
        """All that stand behind it, as configured."""
        for tier in self.tiers:
            for member in tier.members:
                yield from member.targets()


def _scopes(targets: Iterable[Target]) -> frozenset[str]:
    return frozenset(chain.from_iterable(target.scopes for target in targets))


def _repeat(targets: Iterable[Target]) -> bool:
    ids = [target.id for target in targets]
    return len(set(ids)) < len(ids)


@dataclass(frozen=True)
class RawModel:
    """A model called by its own name, at every provider that lists it."""

    id: str
    sources: tuple[Source, ...]
    """One per provider, in the order configured: no rotation."""
    policy: Policy
    has_abilities: bool = False
    """As of a group."""

    @cached_property
    def enabled(self) -> tuple[Target, ...]:
        """Its targets without those that are disabled."""
        return tuple(target for target in self.targets() if not target.disabled)

    @cached_property
    def ring(self) -> Ring | None:
        """As of a group."""
        return Ring((), (), self.enabled) if self.enabled and not self.has_repetitions else None

    @cached_property
    def scopes(self) -> frozenset[str]:
        """As of a group."""
        return _scopes(self.targets())

    @cached_property
    def has_repetitions(self) -> bool:
        """As of a group."""
        return _repeat(self.targets())

    def targets(self) -> Iterator[Target]:
        """As of a group."""
        return (target for source in self.sources for target in source.targets)


def _enabled_tier(tier: Tier) -> Tier:
    members = tuple(member for member in map(_enabled_member, tier.members) if member.sources or member.pool)
    same = len(members) == len(tier.members) and all(map(operator.is_, members, tier.members))
    return tier if same else Tier(tier.priority, members, tuple(member.weight for member in members))


def _enabled_member(member: Member) -> Member:
    """The member without its disabled targets: with neither sources nor pool if all are disabled."""
    if member.pool is not None:
        return member if member.pool.enabled else replace(member, pool=None)
    if not any(target.disabled for target in member.targets()):
        return member
    kept = (tuple(target for target in source.targets if not target.disabled) for source in member.sources)
    return replace(member, sources=tuple(Source(targets) for targets in kept if targets))


@dataclass(frozen=True)
class Catalog:
    """Everything that names can be resolved to.

    The pool behind a cluster's member is a group of its own, whose targets carry the cluster's path and policy.
    """

    providers: tuple[Provider, ...]
    pools: Mapping[str, Group]
    """By `name_key`, in the order configured; empty where model pools are not enabled. So are the clusters."""
    clusters: Mapping[str, Group]
    models: Mapping[str, RawModel]
    """By `name_key`, in the order in which providers list them first."""
    cool_down: CoolDownBounds = DEFAULT_BOUNDS
    clients: Mapping[bytes, Client] | None = None
    """By the SHA-256 of each of their keys, without those that are disabled. None: whoever asks is served."""

    def find(self, name: str) -> Group | RawModel | None:
        """The entry with this very name: a cluster, else a pool, else a raw model."""
        entries = self._entries
        return entries.get(name) or entries.get(name_key(name))  # Most names are written as they are compared.

    def is_virtual(self, name: str) -> bool:
        """Whether the name is that of a pool or cluster."""
        key = name_key(name)
        return key in self.clusters or key in self.pools

    def virtual_models(self) -> tuple[Group, ...]:
        """Pools, then clusters, in the order configured; of two that share a name the one that the name finds."""
        return (*(g for k, g in self.pools.items() if k not in self.clusters), *self.clusters.values())

    @cached_property
    def _entries(self) -> Mapping[str, Group | RawModel]:
        return {**self.models, **self.pools, **self.clusters}

    @cached_property
    def spellings(self) -> tuple[tuple[str, str], ...]:
        """Every name by its `name_key` and as it is spelt, in the order of the keys."""
        return tuple(sorted((key, entry.id) for key, entry in self._entries.items()))

    @cached_property
    def has_limits(self) -> bool:
        """Whether any target takes only so many requests at a time."""
        return any(provider.max_concurrent is not None for provider in self.providers)

    @cached_property
    def longest_stream_s(self) -> float:
        """How long a streamed answer of any target may take."""
        return max((target.timeouts.stream_s for target in self.targets.values()), default=0.0)

    @cached_property
    def has_responses(self) -> bool:
        """Whether any provider has the Responses API, so that it may keep what it answered."""
        return any(provider.responses for provider in self.providers)

    @cached_property
    def scopes(self) -> Mapping[str, Scopes]:
        """Those of all targets that any name leads to, by the target's id."""
        return {target_id: target.scopes for target_id, target in self.targets.items()}

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """All that any name leads to, by their ids; where there are several ways to one, the first: that of the raw
        model if it has one."""
        sources = [s for model in self.models.values() for s in model.sources]
        for group in (*self.pools.values(), *self.clusters.values()):
            for tier in group.tiers:
                for member in tier.members:
                    sources += member.sources
        first: dict[str, Target] = {}
        for source in sources:
            for target in source.targets:
                first.setdefault(target.id, target)
        return first
