from __future__ import annotations

import asyncio
import time

import pytest

from resolver_service.app import leases
from resolver_service.app.decisions import Decision, Query
from resolver_service.app.in_flight import InFlight
from resolver_service.app.leases import GRACE_S, MOST_AT_ONCE
from resolver_service.app.report import Ended, Failed
from resolver_service.app.survey import BUSY_S
from resolver_service.domain.catalog import Scopes
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

PROVIDERS = """
providers:
  - {id: one, dialect: openai, base-url: "https://1.test", models: [m], max-concurrent: 2}
  - {id: two, dialect: openai, base-url: "https://2.test", credentials: [env:A, env:B], max-concurrent: 1, models: [m]}
  - {id: three, dialect: openai, base-url: "https://3.test", models: [m, free]}
"""
POOL = """
model-pools:
  pools:
    - id: pool
      strategy: priority
      members: [{provider: one, model: m}, {provider: two, model: m, priority: 1}]
    - id: open
      strategy: priority
      members: [{provider: one, model: m}, {provider: three, model: m, priority: 1}]
"""
ONE, TWO, TWO_B, THREE = "one/m#0", "two/m#0", "two/m#1", "three/m#0"


@pytest.fixture
def resolving() -> Resolving:
    return Resolving(PROVIDERS + POOL)


def fail(it: Resolving, decision: Decision, target_id: str, disposition: Disposition = Disposition.BROKEN) -> None:
    it.reports.apply(decision.id, Failed(target_id, 0, disposition, None))


def end(it: Resolving, decision: Decision, target_id: str) -> None:
    it.reports.apply(decision.id, Ended(target_id, 0))


def firsts(it: Resolving, count: int, model: str = "pool") -> list[str]:
    return [it.plan(model)[0] for _ in range(count)]


def reload(it: Resolving, old: str, new: str) -> None:
    assert asyncio.run(it.configuration.offer((PROVIDERS + POOL).replace(old, new).encode()))


def test_a_full_target_is_in_no_new_plan(resolving: Resolving) -> None:
    first, second = [resolving.decide("pool") for _ in range(2)]
    assert [d.attempts[0].target.id for d in (first, second)] == [ONE, ONE]
    assert set(resolving.plan("pool")) == {TWO, TWO_B}
    resolving.close(first)
    assert resolving.plan("pool")[0] == ONE


def test_a_credential_is_full_by_itself(resolving: Resolving) -> None:
    assert firsts(resolving, 2) == [ONE, ONE]
    assert sorted(firsts(resolving, 2)) == [TWO, TWO_B]
    assert resolving.refusal("pool") == ("busy", BUSY_S)


def test_a_target_is_full_whichever_name_led_to_it(resolving: Resolving) -> None:
    firsts(resolving, 2)
    assert firsts(resolving, 3, "open") == [THREE] * 3
    assert ONE not in resolving.plan("m")


def test_whoever_has_no_limit_is_never_full(resolving: Resolving) -> None:
    assert firsts(resolving, 50, "free") == ["three/free#0"] * 50


def test_where_nobody_has_a_limit_nothing_is_counted() -> None:
    resolving = Resolving(PROVIDERS.replace(", max-concurrent: 2", "").replace(", max-concurrent: 1", "") + POOL)
    firsts(resolving, 5)
    assert len(resolving.in_flight) == 0


def test_a_walk_counts_where_it_is(resolving: Resolving) -> None:
    decision = resolving.decide("pool")
    assert dict(resolving.in_flight.counts) == {ONE: 1}
    second = decision.attempts[1].target.id
    fail(resolving, decision, ONE)
    assert dict(resolving.in_flight.counts) == {second: 1}
    end(resolving, decision, second)
    assert not resolving.in_flight.counts
    resolving.close(decision)
    assert len(resolving.in_flight) == 0


def test_a_walk_may_come_to_a_target_that_is_full_by_then(resolving: Resolving) -> None:
    decisions = [resolving.decide("pool") for _ in range(2)]
    second = decisions[0].attempts[1].target.id
    for decision in decisions:
        fail(resolving, decision, ONE)
        for attempt in decision.attempts[1:]:
            if attempt.target.id == second:
                break
            fail(resolving, decision, attempt.target.id)
    assert dict(resolving.in_flight.counts) == {second: 2}
    assert "full: 2 of 1 in flight" in {view.reason for view in resolving.explain("pool").targets}
    resolving.close(decisions[0])
    assert second not in resolving.plan("pool"), "one of them is left, and one is the most"


