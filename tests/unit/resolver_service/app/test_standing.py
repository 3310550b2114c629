from __future__ import annotations

from resolver_service.adapters import config_yaml
from resolver_service.adapters.stores_memory import MemoryHealth
from resolver_service.app.standing import standings
from resolver_service.app.status import State
from resolver_service.domain.health import Health, Tally
from resolver_service.domain.policy import Disposition

CATALOG = config_yaml.load(
    """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example", models: [m, n], credentials: [env:A, env:B]}
  - {id: two, dialect: openai, base-url: "https://two.example", models: [m]}
"""
)
NOW = 100.0


def cooling(until_at: float) -> Health:
    return Health(generation=1, cooling_until_at=until_at, reason=Disposition.RATE_LIMITED)


def test_targets_that_nothing_has_happened_to_are_not_told_of() -> None:
    assert standings(CATALOG, MemoryHealth(), frozenset(), NOW) == {}


def test_each_state_and_drained_above_all() -> None:
    health = MemoryHealth()
    health.put("one/m#0", cooling(NOW + 1))
    health.put("one/m#1", cooling(NOW))
    health.put("one/n#0", Health(tallies={"overload": Tally(failures=1)}))
    health.put("two/m#0", cooling(NOW + 1))
    assert standings(CATALOG, health, {"two/m#0"}, NOW) == {
        "one/m#0": State.COOLING,
        "one/m#1": State.PROBING,
        "one/n#0": State.READY,
        "two/m#0": State.DRAINED,
    }


def test_a_credential_and_a_model_take_their_targets_with_them() -> None:
    health = MemoryHealth()
    health.put("one#0", cooling(NOW + 1))
    health.put("one/m#*", cooling(NOW))
    assert standings(CATALOG, health, frozenset(), NOW) == {
        "one/m#0": State.COOLING,
        "one/m#1": State.PROBING,
        "one/n#0": State.COOLING,
    }


def test_targets_that_no_name_leads_to_are_not_told_of() -> None:
    health = MemoryHealth()
    health.put("gone/m#0", cooling(NOW + 1))
    assert standings(CATALOG, health, {"gone/n#0"}, NOW) == {}
