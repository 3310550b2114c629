"""What a resolver knows of health that it shares with others."""

from __future__ import annotations

from resolver_service.adapters.stores_redis.health import HealthMirror
from resolver_service.domain.health import Health

SCOPE = "one/m"
WELL_THERE = b'{"n":1,"g":"0","t":{}}'


def mirror() -> HealthMirror:
    return HealthMirror(lambda: 1000.0, lambda: None, lambda scope, holder: None)


def test_what_is_heard_while_a_change_is_under_way_is_older_than_it() -> None:
    it = mirror()
    mine = Health(generation=1, cooling_until_at=1100.0)
    it.put(SCOPE, mine)
    told = it.changes()
    it.heard(SCOPE, WELL_THERE, 0.0)
    it.forget_all_but(set())
    assert it.get(SCOPE) == mine
    it.untell()  # It has not arrived.
    assert [(change.scope, change.generation) for change in it.changes()] == [
        (change.scope, change.generation) for change in told
    ]


def test_a_change_that_has_arrived_is_as_the_server_has_it() -> None:
    it = mirror()
    it.put(SCOPE, Health(generation=1, cooling_until_at=1100.0))
    (change,) = it.changes()
    it.told(change, b'{"n":2,"g":"1","u":50000,"t":{}}', 0.0, is_taken=True)
    assert it.get(SCOPE) == Health(generation=1, cooling_until_at=1050.0)
    assert it.changes() == []
    it.heard(SCOPE, b'{"n":3,"g":"1","t":{}}', 0.0)
    assert it.get(SCOPE).cooling_until_at is None
