"""What the ports promise, of every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.stores_sqlite import SqliteBindings, SqliteState
from resolver_service.app.ports import Stores
from resolver_service.domain.bindings import Binding
from resolver_service.domain.health import WELL, Health


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "memory":
        yield Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
    else:
        state = SqliteState(tmp_path, lambda: 1000.0, lambda: 1_700_000_000.0)
        yield state.stores
        assert state._connection is not None
        state._connection.close()


def test_turns_are_counted_from_zero_key_by_key(stores: Stores) -> None:
    assert stores.rotation.turn(("pool:a", 0)) == 0
    stores.rotation.take([("pool:a", 0), ("pool:a", 1)])
    stores.rotation.take([("pool:a", 0)])
    stores.rotation.take([])
    assert [stores.rotation.turn(key) for key in (("pool:a", 0), ("pool:a", 1), ("cluster:a", 0))] == [2, 1, 0]


def test_who_was_never_put_is_well(stores: Stores) -> None:
    assert stores.health.get("one/m#0") is WELL


def test_health_is_kept_scope_by_scope(stores: Stores) -> None:
    first, second = Health(generation=1), Health(generation=2)
    stores.health.put("one/m#0", first)
    stores.health.put("one/m#1", second)
    assert (stores.health.get("one/m#0"), stores.health.get("one/m#1")) == (first, second)
    stores.health.put("one/m#0", second)
    assert stores.health.get("one/m#0") is second


def test_those_who_stay_well_take_up_no_room(stores: Stores) -> None:
    for number in range(100):
        stores.health.put(f"one/m{number}#0", WELL)
    assert not stores.health.scopes()


def test_the_scopes_that_something_happened_to_and_the_latest_generation_are_known(stores: Stores) -> None:
    scopes = stores.health.scopes()
    assert (set(scopes), stores.health.latest) == (set(), 0)
    stores.health.put("one/m#0", Health(generation=7))
    stores.health.put("one#0", Health(generation=3))
    assert (set(scopes), stores.health.latest) == ({"one/m#0", "one#0"}, 7)
    stores.health.put("one/m#0", WELL)
    assert (set(scopes), stores.health.latest) == ({"one#0"}, 7)


def test_drained_is_what_was_drained_last(stores: Stores) -> None:
    drained = stores.drains.drained()
    for target, is_drained in (("a", True), ("b", True), ("b", True), ("a", False), ("c", False)):
        stores.drains.put(target, drained=is_drained)
    assert drained == {"b"}


def test_what_is_bound_is_found_until_it_is_forgotten(stores: Stores) -> None:
    first, second = Binding("one/m#0", "chat", 1.0), Binding("two/m#0", "chat", 2.0)
    stores.bindings.put(b"a", first)
    stores.bindings.put(b"b", first)
    stores.bindings.put(b"b", second)
    assert [stores.bindings.get(key) for key in (b"a", b"b", b"c")] == [first, second, None]
    stores.bindings.forget(b"a")
    stores.bindings.forget(b"c")
    assert [stores.bindings.get(key) for key in (b"a", b"b")] == [None, second]


@pytest.mark.parametrize("store", [MemoryBindings(most=2), SqliteBindings(lambda: None, most=2)])
def test_of_too_many_bindings_those_go_that_were_not_asked_for(store: MemoryBindings | SqliteBindings) -> None:
    binding = Binding("one/m#0", "chat", 1.0)
    for key in (b"a", b"b"):
        store.put(key, binding)
    assert store.get(b"a") is binding
    store.put(b"c", binding)
    assert [store.get(key) for key in (b"a", b"b", b"c")] == [binding, None, binding]
