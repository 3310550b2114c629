from __future__ import annotations

import dataclasses

import pytest

from edge_service.domain.plan import Attempt, Timeouts
from tests.unit.edge_service.domain.plans import attempt, plan


@pytest.mark.parametrize("value", [Timeouts(), attempt("a")])
def test_nothing_in_an_attempt_changes_while_it_is_walked(value: Timeouts | Attempt) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


def test_nor_does_anything_in_a_plan() -> None:
    value = plan(attempt("a"))
    for name in value._fields:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_without_a_word_there_are_no_limits() -> None:
    assert set(dataclasses.astuple(Timeouts())) == {0.0}
    assert attempt("a").timeouts == Timeouts()


def test_two_plans_of_the_same_attempts_are_equal() -> None:
    assert plan(attempt("a")) == plan(attempt("a"))
    assert plan(attempt("a")) != plan(attempt("b"))
