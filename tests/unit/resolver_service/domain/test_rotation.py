from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from math import gcd

import pytest

from resolver_service.domain.rotation import MOST_STEPS, Turn, turn_of

HUNDRED = tuple(range(1, 101))
"""So heavy that nginx's way to the last turn would be too long."""


def choices(weights: tuple[int, ...], count: int, start: int = 0) -> list[int]:
    return [turn_of(weights, turn).index for turn in range(start, start + count)]


def as_nginx(weights: tuple[int, ...]) -> Iterator[int]:
    """ngx_http_upstream_get_peer, for peers that never fail."""
    current = [0] * len(weights)
    while True:
        best = 0
        for peer, weight in enumerate(weights):
            current[peer] += weight
            if current[peer] > current[best]:
                best = peer
        current[best] -= sum(weights)
        yield best


@pytest.mark.parametrize(
    ("weights", "sequence"),
    [
        ((5, 1, 1), "a a b a c a a"),
        ((1, 5, 1), "b b a b c b b"),
        ((4, 3, 2, 1), "a b c a b d a c b a"),
        ((4, 2, 2), "a b c a"),
        ((3, 1), "a a b a"),
        ((1, 2), "b a b"),
        ((1, 1, 1), "a b c"),
        ((9, 9), "a b"),
        ((7,), "a"),
    ],
)
def test_turns_come_in_the_order_that_nginx_is_known_for(weights: tuple[int, ...], sequence: str) -> None:
    expected = ["abcd".index(letter) for letter in sequence.split()]
    assert choices(weights, 3 * len(expected)) == 3 * expected


@pytest.mark.parametrize("weights", [(5, 1, 1), (100, 99, 7), (1, 100), (13, 8, 21, 34, 5, 1, 2, 3), (6, 10, 15)])
def test_every_turn_is_the_one_that_nginx_would_take(weights: tuple[int, ...]) -> None:
    count = 2 * sum(weights)
    assert choices(weights, count) == [index for index, _ in zip(as_nginx(weights), range(count), strict=False)]


@pytest.mark.parametrize("weights", [(1,), (3, 3, 3), (5, 1, 1), (4, 6), HUNDRED])
def test_each_turn_knows_how_many_everyone_has_had(weights: tuple[int, ...]) -> None:
    had = [0] * len(weights)
    for turn in range(2 * sum(weights) // gcd(*weights)):
        its = turn_of(weights, turn)
        assert its.taken == tuple(had)
        had[its.index] += 1


def test_a_turn_does_not_depend_on_those_that_were_asked_for_before() -> None:
    weights = (31, 17, 5)
    forward = choices(weights, sum(weights))
    assert [turn_of(weights, turn).index for turn in reversed(range(sum(weights)))] == forward[::-1]


@pytest.mark.parametrize("weights", [(5, 1, 1), (2, 2), HUNDRED])
def test_turns_go_on_for_ever(weights: tuple[int, ...]) -> None:
    period = sum(weights) // gcd(*weights)
    far = period * 10**15
    assert choices(weights, 20, start=far) == choices(weights, 20)
    assert turn_of(weights, far).taken == tuple(w // gcd(*weights) * 10**15 for w in weights)


@pytest.mark.parametrize("start", [0, 1, 2499, 5049])
def test_a_window_of_many_heavy_members_gives_everyone_exactly_their_weight(start: int) -> None:
    assert sum(HUNDRED) * len(HUNDRED) > MOST_STEPS
    assert Counter(choices(HUNDRED, sum(HUNDRED), start)) == dict(enumerate(HUNDRED))


def test_many_heavy_members_take_turns_smoothly() -> None:
    for turn in range(0, sum(HUNDRED), 7):
        for weight, taken in zip(HUNDRED, turn_of(HUNDRED, turn).taken, strict=True):
            assert abs(taken - turn * weight / sum(HUNDRED)) < 1.05


def test_no_turn_takes_long_to_find() -> None:
    heavy = [
        HUNDRED,
        tuple(range(100, 0, -1)),
        (*(99,) * 99, 98),
        tuple(1 + n * 37 % 100 for n in range(1000)),
        # The longest of those that are worked out as nginx does.
        tuple(99 - n for n in range(20)),
    ]
    for weights in heavy:
        began = time.process_time()
        turn_of(weights, 10**9 + 7)
        assert time.process_time() - began < 0.02


def test_a_single_member_has_every_turn() -> None:
    assert turn_of((3,), 41) == Turn(0, (41,))
