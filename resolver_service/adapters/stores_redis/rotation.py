"""Turns: encodes claims for the server, and keeps a copy of its counts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import gcd

from resolver_service.app.ports import Granted, Wanted
from resolver_service.domain.rotation import choice
from resolver_service.domain.selection import Claim, TurnKey

LONGEST_SEQUENCE = 1024
"""Turns. Each request for a turn of a cluster carries the member of each turn in two bytes, so that the server can also
take the turn of the pool that it falls on. Where the sequence is longer, that takes a second call."""
NO_CLAIM = ("0",)


def field(key: TurnKey) -> str:
    """The field of the server's hash that counts these turns."""
    return f"{key[0]}\n{key[1]}"


def key_of(name: str) -> TurnKey:
    """The inverse of `field`. Raises `ValueError`."""
    group, _, priority = name.rpartition("\n")
    return group, int(priority)


class RotationMirror:
    """A `RotationStore`. The server counts; this has the last counts known, and what is still to be added to them."""

    def __init__(self) -> None:
        self.turns: dict[TurnKey, int] = {}
        self.untold: dict[TurnKey, int] = {}
        """How many turns were taken here without the server."""

    def turn(self, key: TurnKey) -> int:
        return self.turns.get(key, 0)

    def take(self, keys: Iterable[TurnKey]) -> None:
        """Takes turns without the server, to which they are added later."""
        for key in keys:
            self.turns[key] = self.turns.get(key, 0) + 1
            self.untold[key] = self.untold.get(key, 0) + 1

    def take_alone(self, wanted: Wanted) -> Granted:
        """What a request is granted while the server is away."""
        turns: dict[TurnKey, int] = {}
        claim = wanted.claim
        while claim is not None:
            number = turns[claim.key] = self.turn(claim.key)
            self.take([claim.key])
            claim = claim.behind[choice(claim.weights, number)]
        return Granted(wanted.holder, turns, frozenset(wanted.probes))

    def heard_of(self) -> dict[TurnKey, int]:
        """The server's counts, as far as this resolver knows."""
        return {key: taken - self.untold.get(key, 0) for key, taken in self.turns.items()}

    def taken(self, turns: dict[TurnKey, int]) -> None:
        """Notes turns that the server has given to this resolver."""
        for key, number in turns.items():
            if number >= self.turns.get(key, 0):
                self.turns[key] = number + 1


@lru_cache(maxsize=4096)
def arguments(claim: Claim) -> tuple[str, ...]:
    """A claim as `take.lua` reads it."""
    its_key = field(claim.key)
    if not any(claim.behind) or has_second_step(claim):
        return ("1", its_key, "0")
    said = ["1", its_key, "1", str(len(claim.weights)), _sequence(claim.weights)]
    for behind in claim.behind:
        said += NO_CLAIM if behind is None else arguments(behind)
    return tuple(said)


def has_second_step(claim: Claim) -> bool:
    return any(claim.behind) and _period(claim.weights) > LONGEST_SEQUENCE


def _period(weights: tuple[int, ...]) -> int:
    return 1 if min(weights) == max(weights) else sum(weights) // gcd(*weights)


def _sequence(weights: tuple[int, ...]) -> str:
    if min(weights) == max(weights):
        return ""
    places = (choice(weights, turn) for turn in range(_period(weights)))
    return "".join(chr(place >> 7) + chr(place & 127) for place in places)
