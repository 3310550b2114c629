"""The configuration of record in a real server: several resolvers that change it, and all that take it over."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from resolver_service.adapters.stores_redis import beginning, replicas
from resolver_service.adapters.stores_redis.record import RedisRecord
from resolver_service.app.edit import ProvidersLockedError, Terms
from resolver_service.app.ports import (
    MOST_REVISIONS,
    AwayError,
    ConflictError,
    NotEverywhereError,
    PastRevision,
    ReadOnlyError,
    UncertainError,
)
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import Kind, Put
from tests.support.sharing import FIRST, Sharer, kept, sharers, start, until
from tests.support.valkey import Store


@pytest.fixture
def record(store: Store) -> Iterator[RedisRecord]:
    record = RedisRecord(store.url)
    yield record
    record.close()


def pool(name: str, model: str = "m") -> Put:
    return Put(Kind.POOL, {"id": name, "members": [{"provider": "one", "model": model}]})


def in_effect(sharer: Sharer) -> set[str]:
    return set(sharer.configuration.current.catalog.pools)


# --- The record by itself --------------------------------------------------------------------------------------------


def test_a_change_is_one_step_and_the_server_tells_when_it_was_made(store: Store, record: RedisRecord) -> None:
    assert record.latest() is None
    first, second = kept(1, b"first"), kept(2, b"second")
    assert record.seed(first.revision, first.text)
    assert record.latest() == first
    made = record.replace(b"first", b"second", second.revision)
    assert abs(made.created_at - int(store.ask("TIME")[0])) < 20
    assert record.read() == b"second"
    assert record.before(0, 10) == [made, first.revision]
    assert record.before(2, 10) == [first.revision]
    assert record.before(0, 1) == [made]
    assert (record.text(1), record.text(2), record.text(3)) == (b"first", b"second", None)


@pytest.mark.parametrize(("base", "number"), [(b"another", 2), (b"first", 3), (b"first", 1)])
def test_a_change_of_what_is_no_longer_there_is_refused(record: RedisRecord, base: bytes, number: int) -> None:
    record.seed(kept(1, b"first").revision, b"first")
    with pytest.raises(ConflictError):
        record.replace(base, b"second", kept(number, b"second").revision)
    assert record.latest() == kept(1, b"first")
    assert record.before(0, 10) == [kept(1, b"first").revision]


@pytest.mark.parametrize("put", [RedisRecord.seed, RedisRecord.put_back])
def test_what_is_put_there_never_replaces_what_is_later(
    record: RedisRecord, put: Callable[[RedisRecord, PastRevision, bytes], bool]
) -> None:
    assert put(record, kept(5, b"five").revision, b"five")
    assert not put(record, kept(5, b"other").revision, b"other")
    assert not put(record, kept(4, b"four").revision, b"four")
    assert put(record, kept(7, b"seven").revision, b"seven")
    assert record.latest() == kept(7, b"seven")


def test_only_so_many_are_kept(record: RedisRecord) -> None:
    record.seed(kept(1, b"1").revision, b"1")
    for number in range(2, MOST_REVISIONS + 11):
        record.replace(b"%d" % (number - 1), b"%d" % number, kept(number, b"%d" % number).revision)
    told = record.before(0, 1000)
    assert (len(told), told[-1].number, told[0].number) == (MOST_REVISIONS, 11, MOST_REVISIONS + 10)
    assert record.text(10) is None
    assert record.text(11) == b"11"


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("revisions", "1", b"garbage"),
        ("revisions", "1", b'{"number": "one"}'),
        ("texts", "1", b"garbage"),
        ("texts", "1", b""),
        ("texts", "1", zlib.compress(b"another text")),
        ("texts", "1", zlib.compress(b"first")[:-1]),
        ("numbers", "revision", b"none"),
    ],
)
def test_garbage_is_told_of(store: Store, record: RedisRecord, key: str, field: str, value: bytes) -> None:
    record.seed(kept(1, b"first").revision, b"first")
    store.ask("HSET", f"forebay:{key}", field, value)
    with pytest.raises(ReadOnlyError, match="store"):
        record.read()


def test_keys_of_somebody_else_are_told_of(store: Store, record: RedisRecord) -> None:
    store.ask("SET", "forebay:numbers", "mine")
    with pytest.raises(ReadOnlyError, match="WRONGTYPE"):
        record.latest()
    with pytest.raises(ReadOnlyError, match="WRONGTYPE"):
        record.seed(kept(1, b"first").revision, b"first")
    assert store.ask("KEYS", "*") == [b"forebay:numbers"]


def test_another_schema_is_left_alone(store: Store, record: RedisRecord) -> None:
    store.ask("SET", "forebay:schema", 2)
    with pytest.raises(ReadOnlyError, match="schema is '2'"):
        record.latest()
    with pytest.raises(ReadOnlyError, match="schema is '2'"):
        record.replace(b"", b"first", kept(1, b"first").revision)
    assert store.ask("KEYS", "*") == [b"forebay:schema"]


def test_a_server_that_is_away_is_told_of(store: Store, record: RedisRecord) -> None:
    store.stop()
    try:
        for ask in (record.latest, record.read, lambda: record.before(0, 1), lambda: record.text(1)):
            with pytest.raises(AwayError):
                ask()
        with pytest.raises(UncertainError):
            record.replace(b"first", b"second", kept(2, b"second").revision)
    finally:
        store.start()


def test_an_answer_that_got_lost_is_looked_up(record: RedisRecord) -> None:
    record.seed(kept(1, b"first").revision, b"first")
    put = record._put

    def lose(*arguments: object) -> None:
        put(*arguments)  # type: ignore[arg-type]
        raise AwayError("the answer got lost")

    with mock.patch.object(record, "_put", lose):
        assert record.replace(b"first", b"second", kept(2, b"second").revision).number == 2
    assert record.read() == b"second"


# --- Resolvers -------------------------------------------------------------------------------------------------------


async def test_of_several_that_begin_on_an_empty_store_one_puts_its_file_there(store: Store) -> None:
    texts = [FIRST + b"# %d\n" % number for number in range(4)]
    started = await asyncio.gather(*(start(store, f"r{n}", text) for n, text in enumerate(texts)))
    found = {sharer.configuration.place for sharer in started}
    assert len(found) == 1
    assert len(started[0].record.before(0, 10)) == 1
    for sharer in started:
        await sharer.stop()


async def test_a_change_is_in_effect_at_all_before_it_is_answered(store: Store) -> None:
    async with sharers(store, 3) as all_:
        for number in range(12):
            made = await all_[number % 3].editor.change(pool(f"p{number}"), Terms(author="ann"))
            assert made.number == number + 2
            assert {sharer.configuration.place for sharer in all_} == {(made.number, made.digest)}
            assert all(f"p{number}" in in_effect(sharer) for sharer in all_)
            assert len({sharer.configuration.current.loaded_at for sharer in all_}) == 1
        told = await all_[1].editor.revisions(0, 3)
        assert [(past.number, past.author, past.summary) for past in told] == [
            (13, "ann", "pool p11 added"),
            (12, "ann", "pool p10 added"),
            (11, "ann", "pool p9 added"),
        ]
        back = await all_[2].editor.roll_back(1, Terms())
        assert [sharer.configuration.current.text for sharer in all_] == [FIRST] * 3
        assert back.number == 14


async def test_of_changes_at_once_none_is_lost_and_those_that_came_second_are_told(store: Store) -> None:
    async with sharers(store, 3) as all_:
        asked = [(sharer, f"p{n}") for n, sharer in enumerate(all_)]
        done = await asyncio.gather(*(s.editor.change(pool(n), Terms()) for s, n in asked), return_exceptions=True)
        won = [name for (_, name), it in zip(asked, done, strict=True) if not isinstance(it, BaseException)]
        assert won
        assert all(isinstance(it, ConflictError) for it in done if isinstance(it, BaseException))
        await until(lambda: len({sharer.configuration.place for sharer in all_}) == 1)
        assert in_effect(all_[0]) == {"a", *won}


async def test_who_has_missed_a_change_takes_it_in_before_its_own(store: Store) -> None:
    async with sharers(store, 2) as (one, other):
        old = one.configuration.current.digest
        with mock.patch.object(other.state.record_changed, "set"), mock.patch.object(replicas, "SETTLED_S", 0.3):
            with pytest.raises(NotEverywhereError, match="r1"):
                await one.editor.change(pool("p"), Terms())
            assert in_effect(other) == {"a"}
            with pytest.raises(ConflictError):
                await other.editor.change(pool("q"), Terms(etag=old))
            await other.editor.change(pool("q"), Terms(etag=one.configuration.current.digest))
        await until(lambda: in_effect(one) == {"a", "p", "q"} == in_effect(other))


async def test_a_message_that_was_missed_is_made_up_for(store: Store) -> None:
    async with sharers(store, 2) as (one, other):
        with mock.patch.object(other.state._hearing, "_hear_word"):
            await one.editor.change(pool("p"), Terms())
        assert in_effect(other) == {"a", "p"}


async def test_who_is_gone_is_not_waited_for(store: Store) -> None:
    async with sharers(store, 1) as (one,):
        other = await start(store, "r1")
        assert [r.id for r in await one.siblings.replicas()] == ["r0", "r1"]
        await other.stop()
        assert [r.id for r in await one.siblings.replicas()] == ["r0"]
        dead = await start(store, "r2")
        for task in (*dead.state._tasks, *dead.tasks):
            task.cancel()
        with mock.patch.object(dead.state.replicas, "leave"):
            await asyncio.gather(*dead.tasks, return_exceptions=True)
        dead.record.close()
        await one.editor.change(pool("p"), Terms())
        me, it = await one.siblings.replicas()
        assert (me.id, me.revision, me.is_degraded, me.seen_s_ago) == ("r0", 2, False, 0)
        assert (it.id, it.revision, it.is_degraded) == ("r2", 1, True)
        assert it.seen_s_ago > replicas.LIVE_S


async def test_a_change_that_is_made_again_waits_as_the_first_did(store: Store) -> None:
    async with sharers(store, 2) as (one, other):
        with mock.patch.object(replicas, "SETTLED_S", 0.3), mock.patch.object(other.state.record_changed, "set"):
            for _ in range(2):
                with pytest.raises(NotEverywhereError, match="will last"):
                    await one.editor.change(pool("p"), Terms())
            await one.editor.change(pool("q"), Terms(validate_only=True))
        assert (await one.editor.change(pool("p"), Terms())).number == 2
        assert in_effect(other) == {"a", "p"}


async def test_while_the_store_is_away_nothing_is_changed(store: Store) -> None:
    async with sharers(store, 2) as all_:
        store.stop()
        try:
            for sharer in all_:
                with pytest.raises((AwayError, UncertainError)):
                    await sharer.editor.change(pool("p"), Terms())
                await until(lambda its=sharer.state: its.is_degraded)  # type: ignore[misc]
                with pytest.raises(AwayError):
                    await sharer.editor.change(pool("p"), Terms())
                assert in_effect(sharer) == {"a"}
                assert [(r.id, r.is_degraded) for r in await sharer.siblings.replicas()] == [
                    (sharer.state.replicas.id, True)
                ]
        finally:
            store.start()
        # Whichever is back first waits for the other.
        await until(lambda: not all(sharer.state.is_degraded for sharer in all_))
        first = min(all_, key=lambda sharer: sharer.state.is_degraded)
        await first.editor.change(pool("p"), Terms())
        assert [in_effect(sharer) for sharer in all_] == [{"a", "p"}] * 2


async def test_a_store_that_has_lost_what_it_had_is_told_the_latest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "GATHER_S", 2.0)  # More than between two beats, and less than a test is to take.
    async with sharers(store, 2) as (one, other):
        await one.editor.change(pool("p"), Terms())
        store.ask("FLUSHALL")
        assert (await other.editor.change(pool("q"), Terms())).number == 3
        assert in_effect(one) == {"a", "p", "q"}


async def test_what_cannot_be_read_changes_nothing_and_is_refused_to_who_changes_it(store: Store) -> None:
    async with sharers(store, 1) as (one,):
        bad = kept(2, b"nonsense: true\n")
        RedisRecord(store.url).seed(bad.revision, bad.text)
        await until(lambda: one.configuration.rejected == 1)
        with pytest.raises(ReadOnlyError, match="revision 2, which the store has, is not valid"):
            await one.editor.change(pool("p"), Terms())
        assert one.configuration.current.number == 1
        good = kept(3, FIRST + b"# mended\n")
        RedisRecord(store.url).seed(good.revision, good.text)
        await until(lambda: one.configuration.current.number == 3)
        assert one.configuration.rejected == 1, "it was not read again and again"


async def test_what_cannot_be_read_can_be_set_back_by_hand(store: Store) -> None:
    async with sharers(store, 2) as (one, other):
        bad = kept(2, b"nonsense: true\n")
        one.record.seed(bad.revision, bad.text)
        await until(lambda: one.configuration.rejected == 1 == other.configuration.rejected)
        assert store.ask("HGET", "forebay:numbers", "revision") == b"2"
        digest = json.loads(store.ask("HGET", "forebay:revisions", "1"))["digest"]
        store.ask("HSET", "forebay:numbers", "revision", "1", "digest", digest)
        assert (await one.editor.change(pool("p"), Terms())).number == 2
        assert in_effect(other) == {"a", "p"}


async def test_a_file_is_applied_with_its_providers(store: Store) -> None:
    async with sharers(store, 2) as (one, other):
        text = FIRST.replace(b"one.example", b"two.example")
        with pytest.raises(ConfigError):
            await one.editor.apply(b"nonsense: true", Terms())
        made = await one.editor.apply(text, Terms(author="ann"))
        assert other.configuration.current.text == text
        assert (made.number, (await other.editor.revisions(0, 1))[0].author) == (2, "ann")
        with pytest.raises(ProvidersLockedError):
            await one.editor.roll_back(1, Terms())


async def test_what_is_told_is_known_to_all_before_it_is_answered(store: Store) -> None:
    async with sharers(store, 3) as all_:
        for number in range(10):
            teller = all_[number % 3]
            teller.state.stores.drains.put(f"one/m{number}#0", drained=True)
            await teller.siblings.settled()
            assert all(f"one/m{number}#0" in sharer.state.stores.drains.drained() for sharer in all_)


async def test_what_is_told_while_the_store_is_away_is_said_not_to_be_everywhere(store: Store) -> None:
    async with sharers(store, 1) as (one,):
        one.state._contact.is_degraded = True
        with pytest.raises(NotEverywhereError, match="done here"):
            await one.siblings.settled()


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
async def test_a_clock_of_the_server_that_jumps_holds_nobody_up(store: Store, jump_ms: int) -> None:
    async with sharers(store, 2) as (one, other):
        seconds, _ = store.ask("TIME")
        seen = int(seconds) * 1000 + jump_ms
        store.ask("HSET", "forebay:replicas", "gone", f"1 -1 {seen}")
        store.ask("HSET", "forebay:numbers", "beat", seen)
        await one.editor.change(pool("p"), Terms())
        assert in_effect(other) == {"a", "p"}


# --- Beginning -------------------------------------------------------------------------------------------------------


async def test_without_a_file_an_empty_store_is_told_of(record: RedisRecord) -> None:
    with pytest.raises(ReadOnlyError, match="--config FILE"):
        await beginning.begin(record, lambda: None, lambda: None)


async def test_while_the_store_is_away_a_copy_serves_and_else_it_is_waited_for(
    store: Store, record: RedisRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "AGAIN_S", 0.01)
    record.seed(kept(3, b"three").revision, b"three")
    store.stop()
    waiting = asyncio.create_task(beginning.begin(record, lambda: kept(1, FIRST), lambda: None))
    try:
        began = await beginning.begin(record, lambda: kept(1, FIRST), lambda: kept(2, b"two"))
        assert (began.kept.text, began.is_of_record) == (b"two", False)
        assert not waiting.done()
    finally:
        store.start()
    began = await waiting
    assert (began.kept, began.is_of_record) == (kept(3, b"three"), True)


async def test_a_copy_gives_way_to_what_is_of_record_even_if_its_number_is_higher(store: Store) -> None:
    store.stop()
    starting = asyncio.create_task(start(store, "r0", copy=kept(9, FIRST + b"# of another time\n")))
    try:
        sharer = await starting
        assert sharer.configuration.current.number == 9
    finally:
        store.start()
    record = RedisRecord(store.url)
    record.seed(kept(2, FIRST).revision, FIRST)
    record.close()
    await until(lambda: sharer.configuration.current.number == 2)
    assert json.loads(store.ask("HGET", "forebay:revisions", "2"))["number"] == 2
    assert store.ask("HKEYS", "forebay:revisions") == [b"2"]
    await sharer.stop()
