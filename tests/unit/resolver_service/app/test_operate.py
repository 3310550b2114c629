from __future__ import annotations

import pytest

from resolver_service.app.operate import UnknownTargetError
from resolver_service.app.ports import HealthChanged
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

CONFIG = """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example", models: [m, n]}
  - {id: two, dialect: openai, base-url: "https://two.example", models: [m]}
"""
ONE, TWO = "one/m#0", "two/m#0"


@pytest.fixture
def resolving() -> Resolving:
    return Resolving(CONFIG)


def reasons(resolving: Resolving, name: str = "m") -> dict[str, str]:
    return {view.target.id: view.reason for view in resolving.explain(name).targets}


def test_a_cleared_target_is_well_with_its_credential_and_model(resolving: Resolving) -> None:
    for disposition in (Disposition.RATE_LIMITED, Disposition.CREDENTIAL, Disposition.MODEL_MISSING):
        resolving.fail(ONE, disposition)
    assert resolving.plan("m") == [TWO]
    resolving.told.clear()
    resolving.operator.clear(ONE)
    assert resolving.plan("m") == [ONE, TWO]
    assert resolving.refusal("n", excluded=("one/n#0",)) == ("unavailable", None)
    assert resolving.plan("n") == ["one/n#0"]
    assert [(c.state, c.scope, c.reason) for c in resolving.told] == [
        ("cleared", "one/m#0", Disposition.RATE_LIMITED),
        ("cleared", "one#0", Disposition.CREDENTIAL),
        ("cleared", "one/m#*", Disposition.MODEL_MISSING),
    ]


def test_what_was_under_way_when_it_was_cleared_does_not_cool_it_again(resolving: Resolving) -> None:
    attempt = resolving.decide("m").attempts[0]
    resolving.fail(ONE)
    resolving.operator.clear(ONE)
    resolving.fail(ONE, retry_after_s=200, generation=attempt.health_generation)
    assert resolving.plan("m") == [ONE, TWO]


def test_a_probe_that_was_out_when_it_was_cleared_gives_nothing_back(resolving: Resolving) -> None:
    resolving.fail(ONE)
    resolving.clock.advance(30)
    decision = resolving.decide("m")
    resolving.operator.clear(ONE)
    before = resolving.health.get(ONE)
    resolving.close(decision)
    assert resolving.health.get(ONE) is before


def test_a_drained_target_is_in_no_plan_until_it_is_put_back(resolving: Resolving) -> None:
    for _ in range(2):
        resolving.operator.drain(ONE)
    assert resolving.plan("m") == [TWO]
    assert reasons(resolving) == {TWO: "number 1", ONE: "drained"}
    assert resolving.refusal("m", excluded=(TWO,)) == ("unavailable", None)
    for _ in range(2):
        resolving.operator.undrain(ONE)
    assert resolving.plan("m") == [ONE, TWO]
    assert resolving.told == [HealthChanged("drained", ONE, ONE), HealthChanged("undrained", ONE, ONE)]


def test_a_drained_target_is_not_the_least_bad_and_no_limit_that_passes() -> None:
    resolving = Resolving(CONFIG + "policy: {on-exhausted: least-bad}")
    for target in (ONE, TWO):
        resolving.fail(target)
        resolving.operator.drain(target)
    assert resolving.refusal("m") == ("unavailable", None)


def test_a_target_that_no_name_leads_to_is_refused(resolving: Resolving) -> None:
    for what in (resolving.operator.clear, resolving.operator.drain, resolving.operator.undrain):
        for target in ("one/gone#0", "ONE/m#0", "one#0", "one/m#*", ""):
            with pytest.raises(UnknownTargetError, match="no name leads to a target"):
                what(target)
    assert resolving.told == []
    assert not resolving.drains.drained()


async def test_what_was_drained_can_be_put_back_while_no_name_leads_to_it(resolving: Resolving) -> None:
    resolving.operator.drain(TWO)
    await resolving.configuration.offer(CONFIG.partition("  - {id: two")[0].encode())
    resolving.operator.undrain(TWO)
    assert not resolving.drains.drained()


def test_each_change_is_told_once(resolving: Resolving) -> None:
    for _ in range(8):
        resolving.fail(ONE, Disposition.CREDENTIAL, generation=0)
    assert resolving.told == [HealthChanged("cooling", "one#0", ONE, Disposition.CREDENTIAL, 300)]
    resolving.clock.advance(300)
    attempt = resolving.decide("m").attempts[0]
    resolving.serve(attempt)
    resolving.serve(attempt)
    assert resolving.told[1:] == [HealthChanged("restored", "one#0", ONE, Disposition.CREDENTIAL)]
    resolving.fail(ONE, Disposition.SERVER_ERROR)
    assert len(resolving.told) == 2, "one of five, and nothing has changed yet"
