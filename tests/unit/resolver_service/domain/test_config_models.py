from __future__ import annotations

from typing import Any

from resolver_service.domain.abilities import UNKNOWN, Abilities, Capability
from resolver_service.domain.config import parse

BETA = Abilities(9000, 3000, frozenset({Capability.TOOLS}))


def document(*models: Any) -> dict[str, Any]:
    members = [{"provider": "one", "model": "BETA(high)"}, {"provider": "one", "model": "unlisted"}]
    return {
        "providers": [{"id": "one", "dialect": "openai", "base-url": "https://one.example", "models": list(models)}],
        "model-pools": {
            "pools": [{"id": "p", "members": members}],
            "clusters": [{"id": "c", "members": [{"pool": "p"}]}],
        },
    }


def test_what_is_said_of_a_model_is_known_of_its_targets_whatever_way_they_were_reached() -> None:
    beta = {"id": "Beta", "context": 9000, "max-output": 3000, "capabilities": ["tools"]}
    catalog = parse(document("alpha", beta))
    assert catalog.providers[0].models == ("alpha", "Beta")
    assert catalog.models["beta"].sources[0].targets[0].abilities == BETA
    assert catalog.models["alpha"].sources[0].targets[0].abilities is UNKNOWN
    members = catalog.pools["p"].tiers[0].members
    assert [m.sources[0].targets[0].abilities for m in members] == [BETA, UNKNOWN]
    assert [catalog.models[key].has_abilities for key in ("alpha", "beta")] == [False, True]
    assert catalog.pools["p"].has_abilities
    assert catalog.clusters["c"].has_abilities


def test_an_entry_that_says_nothing_is_a_name() -> None:
    catalog = parse(document({"id": "beta", "context": None, "capabilities": None}))
    assert catalog.providers[0].models == ("beta",)
    assert not catalog.models["beta"].has_abilities
    assert not catalog.clusters["c"].has_abilities


def test_an_answer_may_be_as_long_as_the_context() -> None:
    target = parse(document({"id": "beta", "context": 9000, "max-output": 9000})).models["beta"].sources[0].targets[0]
    assert target.abilities == Abilities(9000, 9000)


def test_that_a_model_can_do_nothing_else_is_known_too() -> None:
    target = parse(document({"id": "beta", "capabilities": []})).models["beta"].sources[0].targets[0]
    assert target.abilities == Abilities(capabilities=frozenset())
