"""Smooth weighted round-robin as a pure function of the turn.

The rule is nginx's: each turn every member gains its weight, the one that has gained most is chosen (of equals the
first) and pays back the sum of all weights. The choices repeat after sum(weights) / gcd(weights) turns, and each such
window, wherever it starts, gives every member exactly its weight. Nothing needs to be remembered but how many turns
were taken.

Source: https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1

Nobody knows a shorter way to a turn of nginx's than through all turns before it. Where that is too long, because many
members have large weights without a common divisor, turns are split between two halves of the members instead, and so
on down: of two, the choice of any turn can be calculated. The windows are as exact, the turns nearly as smooth.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import gcd

MOST_STEPS = 40_000
"""Turns of a window times members. Working out so many takes two or three milliseconds."""


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
    if weights.count(weights[0]) == count:
        rounds, index = divmod(turn, count)
        return Turn(index, (rounds + 1,) * index + (rounds,) * (count - index))
    cycle = _cycle(weights)
    if cycle is None:
        taken: list[int] = []
        index = _split((0, *accumulate(weights)), 0, count, turn, taken)
        return Turn(index, tuple(taken))
    rounds, position = divmod(turn, len(cycle.choices))
    taken_of = (rounds * len(turns) + bisect_left(turns, position) for turns in cycle.turns)
    return Turn(cycle.choices[position], tuple(taken_of))


def choice(weights: tuple[int, ...], turn: int) -> int:
    """The index that `turn_of` tells, which alone costs less."""
    count = len(weights)
    if weights.count(weights[0]) == count:
        return turn % count
    cycle = _cycle(weights)
    return turn_of(weights, turn).index if cycle is None else cycle.choices[turn % len(cycle.choices)]


@dataclass(frozen=True, slots=True)
class _Cycle:
    """The turns of one window."""

    choices: array[int]
    """Whose each turn is."""
    turns: tuple[array[int], ...]
    """Those of each member."""


@lru_cache(maxsize=1024)
def _cycle(weights: tuple[int, ...]) -> _Cycle | None:
    """None where it is too long."""
    divisor = gcd(*weights)
    weights = tuple(w // divisor for w in weights)
    period = sum(weights)
    if period * len(weights) > MOST_STEPS:
        return None
    cycle = _Cycle(array("I"), tuple(array("I") for _ in weights))
    gained = [0] * len(weights)
    for position in range(period):
        gained = [g + w for g, w in zip(gained, weights, strict=True)]
        best = gained.index(max(gained))
        gained[best] -= period
        cycle.choices.append(best)
        cycle.turns[best].append(position)
    return cycle


def _split(sums: tuple[int, ...], start: int, end: int, turn: int, taken: list[int]) -> int:
    """Which of the members from `start` to before `end` has this turn of theirs; notes how many turns each has had.

    `sums[i]` is what the members before `i` weigh together. Of two weights a and b, the first has had a / (a + b) of
    the turns so far, rounded to the nearest: that is what nginx's rule comes to for two.
    """
    if end - start == 1:
        taken.append(turn)
        return start
    middle = (start + end) // 2
    first, both = sums[middle] - sums[start], sums[end] - sums[start]
    before = (2 * first * turn + both) // (2 * both)
    after = (2 * first * (turn + 1) + both) // (2 * both)
    in_first = _split(sums, start, middle, before, taken)
    in_second = _split(sums, middle, end, turn - before, taken)
    return in_first if after > before else in_second
