from __future__ import annotations

import pytest

from resolver_service.domain.clients import Limits
from resolver_service.domain.limits import GRAIN_MS, SOON_MS, WINDOW_MS, Allowance, Allowances, Kind, Usage, Window


def test_what_was_used_is_over_after_a_minute_to_the_millisecond() -> None:
    window = Window()
    window.add(2, 1000)
    window.add(3, 1000 + GRAIN_MS)
    assert [window.used(1000 + WINDOW_MS - 1), window.used(1000 + WINDOW_MS)] == [5, 3]
    assert window.used(1000 + GRAIN_MS + WINDOW_MS) == 0
    assert len(window) == 0


@pytest.mark.parametrize(("amount", "wait_ms"), [(1, 60_000), (2, 60_000), (3, 60_200), (5, 60_200), (6, None)])
def test_it_is_told_how_long_it_takes_until_so_much_is_over(amount: int, wait_ms: int | None) -> None:
    window = Window()
    window.add(2, 0)
    window.add(3, 200)
    assert window.wait_ms(amount, 0) == wait_ms
    if wait_ms is not None:
        assert 5 - window.used(wait_ms - 1) < amount <= 5 - window.used(wait_ms)


def test_the_last_of_it_is_over_when_all_is() -> None:
    window = Window()
    assert window.reset_ms(5) == 0
    window.add(2, 0)
    window.add(0, 50)
    window.add(3, 200)
    assert window.reset_ms(300) == 200 + WINDOW_MS - 300
    assert window.used(WINDOW_MS) == 3, "of what was nothing there is no end to wait for"


def test_what_came_together_is_over_together_with_the_last_of_it() -> None:
    window = Window()
    for now_ms in (0, GRAIN_MS - 1):
        window.add(1, now_ms)
    assert len(window) == 1
    assert window.wait_ms(1, GRAIN_MS) == window.reset_ms(GRAIN_MS) == WINDOW_MS - 1
    assert [window.used(WINDOW_MS + GRAIN_MS - 2), window.used(WINDOW_MS + GRAIN_MS - 1)] == [2, 0]


def test_nobody_waits_for_what_is_over() -> None:
    window = Window()
    window.add(1, 0)
    window.add(1, WINDOW_MS // 2)
    assert window.wait_ms(1, WINDOW_MS) == WINDOW_MS // 2


def test_memory_is_bounded_however_much_is_used() -> None:
    window = Window()
    for now_ms in range(3 * WINDOW_MS):
        window.add(1, now_ms)
        window.used(now_ms)
    assert len(window) <= WINDOW_MS / GRAIN_MS + 2
    assert WINDOW_MS <= window.used(3 * WINDOW_MS - 1) <= WINDOW_MS + GRAIN_MS


def test_the_limit_that_is_in_the_way_the_longest_is_told() -> None:
    usage = Usage()
    limits = Limits(requests=2, tokens=100, concurrent=1)
    assert usage.refusal(limits, 0) is None
    usage.concurrent = 1
    assert usage.refusal(limits, 0) == (Kind.CONCURRENT, SOON_MS)
    usage.requests.add(2, 0)
    assert usage.refusal(limits, 10) == (Kind.REQUESTS, WINDOW_MS - 10)
    usage.tokens.add(100, 200)
    assert usage.refusal(limits, 300) == (Kind.TOKENS, WINDOW_MS - 100)
    assert usage.refusal(Limits(), 300) is None


def test_a_request_of_any_size_is_let_in_while_a_token_is_left() -> None:
    usage = Usage()
    limits = Limits(tokens=100)
    usage.tokens.add(99, 0)
    assert usage.refusal(limits, 0) is None
    usage.reserved = 1_000
    assert usage.refusal(limits, 0) == (Kind.TOKENS, SOON_MS), "nobody knows when what is held is free"
    usage.reserved = 1
    assert usage.refusal(limits, 0) == (Kind.TOKENS, WINDOW_MS)


def test_what_is_left_is_told() -> None:
    usage = Usage()
    usage.requests.add(2, 0)
    usage.tokens.add(40, 0)
    limits = Limits(requests=5, tokens=100)
    assert usage.allowances(limits, 1000) == Allowances(Allowance(5, 3, 59_000), Allowance(100, 60, 59_000))
    usage.reserved = 100
    assert usage.allowances(limits, 1000).tokens == Allowance(100, 0, WINDOW_MS)
    assert usage.allowances(Limits(requests=1), 1000) == Allowances(Allowance(1, 0, 59_000), None)
    assert usage.allowances(Limits(concurrent=1), 1000) == Allowances(None, None)


def test_whoever_uses_or_holds_anything_is_not_idle() -> None:
    usage = Usage()
    usage.requests.add(1, 0)
    usage.tokens.add(1, 10)
    assert [usage.is_idle(now_ms) for now_ms in (0, WINDOW_MS, WINDOW_MS + 10)] == [False, False, True]
    usage.reserved = 1
    assert not usage.is_idle(WINDOW_MS + 10)
    usage.reserved, usage.concurrent = 0, 1
    assert not usage.is_idle(WINDOW_MS + 10)
