"""Smooth weighted round-robin as a pure function of the turn.

The rule is nginx's: each turn every member gains its weight, the one that has gained most is chosen (of equals the
first) and pays back the sum of all weights. The choices repeat after sum(weights) / gcd(weights) turns, and each such
window, wherever it starts, gives every member exactly its weight. Nothing needs to be remembered but how many turns
were taken.

Source: https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from math import gcd


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is."""

    index: int
    """Of the member that is chosen."""
    taken: tuple[int, ...]
    """How many turns each member has had before this one."""


def turn_of(weights: tuple[int, ...], turn: int) -> Turn:
    """The choice of the turn with this number, counted from 0, among members of these weights (each at least 1)."""
    count = len(weights)
    if min(weights) == max(weights):
        rounds, index = divmod(turn, count)
        return Turn(index, (rounds + 1,) * index + (rounds,) * (count - index))
    cycle = _cycle(weights)
    rounds, position = divmod(turn, cycle.period)
    index = cycle.choice(position)
    before = cycle.choices[:position]
    return Turn(index, tuple(rounds * w + before.count(i) for i, w in enumerate(cycle.weights)))


class _Cycle:
    """The choices of one period, worked out as far as they were asked for."""

    __slots__ = ("_gained", "choices", "period", "weights")

    def __init__(self, weights: tuple[int, ...]) -> None:
        divisor = gcd(*weights)
        self.weights = tuple(w // divisor for w in weights)
        self.period = sum(self.weights)
        self.choices = array("I")
        self._gained = [0] * len(weights)

    def choice(self, position: int) -> int:
        while len(self.choices) <= position:
            gained = [g + w for g, w in zip(self._gained, self.weights, strict=True)]
            best = gained.index(max(gained))
            gained[best] -= self.period
            self._gained = gained
            self.choices.append(best)
        return self.choices[position]


@lru_cache(maxsize=1024)
def _cycle(weights: tuple[int, ...]) -> _Cycle:
    return _Cycle(weights)
