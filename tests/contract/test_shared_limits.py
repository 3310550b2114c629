"""Clients' limits over several resolvers and one real server: one count, whoever is asked and whoever is told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from resolver_service.adapters.stores_redis import limits as mirror
from resolver_service.adapters.stores_redis.link import ANSWER_S
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.decisions import Decision, Query
from resolver_service.app.leases import GRACE_S
from resolver_service.app.limits import COUNTED, ClientLimitError
from resolver_service.app.refusals import NoTargetError
from resolver_service.app.report import Closed, Ended, Failed
from resolver_service.domain.abilities import NO_NEEDS, Needs
from resolver_service.domain.limits import Allowance
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Clock, Resolving
from tests.support.sharing import resolvers, until
from tests.support.valkey import Store

KEY, FREE = (hashlib.sha256(name).digest() for name in (b"me", b"free"))
TARGET = "one/m#0"


def text(limits: str) -> str:
    return f"""
providers:
  - {{id: one, dialect: openai, base-url: "https://1.test", models: [m]}}
model-pools:
  pools:
    - {{id: pool, strategy: round-robin, members: [{{provider: one, model: m}}]}}
policy: {{timeouts: {{total: 100s, stream: 200s}}}}
clients:
  - {{id: team a, key-sha256: {KEY.hex()}, limits: {{{limits}}}}}
  - {{id: free, key-sha256: {FREE.hex()}}}
