"""Several resolvers over one real server: what no two may have, and what all get to know."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from resolver_service.adapters.stores_redis import bindings
from resolver_service.adapters.stores_redis.link import ANSWER_S
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.ports import Granted, Wanted
from resolver_service.domain.bindings import Binding
from resolver_service.domain.catalog import Group
from resolver_service.domain.health import (
    NEWEST_BELIEVED,
    WELL,
    Availability,
    Health,
    failed,
    probe_returned,
    probe_taken,
    succeeded,
)
from resolver_service.domain.policy import LONGEST_COOL_DOWN_S, CoolDownBounds, Disposition
from resolver_service.domain.selection import TurnKey, claim, order
from tests.support.catalogs import cluster, member, pool, raw_member
from tests.support.sharing import resolvers, until
from tests.support.valkey import Store

SCOPE = "one/m#0"


@pytest_asyncio.fixture
async def both(store: Store) -> AsyncIterator[list[RedisState]]:
    async with resolvers(store) as states:
        yield states


def failing(state: RedisState, disposition: Disposition, generation: int | None = None) -> Health:
    """A failed attempt is reported to this resolver; the health that it makes of it."""
    health = state.stores.health
    after = failed(
        health.get(SCOPE),
        generation=health.latest if generation is None else generation,
        disposition=disposition,
        retry_after_s=None,
        now=time.monotonic(),
        bounds=CoolDownBounds(),
        latest=health.latest,
    )
    health.put(SCOPE, after)
    return after


def public(state: RedisState) -> tuple[int, Disposition | None, dict[str, tuple[int, int]]]:
    health = state.stores.health.get(SCOPE)
    return (
        health.generation,
        health.reason,
        {family: (tally.failures, tally.cooldowns) for family, tally in health.tallies.items()},
    )


# --- Turns -----------------------------------------------------------------------------------------------------------

NESTED = cluster(
    "c",
    member(pool("p1", member("x", 2), member("y")), 2),
    member(pool("p2", member("u"), member("v"), member("w")), 1),
    raw_member("raw", weight=3),
)
LONG = cluster(
    "long",
    member(pool("p1", member("x"), member("y")), 97),
    member(pool("p2", member("u"), member("v")), 89),
    *(raw_member(f"raw{number}", weight=83 + number) for number in range(10)),
)
"""Its turns repeat after so many that they do not go with a request."""


@pytest.mark.parametrize("entry", [NESTED, LONG], ids=["one step", "two steps"])
async def test_every_turn_is_one_requests(both: list[RedisState], entry: Group) -> None:
    wanted = claim(entry, lambda target: True)

    async def ask(state: RedisState, name: str, rounds: int) -> list[Granted]:
        granted: list[Granted] = []
        for number in range(rounds):
            granted += await state.take([Wanted(f"{name}-{number}-{at}", wanted) for at in range(3)])
        return granted

    of_each = await asyncio.gather(*(ask(state, f"{at}", 40) for at, state in enumerate(both) for _ in range(2)))
    granted = [each for of_one in of_each for each in of_one]
    by_key: dict[TurnKey, list[int]] = {}
    for each in granted:
        # What was taken is what the order takes if it is told the turns.
        assert order(entry, lambda target: True, lambda key, its=each.turns: its.get(key, 0)).took == tuple(each.turns)
        for key, number in each.turns.items():
            by_key.setdefault(key, []).append(number)
    assert len(by_key["cluster:" + entry.id, 0]) == 480
    for numbers in by_key.values():
        assert sorted(numbers) == list(range(len(numbers)))


async def test_turns_go_on_where_they_were(store: Store) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    async with resolvers(store, 1) as (first,):
        for number in range(3):
            await first.take([Wanted(f"a{number}", wanted)])
    async with resolvers(store, 1) as (second,):
        assert second.stores.rotation.turn(("pool:p", 0)) == 3
        (granted,) = await second.take([Wanted("b", wanted)])
        assert granted.turns == {("pool:p", 0): 3}


async def test_turns_that_were_taken_alone_are_told(both: list[RedisState]) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    for state in both:
        state._contact.is_degraded = True
        await state.take([Wanted(f"{number}", wanted) for number in range(5)])
    await until(lambda: not any(state.is_degraded for state in both))
    (granted,) = await both[0].take([Wanted("next", wanted)])
    assert granted.turns == {("pool:p", 0): 10}


# --- Health ----------------------------------------------------------------------------------------------------------


async def test_what_one_learns_the_others_know(both: list[RedisState]) -> None:
    first, second = both
    cooled = failing(first, Disposition.RATE_LIMITED)
    await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)
    there = second.stores.health.get(SCOPE)
    assert there.cooling_until_at is not None
    assert cooled.cooling_until_at is not None
    assert there.cooling_until_at == pytest.approx(cooled.cooling_until_at, abs=2)
    assert public(first) == public(second)
    second.stores.health.put(SCOPE, succeeded(there, generation=there.generation, latest=there.generation))
    await until(lambda: first.stores.health.get(SCOPE).cooling_until_at is None)
    assert first.stores.health.latest > there.generation


async def test_clocks_of_resolvers_need_not_agree(store: Store) -> None:
    ahead_s = 3_600.0
    async with resolvers(store, 2, clocks=[lambda: time.monotonic() + ahead_s]) as (skewed, other):
        cooled = failing(other, Disposition.RATE_LIMITED)
        await until(lambda: skewed.stores.health.get(SCOPE).cooling_until_at is not None)
        there = skewed.stores.health.get(SCOPE)
        left_s = there.retry_after_s(time.monotonic() + ahead_s)
        assert left_s == pytest.approx(cooled.retry_after_s(time.monotonic()), abs=2)
        later = succeeded(there, generation=there.generation, latest=there.generation)
        skewed.stores.health.put(SCOPE, later)
        await until(lambda: other.stores.health.get(SCOPE).cooling_until_at is None)


async def test_refusals_of_one_moment_are_one_at_all_resolvers(store: Store) -> None:
    async with resolvers(store, 4) as states:
        for state in states:
            failing(state, Disposition.RATE_LIMITED, generation=0)
        await until(lambda: len({str(public(state)) for state in states}) == 1)
        assert public(states[0])[1:] == (Disposition.RATE_LIMITED, {"rate": (1, 1)})


async def test_failures_in_a_row_are_counted_together(both: list[RedisState]) -> None:
    for number in range(5):
        failing(both[number % 2], Disposition.SERVER_ERROR)
        count = {"server-error": (number + 1, int(number == 4))}
        await until(lambda c=count: all(public(state)[2] == c for state in both))  # type: ignore[misc]
    assert all(state.stores.health.get(SCOPE).cooling_until_at is not None for state in both)


async def test_failures_of_one_moment_add_up(both: list[RedisState]) -> None:
    for state in both:
        failing(state, Disposition.SERVER_ERROR)
    await until(lambda: all(public(state)[2] == {"server-error": (2, 0)} for state in both))


async def test_a_success_clears_what_was_counted_elsewhere(both: list[RedisState]) -> None:
    first, second = both
    failing(first, Disposition.SERVER_ERROR)
    await until(lambda: bool(second.stores.health.get(SCOPE).tallies))
    second.stores.health.put(SCOPE, succeeded(second.stores.health.get(SCOPE), generation=0))
    await until(lambda: not first.stores.health.get(SCOPE).tallies)


async def test_a_change_has_a_generation_that_no_resolver_has_handed_out(both: list[RedisState]) -> None:
    first, second = both
    failing(first, Disposition.RATE_LIMITED)
    await until(lambda: second.stores.health.latest > 0)
    handed_out = max(state.stores.health.latest for state in both)
    second.stores.health.put("two/m#0", Health(generation=handed_out + 1))
    await until(lambda: first.stores.health.get("two/m#0").generation > handed_out)


async def test_drains_are_everybodys(both: list[RedisState]) -> None:
    first, second = both
    first.stores.drains.put(SCOPE, drained=True)
    await until(lambda: SCOPE in second.stores.drains.drained())
    second.stores.drains.put(SCOPE, drained=False)
    await until(lambda: SCOPE not in first.stores.drains.drained())


# --- Probes ----------------------------------------------------------------------------------------------------------


async def cooled(states: list[RedisState]) -> None:
    states[0].stores.health.put(SCOPE, Health(1, time.monotonic() - 1, Disposition.RATE_LIMITED))
    await until(lambda: all(state.stores.health.get(SCOPE).cooling_until_at for state in states))


async def test_one_request_of_all_probes(both: list[RedisState]) -> None:
    await cooled(both)
    granted = await asyncio.gather(*(s.take([Wanted(f"{at}", None, (SCOPE,))]) for at, s in enumerate(both)))
    assert sorted(len(each.probes) for (each,) in granted) == [0, 1]
    loser = both[0 if granted[1][0].probes else 1]
    assert loser.stores.health.get(SCOPE).probe_until_at > time.monotonic() + 30
    (again,) = await loser.take([Wanted("again", None, (SCOPE,))])
    assert not again.probes


async def test_a_probe_that_comes_back_is_the_next_ones(both: list[RedisState]) -> None:
    await cooled(both)
    first, second = both
    (granted,) = await first.take([Wanted("a", None, (SCOPE,))])
    assert granted.probes == {SCOPE}
    taken = probe_taken(first.stores.health.get(SCOPE), holder="a", now=time.monotonic())
    first.stores.health.put(SCOPE, taken)
    first.stores.health.put(SCOPE, probe_returned(taken, holder="a"))

    async with asyncio.timeout(20):
        while not (await second.take([Wanted("b", None, (SCOPE,))]))[0].probes:
            await asyncio.sleep(0.01)
    first.give_back("a", [SCOPE])  # It is not the first one's any more.
    (granted,) = await first.take([Wanted("c", None, (SCOPE,))])
    assert not granted.probes


# --- Bindings --------------------------------------------------------------------------------------------------------


async def test_what_was_made_is_found_by_all(both: list[RedisState], store: Store) -> None:
    first, second = both
    made = Binding("one/m#0", "pool", 1_700_000_000.0)
    first.stores.bindings.put(b"key", made)
    await until(lambda: bool(store.ask("EXISTS", "forebay:bound:6b6579")))
    assert second.stores.bindings.get(b"key") is None
    (granted,) = await second.take([Wanted("a", binding=b"key")])
    assert (granted.turns, granted.probes) == ({}, frozenset())
    assert second.stores.bindings.get(b"key") == made
    assert 29 * 86400 < store.ask("TTL", "forebay:bound:6b6579") <= 30 * 86400
    second.stores.bindings.forget(b"key")
    await until(lambda: not store.ask("EXISTS", "forebay:bound:6b6579"))


async def test_those_that_were_made_first_go_when_there_are_too_many(
    both: list[RedisState], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "MOST_SHARED", 3)
    for number in range(5):
        both[number % 2].stores.bindings.put(b"%d" % number, Binding("one/m#0", "pool", 1_700_000_000.0))
        await until(lambda: not both[0]._mirrors.bindings.untold and not both[1]._mirrors.bindings.untold)
    assert sorted(store.ask("KEYS", "forebay:bound:*")) == [b"forebay:bound:%x" % ord(n) for n in "234"]
    store.ask("ZADD", "forebay:bindings", 1, b"that is over")
    both[0].stores.bindings.forget(b"3")
    await until(lambda: not both[0]._mirrors.bindings.untold)
    assert store.ask("ZRANGE", "forebay:bindings", 0, -1) == [b"%x" % ord(n) for n in "24"]


@pytest.mark.parametrize("said", [b"", b"x", b"[1]"])
async def test_nothing_is_bound_by_what_makes_no_sense(both: list[RedisState], store: Store, said: bytes) -> None:
    store.ask("SET", "forebay:bound:6b6579", said)
    await both[0].take([Wanted("a", binding=b"key"), Wanted("b", binding=b"other")])
    assert both[0].stores.bindings.get(b"key") is None
    assert not both[0].is_degraded


# --- Losing the server -----------------------------------------------------------------------------------------------


async def test_what_was_missed_is_looked_for(store: Store, both: list[RedisState]) -> None:
    """A message that nobody got: a listener whose connection breaks gets none in between."""
    first, second = both
    store.ask("CLIENT", "KILL", "TYPE", "pubsub")
    failing(first, Disposition.RATE_LIMITED)
    await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)


async def test_a_change_that_nobody_was_told_of_is_found(store: Store, both: list[RedisState]) -> None:
    state = '{"g":"7","t":{"rate":[1,1]},"u":99999999999999,"r":"rate-limited"}'
    store.ask("HSET", "forebay:health", SCOPE, state)
    store.ask("HINCRBY", "forebay:numbers", "changes", 1)
    await until(lambda: all(s.stores.health.get(SCOPE).generation == 7 for s in both))


async def test_a_server_that_is_gone_is_done_without(store: Store, both: list[RedisState]) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    store.stop()
    try:
        for state in both:
            granted = await state.take([Wanted(f"{number}", wanted) for number in range(4)])
            assert [each.turns["pool:p", 0] for each in granted] == [0, 1, 2, 3]
        await until(lambda: all(state.is_degraded for state in both))
        failing(both[0], Disposition.RATE_LIMITED)
        both[1].stores.drains.put("two/m#0", drained=True)
    finally:
        store.start()
    await until(lambda: not any(state.is_degraded for state in both))
    await until(lambda: both[1].stores.health.get(SCOPE).cooling_until_at is not None)
    await until(lambda: "two/m#0" in both[0].stores.drains.drained())
    (granted,) = await both[0].take([Wanted("next", wanted)])
    assert granted.turns == {("pool:p", 0): 8}
    assert [state.losses for state in both] == [1, 1]


async def test_a_frozen_server_is_waited_for_once(store: Store) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    async with resolvers(store, 1, ANSWER_S) as (state,):
        await until(lambda: not state.is_degraded)
        with store.frozen():
            granted = await state.take([Wanted("a", wanted)])
            assert state.is_degraded
            granted = [*granted, *(await state.take([Wanted("b", wanted)]))]
            assert [each.turns["pool:p", 0] for each in granted] == [0, 1]
        await until(lambda: not state.is_degraded)


async def test_a_server_that_has_forgotten_everything_is_told(store: Store, both: list[RedisState]) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    await both[0].take([Wanted(f"{number}", wanted) for number in range(4)])
    failing(both[0], Disposition.RATE_LIMITED)
    await until(lambda: both[1].stores.health.get(SCOPE).cooling_until_at is not None)
    store.ask("FLUSHALL")
    store.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: bool(store.ask("HGET", "forebay:health", SCOPE)))
    await until(lambda: store.ask("HGET", "forebay:turns", "pool:p\n0") == b"4")
    await until(lambda: all(state.stores.health.get(SCOPE).cooling_until_at for state in both))


@pytest.mark.parametrize("garbage", ["nothing", "{}", '{"g":"x"}', '{"g":"1","r":"grumpy"}', "[1]"])
async def test_what_makes_no_sense_is_passed_over(store: Store, garbage: str) -> None:
    store.ask("SET", "forebay:schema", 1)
    store.ask("HSET", "forebay:health", SCOPE, garbage)
    store.ask("HSET", "forebay:turns", "no key", "no number")
    store.ask("PUBLISH", "forebay:changes", garbage)
    async with resolvers(store, 1) as (state,):
        assert not state.is_degraded
        assert state.stores.health.get(SCOPE) is WELL
        store.ask("PUBLISH", "forebay:changes", garbage)
        failing(state, Disposition.RATE_LIMITED)
        await until(lambda: public(state)[1] is Disposition.RATE_LIMITED)
        assert not state.is_degraded


async def test_another_schema_is_left_alone(store: Store) -> None:
    store.ask("SET", "forebay:schema", 2)
    async with resolvers(store, 1) as (state,):
        assert state.is_degraded
        failing(state, Disposition.RATE_LIMITED)
    assert store.ask("KEYS", "*") == [b"forebay:schema"]


async def test_garbage_in_the_store_keeps_nobody_from_what_comes(store: Store) -> None:
    for garbage in ("nothing", "{}", '{"g":"x"}', "[1]", '{"g":"0","t":{"rate":[]}}', '{"g":"0","t":7,"u":"soon"}'):
        store.ask("FLUSHALL")
        async with resolvers(store, 2) as (first, second):
            store.ask("HSET", "forebay:health", SCOPE, garbage)
            failing(first, Disposition.RATE_LIMITED)
            await until(lambda its=second: public(its)[1] is Disposition.RATE_LIMITED)  # type: ignore[misc]
            assert (first.losses, second.losses) == (0, 0), garbage


async def test_an_answer_that_is_none_of_ours_ends_nothing(store: Store, both: list[RedisState]) -> None:
    """Of another version, perhaps, or of somebody who writes into the store."""
    first, second = both
    store.ask("HSET", "forebay:health", SCOPE, '{"g":"9","t":{"rate":[1,1]},"u":99999999999999,"r":"grumpy"}')
    failing(first, Disposition.SERVER_ERROR)
    await until(lambda: store.ask("HGET", "forebay:numbers", "changes") == b"1")
    second.stores.drains.put(SCOPE, drained=True)
    await until(lambda: SCOPE in first.stores.drains.drained())
    first.stores.drains.put(SCOPE, drained=False)
    await until(lambda: SCOPE not in second.stores.drains.drained())


@pytest.mark.parametrize("generation", ["9007199254740993", "9" * 40, "-3"])
async def test_generations_stay_within_what_can_be_told(store: Store, both: list[RedisState], generation: str) -> None:
    store.ask("HSET", "forebay:health", SCOPE, f'{{"g":"{generation}","t":{{"rate":[1,1]}},"u":1,"r":"rate-limited"}}')
    store.ask("HSET", "forebay:numbers", "latest", generation, "changes", 1)
    for state in both:
        await until(lambda its=state: its.stores.health.get(SCOPE).cooling_until_at is not None)  # type: ignore[misc]
        assert 0 <= state.stores.health.get(SCOPE).generation <= state.stores.health.latest <= NEWEST_BELIEVED


@pytest.mark.parametrize(("field", "value"), [("latest", "many"), ("changes", "many")])
async def test_numbers_that_are_none_are_a_store_that_does_not_answer(store: Store, field: str, value: str) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    store.ask("HSET", "forebay:numbers", field, value)
    async with resolvers(store, 1) as (state,):
        assert state.is_degraded
        (granted,) = await state.take([Wanted("a", wanted)])
        assert granted.turns == {("pool:p", 0): 0}
        store.ask("HDEL", "forebay:numbers", field)
        await until(lambda: not state.is_degraded)


async def test_a_clock_of_the_server_that_is_put_back_lengthens_no_cool_down_for_ever(store: Store) -> None:
    async with resolvers(store, 1) as (state,):
        store.ask("HSET", "forebay:health", SCOPE, '{"g":"7","t":{},"u":99999999999999,"r":"rate-limited"}')
        store.ask("HINCRBY", "forebay:numbers", "changes", 1)
        await until(lambda: state.stores.health.get(SCOPE).generation == 7)
        assert state.stores.health.get(SCOPE).retry_after_s(time.monotonic()) <= LONGEST_COOL_DOWN_S


async def test_what_the_server_forgets_while_it_runs_is_told_again(store: Store, both: list[RedisState]) -> None:
    """All of it, with no connection broken by which one would notice."""
    first, second = both
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    made = Binding("one/m#0", "pool", 1_700_000_000.0)
    await first.take([Wanted(f"{number}", wanted) for number in range(4)])
    failing(first, Disposition.RATE_LIMITED)
    first.stores.drains.put("two/m#0", drained=True)
    first.stores.bindings.put(b"key", made)
    await until(lambda: "two/m#0" in second.stores.drains.drained())
    await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)
    known = public(first)
    store.ask("FLUSHALL")
    await until(
        lambda: bool(store.ask("HGET", "forebay:health", SCOPE)) and bool(store.ask("SMEMBERS", "forebay:drains"))
    )
    await until(lambda: store.ask("HGET", "forebay:turns", "pool:p\n0") == b"4")
    await until(lambda: bool(store.ask("EXISTS", "forebay:bound:6b6579")))
    async with resolvers(store, 1) as (third,):
        for state in (first, second, third):
            assert public(state) == known
            assert state.stores.drains.drained() == {"two/m#0"}


async def test_a_copy_with_older_data_that_takes_over_is_told_what_it_missed(store: Store) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    async with resolvers(store, 2) as (first, second):
        await first.take([Wanted("a", wanted)])
        failing(first, Disposition.RATE_LIMITED)
        await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)
        older = {key: store.ask("HGETALL", key) for key in (b"forebay:turns", b"forebay:health", b"forebay:numbers")}
        health = first.stores.health
        now, was = time.monotonic(), health.get(SCOPE)
        health.put(SCOPE, succeeded(was, generation=was.generation, latest=health.latest))
        failed_again = failing(first, Disposition.QUOTA)
        await until(lambda: second.stores.health.get(SCOPE).reason is Disposition.QUOTA)
        first.stores.drains.put("two/m#0", drained=True)
        await until(lambda: "two/m#0" in second.stores.drains.drained())
        await second.take([Wanted("b", wanted)])
        store.ask("FLUSHALL")
        for key, pairs in older.items():
            store.ask("HSET", key, *(part for pair in pairs.items() for part in pair))
        store.ask("CLIENT", "KILL", "TYPE", "pubsub")
        store.ask("CLIENT", "KILL", "TYPE", "normal")
        await until(lambda: bool(store.ask("SMEMBERS", "forebay:drains")))
        await until(lambda: not first.is_degraded and not second.is_degraded)
        assert failed_again.cooling_until_at is not None
        for state in (first, second):
            after = state.stores.health.get(SCOPE)
            assert after.reason is Disposition.QUOTA
            assert after.cooling_until_at is not None
            assert after.cooling_until_at - now > 290
            assert "two/m#0" in state.stores.drains.drained()
        (granted,) = await second.take([Wanted("c", wanted)])
        assert granted.turns["pool:p", 0] >= 2, "a turn was taken twice"


async def test_what_changes_while_a_change_is_told_is_told_too(store: Store) -> None:
    """A success that the server hears of late, and at once thereafter a failure: the cool-down must not be lost."""
    async with resolvers(store, 2) as (first, second):
        second.stores.health.put("two/m#0", Health(generation=40))  # Generations here are far from those there.
        failing(first, Disposition.RATE_LIMITED)
        await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)
        health = first.stores.health
        was = health.get(SCOPE)
        with store.frozen():
            health.put(SCOPE, succeeded(was, generation=was.generation, latest=was.generation))
            await asyncio.sleep(0)  # It is on its way to the server.
            await asyncio.sleep(0.05)
            failing(first, Disposition.QUOTA)
        await until(lambda: second.stores.health.get(SCOPE).reason is Disposition.QUOTA)
        await until(lambda: public(first) == public(second))
        assert first.stores.health.get(SCOPE).retry_after_s(time.monotonic()) > 250


async def test_a_message_that_is_older_than_what_is_known_changes_nothing(store: Store, both: list[RedisState]) -> None:
    first, second = both
    failing(first, Disposition.RATE_LIMITED)
    await until(lambda: second.stores.health.get(SCOPE).cooling_until_at is not None)
    before = store.ask("HGET", "forebay:health", SCOPE).decode()
    was = second.stores.health.get(SCOPE)
    second.stores.health.put(SCOPE, succeeded(was, generation=was.generation, latest=second.stores.health.latest))
    await until(lambda: first.stores.health.get(SCOPE).cooling_until_at is None)
    mirror = first._mirrors.health
    mirror.heard(SCOPE, before.encode(), 0.0)
    assert first.stores.health.get(SCOPE).cooling_until_at is None


# --- Probes that are not needed --------------------------------------------------------------------------------------


async def test_a_probe_that_comes_back_is_known_to_who_was_refused_it(both: list[RedisState]) -> None:
    await cooled(both)
    first, second = both
    (granted,) = await first.take([Wanted("a", None, (SCOPE,))])
    assert granted.probes == {SCOPE}
    await second.take([Wanted("b", None, (SCOPE,))])
    assert second.stores.health.get(SCOPE).availability(time.monotonic()) is Availability.OUT
    first.give_back("a", [SCOPE])
    await until(lambda: second.stores.health.get(SCOPE).availability(time.monotonic()) is Availability.PROBE)


async def test_the_probe_of_whoever_has_left_is_the_next_ones(store: Store, both: list[RedisState]) -> None:
    await cooled(both)
    first, second = both
    with store.frozen():
        asking = asyncio.create_task(first.take([Wanted("a", None, (SCOPE,))]))
        await asyncio.sleep(0.02)
        asking.cancel()
    async with asyncio.timeout(20):
        while not (await second.take([Wanted("b", None, (SCOPE,))]))[0].probes:
            await asyncio.sleep(0.01)


async def test_a_probe_ends_with_the_state_that_it_was_of(store: Store, both: list[RedisState]) -> None:
    await cooled(both)
    first, second = both
    await first.take([Wanted("a", None, (SCOPE,))])
    was = second.stores.health.get(SCOPE)
    second.stores.health.put(SCOPE, succeeded(was, generation=was.generation, latest=second.stores.health.latest))
    await until(lambda: not store.ask("EXISTS", f"forebay:probe:{SCOPE}"))


async def test_what_is_given_back_while_the_server_is_away_does_not_pile_up(both: list[RedisState]) -> None:
    (state, _) = both
    state._contact.is_degraded = True
    for number in range(100):
        (granted,) = await state.take([Wanted(f"{number}", None, (SCOPE,))])
        state.give_back(granted.holder, granted.probes)
    assert not state._mirrors.probes.released


# --- What happens to servers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal")])
async def test_nobody_notices_that_the_server_forgot_the_scripts_or_closed_idle_connections(
    store: Store, both: list[RedisState], command: tuple[str, ...]
) -> None:
    wanted = claim(pool("p", member("x"), member("y")), lambda target: True)
    await both[0].take([Wanted("a", wanted)])
    with contextlib.suppress(Exception):  # It is one of those that are closed.
        store.ask(*command)
    await asyncio.sleep(0.05)  # For the news of it to arrive, of which nobody is told.
    (granted,) = await both[0].take([Wanted("b", wanted)])
    assert granted.turns == {("pool:p", 0): 1}
    assert not both[0].losses


async def test_many_bindings_of_an_outage_are_told_in_few_steps(store: Store, both: list[RedisState]) -> None:
    first, second = both
    made = {b"key%d" % number: Binding("one/m#0", "pool", 1_700_000_000.0) for number in range(3000)}
    with store.frozen():
        for key, binding in made.items():
            first.stores.bindings.put(key, binding)
            if key.endswith(b"9"):
                first.stores.bindings.forget(key)
    kept = [key for key in made if not key.endswith(b"9")]
    await until(lambda: not first._mirrors.bindings.untold)
    assert len(store.ask("KEYS", "forebay:bound:*")) == len(kept)
    await second.take([Wanted("a", binding=kept[-1])])
    assert second.stores.bindings.get(kept[-1]) is not None


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec/ret@127.0.0.1:1/0",
        "redis://u:secret@127.0.0.1:secret/0",
        "redis://u:secret@127.0.0.1:6/0?socket_timeout=secret",
        "redis://u:secret@127.0.0.1:6/0?secret=1",
    ],
)
def test_an_address_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="not an address") as caught:
        RedisState(url, time.monotonic)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_wrong_password_is_told_and_not_shown(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.client as client:
        client.execute_command("CONFIG", "SET", "requirepass", "the-right-one")
        try:
            state = RedisState(store.url.replace("//", "//:the-wrong-one@"), time.monotonic)
            keeping = asyncio.create_task(state.keep())
            await state.begun()
            assert state.is_degraded
            state.stop()
            await keeping
        finally:
            client.execute_command("CONFIG", "SET", "requirepass", "")
    said = "".join(capsys.readouterr())
    assert "store_unavailable" in said
    assert "the-" not in said
