from __future__ import annotations

from resolver_service.adapters.stores_memory import MemoryHealth, MemoryRotation
from resolver_service.app.ports import HealthStore, RotationStore
from resolver_service.domain.health import WELL, Health


def test_turns_are_counted_from_zero_key_by_key() -> None:
    rotation: RotationStore = MemoryRotation()
    assert rotation.turn(("pool:a", 0)) == 0
    rotation.take([("pool:a", 0), ("pool:a", 1)])
    rotation.take([("pool:a", 0)])
    rotation.take([])
    assert [rotation.turn(key) for key in (("pool:a", 0), ("pool:a", 1), ("cluster:a", 0))] == [2, 1, 0]


def test_who_was_never_put_is_well() -> None:
    health: HealthStore = MemoryHealth()
    assert health.get("one/m#0") is WELL


def test_health_is_kept_target_by_target() -> None:
    health = MemoryHealth()
    first, second = Health(generation=1), Health(generation=2)
    health.put("one/m#0", first)
    health.put("one/m#1", second)
    assert (health.get("one/m#0"), health.get("one/m#1")) == (first, second)
    health.put("one/m#0", second)
    assert health.get("one/m#0") is second


def test_those_who_stay_well_take_up_no_room() -> None:
    health = MemoryHealth()
    for number in range(100):
        health.put(f"one/m{number}#0", WELL)
    assert not health.scopes()


def test_the_scopes_that_something_happened_to_and_the_latest_generation_are_known() -> None:
    health: HealthStore = MemoryHealth()
    scopes = health.scopes()
    assert (set(scopes), health.latest) == (set(), 0)
    health.put("one/m#0", Health(generation=7))
    health.put("one#0", Health(generation=3))
    assert (set(scopes), health.latest) == ({"one/m#0", "one#0"}, 7)
    health.put("one/m#0", WELL)
    assert (set(scopes), health.latest) == ({"one#0"}, 7)
