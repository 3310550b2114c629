from __future__ import annotations

import pytest

from edge_service.domain.supervision import (
    BACKOFF_MAX_S,
    BACKOFF_MIN_S,
    LASTING_S,
    Announce,
    Over,
    Start,
    Stop,
    Supervision,
)


def starting(workers: int = 2) -> Supervision:
    rules = Supervision(workers)
    assert rules.begin() == [Start(number, 0.0) for number in range(workers)]
    for number in range(workers):
        rules.started(number)
    return rules


def serving(workers: int = 2) -> Supervision:
    """All of them serve since 0."""
    rules = starting(workers)
    for number in range(workers):
        rules.served(number, 0.0)
    return rules


def test_it_is_announced_once_when_all_serve() -> None:
    rules = starting()
    assert (rules.served(1, 0.0), rules.serving) == ([], (1,))
    assert (rules.served(0, 0.0), rules.serving) == ([Announce()], (0, 1))
    rules.ended(0, 1, 1.0)
    rules.started(0)
    assert (rules.served(0, 2.0), rules.serving) == ([], (0, 1))


@pytest.mark.parametrize(("ended_with", "status"), [(1, 1), (3, 3), (-9, 137), (0, 1)])
def test_who_ends_before_all_have_served_ends_it_all(ended_with: int, status: int) -> None:
    rules = starting()
    rules.served(0, 0.0)
    assert rules.ended(1, ended_with, 0.0) == [Stop()]
    assert rules.ended(0, 0, 0.0) == [Over(status)]


def test_who_ends_is_started_anew_after_a_while_that_doubles() -> None:
    rules, waits = serving(), []
    for _ in range(12):
        (command,) = rules.ended(1, -9, 1.0)
        assert isinstance(command, Start)
        assert rules.serving == (0,)
        waits.append(command.after_s)
        rules.started(1)
        rules.served(1, 1.0)
    assert waits[:3] == [BACKOFF_MIN_S, 2 * BACKOFF_MIN_S, 4 * BACKOFF_MIN_S]
    assert waits[-1] == BACKOFF_MAX_S


def test_one_that_does_not_even_serve_waits_longer_each_time_too() -> None:
    rules = serving()
    rules.ended(1, 1, LASTING_S)
    rules.started(1)
    assert rules.ended(1, 1, 2 * LASTING_S) == [Start(1, 2 * BACKOFF_MIN_S)]


def test_one_that_has_lasted_begins_afresh() -> None:
    rules = serving()
    for _ in range(4):
        rules.ended(1, 1, 1.0)
        rules.started(1)
        rules.served(1, 1.0)
    assert rules.ended(1, 1, 1.0 + LASTING_S) == [Start(1, BACKOFF_MIN_S)]


def test_one_that_leaves_gets_no_connections_and_is_followed_by_another() -> None:
    rules = serving()
    rules.leaves(0)
    assert rules.serving == (1,)
    assert rules.ended(0, 0, 1.0) == [Start(0, BACKOFF_MIN_S)]


def test_told_to_stop_it_waits_for_all_and_starts_none() -> None:
    rules = serving()
    assert rules.stop() == [Stop()]
    assert rules.stop() == []
    assert rules.ended(1, 0, 1.0) == []
    assert rules.ended(0, 0, 1.0) == [Over(0)]


def test_told_to_stop_before_anybody_was_started_it_is_over() -> None:
    rules = Supervision(2)
    rules.begin()
    assert rules.stop() == [Stop(), Over(0)]


def test_one_that_waits_to_be_started_is_not_waited_for() -> None:
    rules = serving()
    rules.ended(1, 1, 1.0)
    assert rules.stop() == [Stop()]
    assert rules.ended(0, 0, 1.0) == [Over(0)]
    rules = serving(1)
    rules.ended(0, 1, 1.0)
    assert rules.stop() == [Stop(), Over(0)]


def test_the_first_that_does_not_end_well_decides_the_status() -> None:
    rules = serving(3)
    rules.stop()
    assert [rules.ended(0, 0, 1.0), rules.ended(1, -9, 1.0)] == [[], []]
    assert rules.ended(2, 1, 1.0) == [Over(137)]


def test_told_to_stop_before_all_serve_it_ends_well() -> None:
    rules = starting()
    rules.stop()
    rules.served(0, 0.0)
    assert rules.served(1, 0.0) == []
    assert rules.ended(0, 0, 0.0) == []
    assert rules.ended(1, 0, 0.0) == [Over(0)]
