"""What the ports promise, of every kind of store: memory, SQLite, and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import pytest_asyncio

from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.stores_redis.bindings import BindingMirror
from resolver_service.adapters.stores_sqlite import SqliteBindings, SqliteState
from resolver_service.app.ports import BindingStore, Stores, Wanted
from resolver_service.domain.bindings import Binding
from resolver_service.domain.health import WELL, Health, failed
from resolver_service.domain.policy import CoolDownBounds, Disposition
from tests.support.sharing import resolvers
from tests.support.valkey import Store

Life: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[Stores]]
"""Of a resolver, which ends; the next one finds what it has left."""


@pytest.fixture(params=["memory", "sqlite", "valkey"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    in_memory = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())

    @contextlib.asynccontextmanager
    async def memory() -> AsyncIterator[Stores]:
        yield in_memory  # It dies with its process.

    @contextlib.asynccontextmanager
    async def sqlite() -> AsyncIterator[Stores]:
        state = SqliteState(tmp_path, time.monotonic, time.time)
        keeping = asyncio.create_task(state.keep())
        yield state.stores
        state.stop()
        await keeping

    @contextlib.asynccontextmanager
    async def valkey() -> AsyncIterator[Stores]:
        store: Store = request.getfixturevalue("store")
        async with resolvers(store, 1) as (state,):
            assert not state.is_degraded
            yield state.stores

    kinds: dict[str, Life] = {"memory": memory, "sqlite": sqlite, "valkey": valkey}
    return kinds[request.param]


@pytest_asyncio.fixture
async def stores(life: Life) -> AsyncIterator[Stores]:
    async with life() as its:
        yield its


async def test_what_was_put_is_there_in_the_next_life(life: Life) -> None:
    refused = failed(
        WELL,
        generation=0,
        disposition=Disposition.RATE_LIMITED,
        retry_after_s=60.0,
        now=time.monotonic(),
        bounds=CoolDownBounds(),
    )
    bound = Binding("one/m#0", "chat", time.time())
    async with life() as first:
        first.rotation.take([("pool:a", 0), ("pool:a", 0)])
        first.health.put("one/m#0", refused)
        for target in ("two/m#0", "two/n#0"):
            first.drains.put(target, drained=True)
        first.drains.put("two/n#0", drained=False)
        first.bindings.put(b"a", bound)
    async with life() as second:
        assert second.rotation.turn(("pool:a", 0)) == 2
        health = second.health.get("one/m#0")
        assert health.generation >= refused.generation
        assert health.reason is Disposition.RATE_LIMITED
        assert 50 < health.retry_after_s(time.monotonic()) <= 61
        assert second.drains.drained() == {"two/m#0"}
        if second.shared is not None:  # It is asked for with the request that wants it.
            await second.shared.take([Wanted("a", binding=b"a")])
        assert second.bindings.get(b"a") == bound
        second.bindings.forget(b"a")
        second.health.put("one/m#0", WELL)


async def test_turns_are_counted_from_zero_key_by_key(stores: Stores) -> None:
    assert stores.rotation.turn(("pool:a", 0)) == 0
    stores.rotation.take([("pool:a", 0), ("pool:a", 1)])
    stores.rotation.take([("pool:a", 0)])
    stores.rotation.take([])
    assert [stores.rotation.turn(key) for key in (("pool:a", 0), ("pool:a", 1), ("cluster:a", 0))] == [2, 1, 0]


async def test_who_was_never_put_is_well(stores: Stores) -> None:
    assert stores.health.get("one/m#0") is WELL


async def test_health_is_kept_scope_by_scope(stores: Stores) -> None:
    first, second = Health(generation=1), Health(generation=2)
    stores.health.put("one/m#0", first)
    stores.health.put("one/m#1", second)
    assert (stores.health.get("one/m#0"), stores.health.get("one/m#1")) == (first, second)
    stores.health.put("one/m#0", second)
    assert stores.health.get("one/m#0") is second


async def test_those_who_stay_well_take_up_no_room(stores: Stores) -> None:
    for number in range(100):
        stores.health.put(f"one/m{number}#0", WELL)
    assert not stores.health.scopes()


async def test_the_scopes_that_something_happened_to_and_the_latest_generation_are_known(stores: Stores) -> None:
    scopes = stores.health.scopes()
    assert (set(scopes), stores.health.latest) == (set(), 0)
    stores.health.put("one/m#0", Health(generation=7))
    stores.health.put("one#0", Health(generation=3))
    assert (set(scopes), stores.health.latest) == ({"one/m#0", "one#0"}, 7)
    stores.health.put("one/m#0", WELL)
    assert (set(scopes), stores.health.latest) == ({"one#0"}, 7)


async def test_drained_is_what_was_drained_last(stores: Stores) -> None:
    drained = stores.drains.drained()
    for target, is_drained in (("a", True), ("b", True), ("b", True), ("a", False), ("c", False)):
        stores.drains.put(target, drained=is_drained)
    assert drained == {"b"}


async def test_what_is_bound_is_found_until_it_is_forgotten(stores: Stores) -> None:
    first, second = Binding("one/m#0", "chat", 1.0), Binding("two/m#0", "chat", 2.0)
    stores.bindings.put(b"a", first)
    stores.bindings.put(b"b", first)
    stores.bindings.put(b"b", second)
    assert [stores.bindings.get(key) for key in (b"a", b"b", b"c")] == [first, second, None]
    stores.bindings.forget(b"a")
    stores.bindings.forget(b"c")
    assert [stores.bindings.get(key) for key in (b"a", b"b")] == [None, second]


@pytest.mark.parametrize(
    "store", [MemoryBindings(most=2), SqliteBindings(lambda: None, most=2), BindingMirror(lambda: None, most=2)]
)
def test_of_too_many_bindings_those_go_that_were_not_asked_for(store: BindingStore) -> None:
    binding = Binding("one/m#0", "chat", 1.0)
    for key in (b"a", b"b"):
        store.put(key, binding)
    assert store.get(b"a") is binding
    store.put(b"c", binding)
    assert [store.get(key) for key in (b"a", b"b", b"c")] == [binding, None, binding]
