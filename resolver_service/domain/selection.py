"""The order in which targets are tried: a pure function of members, availability and turns taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from resolver_service.domain.catalog import Group, Member, RawModel, Source, Target, Tier
from resolver_service.domain.rotation import turn_of

Available: TypeAlias = Callable[[Target], bool]
TurnKey: TypeAlias = tuple[str, int]
"""Whose turns: a group's `rotation_key` and the priority of one of its tiers."""
Turns: TypeAlias = Callable[[TurnKey], int]


@dataclass(frozen=True, slots=True)
class Order:
    """Targets in the order to try them, each once."""

    targets: tuple[Target, ...]
    took: tuple[TurnKey, ...]
    """The turns that this order takes if it is used: those of the bands that supply its first target."""


def order(entry: Group | RawModel, available: Available, turns: Turns) -> Order:
    """The targets behind a name that are available, in the order in which they are to be tried.

    A member without an available target is left out before anyone's turn is looked up. A target that comes up twice is
    kept where it came first.
    """
    if isinstance(entry, RawModel):
        targets = [t for source in entry.sources for t in source.targets if available(t)]
        return Order(_first_of_each(targets), ())
    walk = _walk(entry, available, turns)
    return Order(_first_of_each(walk.targets), tuple(walk.took))


def _first_of_each(targets: list[Target]) -> tuple[Target, ...]:
    first: dict[str, Target] = {}
    for target in targets:
        first.setdefault(target.id, target)
    return tuple(first.values())


@dataclass(slots=True)
class _Walk:
    targets: list[Target] = field(default_factory=list)
    took: list[TurnKey] = field(default_factory=list)


def _walk(group: Group, available: Available, turns: Turns) -> _Walk:
    walk = _Walk()
    for tier in group.tiers:
        key = (group.rotation_key, tier.priority)
        for band in _bands(tier, turns(key), available, turns):
            if not walk.targets:
                walk.took = [key, *band.took]
            walk.targets += band.targets
    return walk


def _bands(tier: Tier, turn: int, available: Available, turns: Turns) -> Iterator[_Walk]:
    """What each available member of a tier supplies, the one whose turn it is first."""
    members = [m for m in tier.members if _can_serve(m, available)]
    if not members:
        return
    its = turn_of(tuple(m.weight for m in members), turn)
    for i in (*range(its.index, len(members)), *range(its.index)):
        member = members[i]
        if member.pool is not None:
            yield _walk(member.pool, available, turns)
        else:
            yield _Walk([t for source in member.sources for t in _rotated(source, its.taken[i], available)])


def _can_serve(member: Member, available: Available) -> bool:
    if member.pool is not None:
        return any(_can_serve(m, available) for tier in member.pool.tiers for m in tier.members)
    return any(available(t) for source in member.sources for t in source.targets)


def _rotated(source: Source, turn: int, available: Available) -> list[Target]:
    """The available targets of a source: its credentials take turns whenever it is the member's turn."""
    targets = [t for t in source.targets if available(t)]
    start = turn % len(targets) if targets else 0
    return targets[start:] + targets[:start]
