"""The order in which targets are tried: a pure function of members, availability and turns taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from resolver_service.domain.catalog import Group, Member, RawModel, Source, Target
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


def order(entry: Group | RawModel, available: Available, turns: Turns, limit: int | None = None) -> Order:
    """The targets behind a name that are available, in the order in which they are to be tried: the first `limit`.

    A member without an available target is left out before anyone's turn is looked up. A target that comes up twice is
    kept where it came first.
    """
    took: list[TurnKey] = []
    if isinstance(entry, Group):
        walk = _walk(entry, available, turns, took)
    else:
        walk = (target for target in targets_of(entry) if available(target))
    first: dict[str, Target] = {}
    for target in walk:
        first.setdefault(target.id, target)
        if len(first) == limit:
            break
    return Order(tuple(first.values()), tuple(took))


@dataclass(frozen=True, slots=True)
class Claim:
    """The turns that a request takes, told before anyone knows whose turn it is: one of this group, and one of the pool
    that it falls on. What `order` comes to if it is given the turns that were taken, and `took`."""

    key: TurnKey
    weights: tuple[int, ...]
    """Of the members that are available."""
    behind: tuple[Claim | None, ...]
    """The claim of the pool behind each of them; None where there is none."""

    def falls_on(self, turn: int) -> Claim | None:
        """That of the pool that this turn of the group falls on, if it does."""
        return self.behind[turn_of(self.weights, turn).index]

    def taken(self, numbers: Sequence[int]) -> dict[TurnKey, int]:
        """Whose the turns with these numbers are: this group's, then that of the pool it fell on."""
        turns = {self.key: numbers[0]}
        pool = self.falls_on(numbers[0])
        return turns if pool is None else turns | pool.taken(numbers[1:])


def claim(entry: Group | RawModel, available: Available) -> Claim | None:
    """None where nothing is available, or nothing rotates."""
    if not isinstance(entry, Group):
        return None
    for tier in entry.tiers:
        members = [m for m in tier.members if _can_serve(m, available)]
        if members:
            behind = tuple(claim(m.pool, available) if m.pool is not None else None for m in members)
            return Claim((entry.rotation_key, tier.priority), tuple(m.weight for m in members), behind)
    return None


def targets_of(entry: Group | RawModel | Member) -> Iterator[Target]:
    """Every target behind it, as configured; by some of its paths a target may come up again."""
    if isinstance(entry, Group):
        for tier in entry.tiers:
            for member in tier.members:
                yield from targets_of(member.pool or member)
    else:
        for source in entry.sources:
            yield from source.targets


def _walk(group: Group, available: Available, turns: Turns, took: list[TurnKey]) -> Iterator[Target]:
    """The available targets of a group, made as they are asked for; adds to `took` before the first of them."""
    for tier in group.tiers:
        members = [m for m in tier.members if _can_serve(m, available)]
        if not members:
            continue
        key = (group.rotation_key, tier.priority)
        took.append(key)
        weights = tier.weights if len(members) == len(tier.members) else tuple(m.weight for m in members)
        its = turn_of(weights, turns(key))
        for i in (*range(its.index, len(members)), *range(its.index)):
            member = members[i]
            if member.pool is not None:
                yield from _walk(member.pool, available, turns, took)
            else:
                for source in member.sources:
                    yield from _rotated(source, its.taken[i], available)
            took = []  # The first target is found. The others' bands only look.


def _can_serve(member: Member, available: Available) -> bool:
    return any(map(available, targets_of(member.pool or member)))


def _rotated(source: Source, turn: int, available: Available) -> list[Target]:
    """The available targets of a source: its credentials take turns whenever it is the member's turn."""
    targets = [t for t in source.targets if available(t)]
    start = turn % len(targets) if targets else 0
    return targets[start:] + targets[:start]