def test_repeated_late_and_unknown_reports_free_nothing_twice(resolving: Resolving) -> None:
    first, second = [resolving.decide("pool") for _ in range(2)]
    for _ in range(2):
        fail(resolving, first, ONE)
        end(resolving, first, first.attempts[1].target.id)
        resolving.close(first)
        fail(resolving, first, ONE)
        resolving.reports.apply("never seen", Ended(ONE, 0))
        end(resolving, second, "never/seen#0")
    assert dict(resolving.in_flight.counts) == {ONE: 1}


@pytest.mark.parametrize("query", [Query("pool"), Query("pool", counting=True, will_report=True)])
def test_who_will_not_report_and_who_only_counts_tokens_is_not_counted_and_sees_who_is_full(
    resolving: Resolving, query: Query
) -> None:
    for _ in range(5):
        assert resolving.resolver.resolve(query).attempts[0].target.id == ONE
    firsts(resolving, 2)
    assert ONE not in [a.target.id for a in resolving.resolver.resolve(query).attempts]


def test_explain_tells_who_is_full_and_fills_nobody(resolving: Resolving) -> None:
    firsts(resolving, 4)
    for _ in range(3):
        explained = resolving.explain("pool")
        assert explained.decision is None
        assert {(v.target.id, v.available, v.reason) for v in explained.targets} == {
            (ONE, False, "full: 2 of 2 in flight"),
            (TWO, False, "full: 1 of 1 in flight"),
            (TWO_B, False, "full: 1 of 1 in flight"),
        }


# --- Nobody is available ---------------------------------------------------------------------------------------------


def test_full_and_broken_together_are_busy(resolving: Resolving) -> None:
    firsts(resolving, 2)
    for target in (TWO, TWO_B):
        resolving.fail(target, Disposition.OVERLOADED, retry_after_s=40)
    assert resolving.refusal("pool") == ("busy", BUSY_S)
    assert resolving.refusal("pool", excluded=(ONE,)) == ("unavailable", 40)


def test_where_any_has_reached_a_limit_it_is_a_limit_until_the_soonest_is_free(resolving: Resolving) -> None:
    firsts(resolving, 2)
    for target in (TWO, TWO_B):
        resolving.fail(target, Disposition.RATE_LIMITED, retry_after_s=40)
    assert resolving.refusal("pool") == ("rate_limited", BUSY_S)


def test_a_target_that_cools_and_is_full_is_waited_for_as_one_that_cools(resolving: Resolving) -> None:
    firsts(resolving, 4)
    for target in (ONE, TWO, TWO_B):
        resolving.fail(target, Disposition.OVERLOADED, retry_after_s=40)
    assert resolving.refusal("pool") == ("unavailable", 40)
    assert {view.reason for view in resolving.explain("pool").targets} == {"cooling: overloaded"}


def test_the_least_bad_is_never_a_full_one() -> None:
    resolving = Resolving(PROVIDERS + POOL + "policy: {on-exhausted: least-bad}")
    firsts(resolving, 4)
    assert resolving.refusal("pool") == ("busy", BUSY_S)
    resolving.fail(ONE, retry_after_s=10)
    assert resolving.refusal("pool") == ("rate_limited", BUSY_S)
    resolving.fail(TWO, retry_after_s=20)
    resolving.fail(TWO_B, retry_after_s=30)
    assert resolving.refusal("pool") == ("rate_limited", 10)


def test_the_least_bad_fills_up_too() -> None:
    resolving = Resolving(PROVIDERS + POOL + "policy: {on-exhausted: least-bad}")
    for target, wait_s in ((ONE, 10), (TWO, 20), (TWO_B, 30)):
        resolving.fail(target, retry_after_s=wait_s)
    assert firsts(resolving, 4) == [ONE, ONE, TWO, TWO_B]


def test_a_full_target_takes_no_turn_and_no_probe(resolving: Resolving) -> None:
    resolving.fail(ONE, retry_after_s=10)
    firsts(resolving, 2)
    resolving.clock.advance(10)
    probing = resolving.decide("pool")
    assert [(a.target.id, a.probe) for a in probing.attempts] == [(ONE, True)]
    turns = [resolving.rotation.turn(("pool:pool", priority)) for priority in (0, 1)]
    assert resolving.refusal("pool") == ("rate_limited", BUSY_S)
    assert [resolving.rotation.turn(("pool:pool", priority)) for priority in (0, 1)] == turns


