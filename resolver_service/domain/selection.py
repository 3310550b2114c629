"""The order in which targets are tried: a pure function of members, availability and turns taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from resolver_service.domain.catalog import Group, Member, RawModel, Ring, Target
from resolver_service.domain.rotation import choice, turn_of

Available: TypeAlias = Callable[[Target], bool]
TurnKey: TypeAlias = tuple[str, int]
"""Whose turns: a group's `rotation_key` and the priority of one of its tiers."""
Turns: TypeAlias = Callable[[TurnKey], int]


class Order(NamedTuple):
    """Targets in the order to try them, each once."""

    targets: tuple[Target, ...]
    took: tuple[TurnKey, ...]
    """The turns that this order takes if it is used: those of the bands that supply its first target."""


def order(entry: Group | RawModel, available: Available | None, turns: Turns, limit: int | None = None) -> Order:
    """The targets behind a name that are available, in the order in which they are to be tried: the first `limit`.
    `available` is None where every target is that is not disabled.

    A member without an available target is left out before anyone's turn is looked up. A target that comes up twice is
    kept where it came first.
    """
    if available is None and (ring := entry.ring) is not None:  # As it nearly always is.
        first, targets = first_of(ring, turns), ring.targets
        return Order((targets[first:] + targets[:first])[:limit], ring.keys)
    took: list[TurnKey] = []
    walk = _Walk(available, turns, limit, set() if entry.has_repetitions else None)
    if isinstance(entry, Group):
        walk.through(entry, took)
    else:
        walk.add(entry.enabled if available is None else filter(available, targets_of(entry)))
    return Order(tuple(walk.found[:limit]), tuple(took))


def first_of(ring: Ring, turns: Turns) -> int:
    """The index of the target whose turn it is."""
    return choice(ring.weights, turns(ring.keys[-1])) if ring.keys else 0


class Claim(NamedTuple):
    """The turns that a request takes, in a form in which a shared store can be asked for them before their numbers are
    known: one of this group, and one of the pool that this turn falls on. `order` takes the same ones if it is given
    their numbers."""

    key: TurnKey
    weights: tuple[int, ...]
    """Of the members that are available."""
    behind: tuple[Claim | None, ...]
    """The claim of the pool behind each of them; None where there is none."""

    def falls_on(self, turn: int) -> Claim | None:
        """The claim of the pool that this turn of the group falls on; None if it falls on no pool."""
        return self.behind[choice(self.weights, turn)]

    def taken(self, numbers: Sequence[int]) -> dict[TurnKey, int]:
        """The numbers by their keys: the group's comes first, then that of the pool it falls on."""
        turns = {self.key: numbers[0]}
        pool = self.falls_on(numbers[0])
        return turns if pool is None else turns | pool.taken(numbers[1:])


def claim(entry: Group | RawModel, available: Available | None) -> Claim | None:
    """None where nothing is available, or nothing rotates."""
    if not isinstance(entry, Group):
        return None
    for tier in entry.enabled:
        members = [m for m in tier.members if _can_serve(m, available)] if available else tier.members
        if members:
            behind = tuple(claim(m.pool, available) if m.pool is not None else None for m in members)
            return Claim((entry.rotation_key, tier.priority), tuple(m.weight for m in members), behind)
    return None


def targets_of(entry: Group | RawModel | Member) -> Iterator[Target]:
    """Every target behind it, as configured; by some of its paths a target may come up again."""
    return entry.targets()


class _Walk:
    """Finds targets in order, at least the first `limit` if there are as many."""

    def __init__(self, available: Available | None, turns: Turns, limit: int | None, seen: set[str] | None) -> None:
        """`seen` is None where no target comes up twice."""
        self.found: list[Target] = []
        self._available = available
        self._turns = turns
        self._limit = limit
        self._seen = seen

    def add(self, targets: Iterable[Target]) -> None:
        if self._seen is None:
            self.found += targets
            return
        for target in targets:
            if target.id not in self._seen:
                self._seen.add(target.id)
                self.found.append(target)

    def through(self, group: Group, took: list[TurnKey]) -> None:
        """Adds the turns to `took` that lead to the first target."""
        available = self._available
        for tier in group.enabled:
            if self._limit is not None and len(self.found) >= self._limit:
                return
            members: Sequence[Member] = tier.members
            if available is not None:
                members = [m for m in members if _can_serve(m, available)]
                if not members:
                    continue
            key = (group.rotation_key, tier.priority)
            took.append(key)
            turn = self._turns(key)
            if available is None and tier.one_each:
                first = choice(tier.weights, turn)
                self.add(tier.one_each[first:])
                self.add(tier.one_each[:first])
            else:
                weights = tier.weights if len(members) == len(tier.members) else tuple(m.weight for m in members)
                self._among(members, weights, turn, took)
            took = []  # The first target is found, and only the tiers that lead to it take a turn.

    def _among(self, members: Sequence[Member], weights: tuple[int, ...], turn: int, took: list[TurnKey]) -> None:
        first = choice(weights, turn)
        taken: tuple[int, ...] = ()
        for i in (*range(first, len(members)), *range(first)):
            if self._limit is not None and len(self.found) >= self._limit:
                return
            member = members[i]
            if member.pool is not None:
                self.through(member.pool, took)
            for source in member.sources:
                targets = tuple(filter(self._available, source.targets)) if self._available else source.targets
                if len(targets) > 1:
                    # A source's credentials take turns whenever it is the member's turn.
                    taken = taken or turn_of(weights, turn).taken
                    start = taken[i] % len(targets)
                    targets = targets[start:] + targets[:start]
                self.add(targets)
            took = []


def _can_serve(member: Member, available: Available) -> bool:
    return any(map(available, member.targets()))