"""


class Running(Clock):
    def __call__(self) -> float:
        return time.monotonic()


class One:
    """A resolver."""

    _names = itertools.count(1)

    def __init__(self, state: RedisState, limits: str) -> None:
        self.state = state
        self.it = Resolving(text(limits), clock=Running(), stores=state.stores, boot=f"r{next(self._names)}")

    async def ask(
        self,
        model: str = "m",
        *,
        needs: Needs = NO_NEEDS,
        will_report: bool = True,
        counting: bool = False,
        caller: object = None,
        key: bytes = KEY,
    ) -> Decision:
        query = Query(model, counting, will_report and not counting, needs=needs, client_key=key)
        wanted = self.it.resolver.wanted(query)
        (granted,) = await self.state.take([wanted]) if wanted is not None else (None,)
        return self.it.resolver.resolve(query, caller, granted)

    async def refused(self, model: str = "m") -> tuple[str, float]:
        with pytest.raises(ClientLimitError) as caught:
            await self.ask(model)
        return caught.value.code, caught.value.retry_after_s

    async def left(self) -> int:
        """How many tokens the next one finds, which takes none and stays no longer."""
        decision = await self.ask()
        self.close(decision)
        assert decision.limits is not None
        assert decision.limits.tokens is not None
        return decision.limits.tokens.remaining

    def ended(self, decision: Decision, tokens: int) -> None:
        self.it.reports.apply(decision.id, Ended(TARGET, 0, tokens))

    def hung_up(self, decision: Decision) -> None:
        self.it.reports.apply(decision.id, Failed(TARGET, 0, Disposition.CANCELLED, None))

    def close(self, decision: Decision) -> None:
        self.it.reports.apply(decision.id, Closed())

    async def has_told(self) -> None:
        await until(lambda: not self.state.limits.untold and self.state._asking.under_way is None)


@pytest_asyncio.fixture
async def states(store: Store) -> AsyncIterator[list[RedisState]]:
    async with resolvers(store, 3) as its:
        yield its


def all_of(states: list[RedisState], limits: str) -> list[One]:
    return [One(state, limits) for state in states]


async def test_no_more_than_the_limit_over_all(states: list[RedisState]) -> None:
    them = all_of(states, "rpm: 20")
    asked = [one.ask() for _ in range(15) for one in them]
    came = await asyncio.gather(*asked, return_exceptions=True)
    refusals = [each for each in came if isinstance(each, ClientLimitError)]
    plans = [each for each in came if isinstance(each, Decision)]
    assert (len(plans), len(refusals)) == (20, 25)
    assert {each.limits.requests.remaining for each in plans if each.limits and each.limits.requests} == set(range(20))
    assert all(55 < each.retry_after_s <= 60 for each in refusals)


async def test_the_wait_that_is_told_is_exact(states: list[RedisState], store: Store) -> None:
    one, other, _ = all_of(states, "rpm: 1")
    decision = await one.ask()
    (_, at) = store.ask("ZREVRANGE", "forebay:limits:requests:team a", 0, 0, "WITHSCORES")
    seconds, micros = store.ask("TIME")
    _, wait_s = await other.refused()
    left_s = float(at) / 1000 + 60 - (int(seconds) + int(micros) / 1e6)
    assert left_s - 5 < wait_s <= left_s + 0.002
    assert decision.limits is not None
    assert decision.limits.requests == Allowance(1, 0, 60_000)


async def test_requests_under_way_are_one_count(states: list[RedisState]) -> None:
    first, second, third = all_of(states, "concurrent: 2")
    plans = [await first.ask(), await second.ask()]
    assert await third.refused() == ("client_concurrent", 1.0)
    # Its edge has gone over to another resolver: whoever is told may not be who was asked.
    third.close(plans[0])
    await third.has_told()
    await second.ask()
    assert (await first.refused())[0] == "client_concurrent"


async def test_what_was_told_before_a_question_counts_in_it(states: list[RedisState]) -> None:
    one, _, _ = all_of(states, "concurrent: 1")
    for _ in range(50):
        one.close(await one.ask())


async def test_tokens_are_held_and_settled_for_all(states: list[RedisState]) -> None:
    first, second, third = all_of(states, "tpm: 1000")
    plan = await first.ask(needs=Needs(input_tokens=600, output_tokens=400))
    assert await second.refused() == ("client_tokens", 1.0)
    for _ in range(2):
        third.ended(plan, 700)
        third.close(plan)
        await third.has_told()
    assert await second.left() == 300
    silent, gone, failed = [await second.ask(needs=Needs(input_tokens=50, output_tokens=20)) for _ in range(3)]
    assert await first.left() == 90
    first.ended(silent, 0)
    third.hung_up(gone)
    await third.has_told()
    for plan in (silent, gone, failed):
        first.close(plan)
    await first.has_told()
    assert await third.left() == 200


async def test_who_does_not_report_is_counted_at_once(states: list[RedisState]) -> None:
    first, second, _ = all_of(states, "tpm: 1000, rpm: 3, concurrent: 1")
    await first.ask(will_report=False, needs=Needs(input_tokens=400))
    await second.ask(counting=True)
    limits = (await first.ask()).limits
    assert limits is not None
    assert limits.tokens is not None
    assert (limits.tokens.remaining, limits.requests) == (600, Allowance(3, 0, limits.requests.reset_ms))  # type: ignore[union-attr]
    assert (await second.refused())[0] == "client_requests"


async def test_a_refusal_takes_no_turn_and_no_probe(states: list[RedisState], store: Store) -> None:
    first, second, _ = all_of(states, "rpm: 1")
    await first.ask("pool")
    for _ in range(3):
        await second.refused("pool")
    assert store.ask("HGET", "forebay:turns", "pool:pool\n0") == b"1"
    assert second.state.stores.rotation.turn(("pool:pool", 0)) == 0
    assert store.ask("KEYS", "forebay:probe:*") == []


async def test_counting_takes_no_turn(states: list[RedisState], store: Store) -> None:
    one, _, _ = all_of(states, "rpm: 5")
    await one.ask("pool", counting=True)
    assert one.state.stores.rotation.turn(("pool:pool", 0)) == 0
    assert not store.ask("EXISTS", "forebay:turns")


async def test_what_gets_no_plan_counts_for_nothing(states: list[RedisState]) -> None:
    first, second, _ = all_of(states, "rpm: 1, concurrent: 1, tpm: 10")
    first.it.drains.put(TARGET, drained=True)
    for will_report in (True, False):
        with pytest.raises(NoTargetError):
            await first.ask(needs=Needs(input_tokens=5), will_report=will_report)
    await first.has_told()
    first.it.drains.put(TARGET, drained=False)
    await until(lambda: not second.it.drains.drained())
    assert await second.left() == 10


async def test_what_nobody_waits_for_any_more_counts_for_nothing(states: list[RedisState], store: Store) -> None:
    first, second, _ = all_of(states, "concurrent: 1")
    with store.frozen():
        asking = asyncio.create_task(first.ask())
        while first.state._asking.under_way is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # It is on its way.
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    await first.has_told()
    await second.ask()


async def test_a_changed_limit_holds_at_once(states: list[RedisState]) -> None:
    first, second, _ = all_of(states, "rpm: 5")
    for _ in range(2):
        await first.ask()
    await second.it.configuration.offer(text("rpm: 2, concurrent: 9").encode())
    assert (await second.refused())[0] == "client_requests"
    await second.it.configuration.offer(text("rpm: 9, concurrent: 2").encode())
    assert (await second.refused())[0] == "client_concurrent"
    await first.ask()


async def test_who_has_no_limits_leaves_no_trace(states: list[RedisState], store: Store) -> None:
    one, _, _ = all_of(states, "rpm: 1")
    decision = await one.ask("pool", key=FREE)
    one.ended(decision, 10)
    one.close(decision)
    assert not decision.id.endswith(COUNTED)
    assert not one.state.limits.untold
    assert store.ask("KEYS", "forebay:limits:*") == []


async def test_all_of_it_expires(states: list[RedisState], store: Store) -> None:
    one, _, _ = all_of(states, "rpm: 9, tpm: 1000, concurrent: 9")
    began = time.monotonic()
    one.ended(await one.ask(needs=Needs(input_tokens=5)), 10)
    one.close(await one.ask(needs=Needs(input_tokens=5)))
    await one.ask(needs=Needs(input_tokens=5), will_report=False)
    await one.has_told()
    keys = store.ask("KEYS", "forebay:limits:*")
    assert len(keys) == 6
    for key in keys:
        assert 0 < store.ask("PTTL", key) <= (100 + GRACE_S) * 1000
    # The sum, and an entry for what came within a tenth of a second.
    entries = store.ask("ZCARD", "forebay:limits:requests:team a") - 1
    assert 1 <= entries <= 1 + int((time.monotonic() - began) / 0.1)


# --- Who dies --------------------------------------------------------------------------------------------------------


async def test_a_resolver_that_starts_anew_knows_what_was_used(store: Store) -> None:
    async with resolvers(store, 1) as (state,):
        one = One(state, "rpm: 2, concurrent: 2")
        first, _ = await one.ask(), await one.ask()
    async with resolvers(store, 1) as (state,):
        one = One(state, "rpm: 9, concurrent: 2")
        assert (await one.refused())[0] == "client_concurrent"
        one.close(first)
        limits = (await one.ask()).limits
        assert limits is not None
        assert limits.requests is not None
        assert limits.requests.remaining == 6


async def test_what_is_told_last_is_told(store: Store) -> None:
    async with resolvers(store, 1) as (state,):
        one = One(state, "concurrent: 1")
        one.close(await one.ask())
    assert store.ask("ZCARD", "forebay:limits:ends:team a") == 0


async def test_a_dead_edge_holds_nothing_for_long(states: list[RedisState], store: Store) -> None:
    first, second, _ = all_of(states, "concurrent: 1, tpm: 10")
    plan = await first.ask(caller="edge", needs=Needs(input_tokens=10))
    (before,) = store.ask("ZRANGE", "forebay:limits:ends:team a", 0, -1, "WITHSCORES")[1::2]
    first.it.resolver.caller_left("edge")
    await first.has_told()
    (after,) = store.ask("ZRANGE", "forebay:limits:ends:team a", 0, -1, "WITHSCORES")[1::2]
    assert 59_000 < float(before) - float(after) <= 60_000
    store.ask("ZADD", "forebay:limits:ends:team a", "LT", float(after) - 1000, plan.id)
    first.state.limits.orphaned([plan.id])  # Which makes nothing longer.
    await first.has_told()
    assert store.ask("ZSCORE", "forebay:limits:ends:team a", plan.id) == float(after) - 1000
    store.ask("ZADD", "forebay:limits:ends:team a", 1, plan.id)  # Its time is over.
    assert await second.left() == 10


async def test_what_died_with_its_resolver_holds_nothing_for_long_either(store: Store) -> None:
    """Nobody is left to tell of it. It was to take 300 s."""
    ends = "forebay:limits:ends:team a"
    async with resolvers(store, 2) as (dying, living):
        plan = await One(dying, "concurrent: 1, tpm: 10").ask(caller="edge", needs=Needs(input_tokens=10))
        one = One(living, "concurrent: 1, tpm: 10")
        assert (await one.refused())[0] in ("client_concurrent", "client_tokens")
        seconds, _ = store.ask("TIME")
        assert float(store.ask("ZSCORE", ends, plan.id)) <= (int(seconds) + 1 + mirror.LEASE_S) * 1000
        store.ask("ZADD", ends, 1, plan.id)  # So long is over.
        assert await one.left() == 10
        # An edge that was living after all.
        one.ended(plan, 7)
        one.close(plan)
        await one.has_told()
        assert await one.left() == 3


async def test_who_lives_renews_what_is_under_way(
    states: list[RedisState], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "RENEWED_S", 0.01)
    ends = "forebay:limits:ends:team a"
    first, second, third = all_of(states, "concurrent: 3, tpm: 1000")
    under_way, closed = [await first.ask(caller="edge") for _ in range(2)]
    gone = await second.ask(caller="other")
    first.close(closed)
    second.it.resolver.caller_left("other")
    for one in (first, second):
        await one.has_told()
    for decision in (under_way, gone):
        store.ask("ZADD", ends, "XX", 1, decision.id)

    def renewed() -> bool:
        return float(store.ask("ZSCORE", ends, under_way.id) or 0) > 1

    await until(renewed)
    await third.ask()
    left = {each.decode() for each in store.ask("ZRANGE", ends, 0, -1)}
    assert under_way.id in left
    assert not left & {closed.id, gone.id}
    first.close(under_way)
    await first.has_told()
    first.state.limits.renew()
    assert not first.state.limits.untold


async def test_nobody_waits_for_a_clock_that_was_set_back(states: list[RedisState], store: Store) -> None:
    one, _, _ = all_of(states, "rpm: 1")
    await one.ask()
    seconds, _ = store.ask("TIME")
    ((entry, _),) = [store.ask("ZREVRANGE", "forebay:limits:requests:team a", 0, 0, "WITHSCORES")]
    store.ask("ZADD", "forebay:limits:requests:team a", int(seconds) * 1000 + 3_600_000, entry)
    await one.ask()


# --- Losing the server -----------------------------------------------------------------------------------------------


async def test_without_the_server_each_counts_for_itself_and_then_all_of_it_counts_once(
    store: Store, states: list[RedisState]
) -> None:
    first, second, third = them = all_of(states, "rpm: 3, tpm: 1000")
    open_before = await first.ask(needs=Needs(input_tokens=100))
    store.stop()
    try:
        # What it let in with the others counts, here as well.
        closed = [await first.ask(needs=Needs(input_tokens=10)) for _ in range(2)]
        assert (await first.refused())[0] == "client_requests"
        still_open = await second.ask(needs=Needs(input_tokens=200))
        first.ended(open_before, 70)
        first.close(open_before)
        for decision in closed:
            first.ended(decision, 20)
            first.close(decision)
    finally:
        store.start()
    await until(lambda: not any(one.state.is_degraded for one in them))
    await second.has_told()
    await first.has_told()
    assert (await third.refused())[0] == "client_requests"
    await third.it.configuration.offer(text("rpm: 5, tpm: 1000").encode())
    limits = (await third.ask()).limits
    assert limits is not None
    assert limits.requests is not None
    assert limits.tokens is not None
    assert (limits.requests.remaining, limits.tokens.remaining) == (0, 1000 - 70 - 2 * 20 - 200)
    third.ended(still_open, 150)
    third.close(still_open)
    await third.has_told()
    await third.it.configuration.offer(text("rpm: 6, tpm: 1000").encode())
    assert await third.left() == 1000 - 70 - 2 * 20 - 150


async def test_a_question_that_was_answered_too_late_counts_once(store: Store) -> None:
    async with resolvers(store, 1, ANSWER_S) as (state,):
        one = One(state, "rpm: 5, concurrent: 2, tpm: 100")
        await until(lambda: not state.is_degraded)
        with store.frozen():
            plan = await one.ask(needs=Needs(input_tokens=10))
            assert state.is_degraded
        await until(lambda: not state.is_degraded)
        await one.has_told()
        limits = (await one.ask()).limits
        assert limits is not None
        assert limits.requests is not None
        assert limits.tokens is not None
        assert (limits.requests.remaining, limits.tokens.remaining) == (3, 90)
        assert (await one.refused())[0] == "client_concurrent"
        one.close(plan)
        await one.ask()


async def test_what_is_not_told_yet_is_bounded(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr(mirror, "MOST_UNTOLD", 4)
    it = mirror.LimitsMirror(time.monotonic, lambda: None)
    for number in range(6):
        it.closed(f"{number}")
    events = it.taken()
    assert [what[1] for _, what, _ in events] == ["2", "3", "4", "5"]
    it.closed("6")
    it.untell(events)
    assert [what[1] for _, what, _ in it.untold] == ["3", "4", "5", "6"]