def test_who_gets_no_probe_is_not_sent_to_a_full_target_either(resolving: Resolving) -> None:
    firsts(resolving, 4)
    for target in (ONE, TWO, TWO_B):
        resolving.fail(target, retry_after_s=10)
    resolving.clock.advance(10)
    assert resolving.refusal("pool", will_report=False) == ("rate_limited", BUSY_S)


# --- Reloads ---------------------------------------------------------------------------------------------------------


def test_what_is_in_flight_stays_when_the_limit_changes(resolving: Resolving) -> None:
    held = [resolving.decide("pool") for _ in range(2)]
    reload(resolving, "max-concurrent: 2", "max-concurrent: 3")
    assert [resolving.plan("pool")[0] == ONE for _ in range(2)] == [True, False]
    reload(resolving, "max-concurrent: 2", "max-concurrent: 1")
    resolving.close(held[0])
    assert resolving.plan("m")[0] != ONE, "two are left"


def test_a_limit_that_goes_away_fills_nobody_and_what_is_gone_is_freed(resolving: Resolving) -> None:
    held = [resolving.decide("pool") for _ in range(2)]
    reload(resolving, ", max-concurrent: 2", "")
    assert resolving.plan("pool")[0] == ONE
    asyncio.run(resolving.configuration.offer(b"{}"))
    for decision in held:
        fail(resolving, decision, ONE)
        end(resolving, decision, decision.attempts[1].target.id)
    assert ONE in resolving.in_flight.counts, "the third"
    assert sum(resolving.in_flight.counts.values()) == 1


# --- Leases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stream", "lease_s"), [(False, 600 + GRACE_S), (True, 600 + 3600 + GRACE_S)])
def test_a_decision_that_nobody_closes_counts_for_as_long_as_its_walk_may_take(
    resolving: Resolving, *, stream: bool, lease_s: float
) -> None:
    resolving.resolver.resolve(Query("pool", will_report=True, stream=stream))
    resolving.clock.advance(lease_s - 1)
    resolving.plan("free")
    assert resolving.in_flight.counts.get(ONE) == 1
    resolving.clock.advance(6)
    resolving.plan("free")
    assert ONE not in resolving.in_flight.counts


def test_whose_stream_broke_counts_for_a_while_longer(resolving: Resolving) -> None:
    dead, other = object(), object()
    for caller in (dead, other):
        resolving.resolver.resolve(Query("pool", will_report=True, stream=True), caller)
    resolving.resolver.caller_left(dead)
    resolving.clock.advance(GRACE_S - 1)
    assert ONE not in resolving.plan("pool"), "its reports may come on its next stream"
    resolving.clock.advance(6)
    assert resolving.plan("pool")[0] == ONE
    assert resolving.in_flight.counts[ONE] == 2


def test_what_was_to_end_sooner_is_not_kept_for_longer(resolving: Resolving) -> None:
    caller = object()
    resolving.resolver.resolve(Query("pool", will_report=True), caller)
    resolving.clock.advance(600 + GRACE_S - 5)
    resolving.resolver.caller_left(caller)
    resolving.clock.advance(6)
    resolving.plan("free")
    assert ONE not in resolving.in_flight.counts


PLAN = (Scopes(ONE, "one#0", "one/m#*"), Scopes(TWO, "two#0", "two/m#*"))


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MOST_COUNTED", 3)
    book = InFlight()
    for number in range(5):
        book.decided(f"d{number}", PLAN[:1], 100.0)
    assert (len(book), dict(book.counts)) == (3, {ONE: 3})


@pytest.mark.parametrize("caller", [None, "a dead edge"])
def test_the_book_does_not_slow_down_with_what_it_holds(caller: str | None) -> None:
    book = InFlight()
    began = time.process_time()
    for number in range(20_000):
        now = number / 1000
        book.forget(now)
        book.decided(f"d{number}", PLAN, now + 600, caller)
        if number % 2:
            book.failed(f"d{number}", ONE, Disposition.BROKEN)
            book.closed(f"d{number}")
    assert len(book) == 10_000
    book.caller_left("a dead edge", now)
    after = 10_000.0 if caller is None else now + GRACE_S + 5
    for left in range(10_000 - MOST_AT_ONCE, -1, -MOST_AT_ONCE):
        book.forget(after)
        assert len(book) == left, "whoever asks next does not wait for all of them"
    assert not book.counts
    assert time.process_time() - began < 2
