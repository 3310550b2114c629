from __future__ import annotations

import pytest

from resolver_service.domain.catalog import Scopes
from resolver_service.domain.in_flight import Walk
from resolver_service.domain.policy import Disposition

BROKEN = Disposition.BROKEN


def scopes(provider: str, model: str, key: int) -> Scopes:
    return Scopes(f"{provider}/{model}#{key}", f"{provider}#{key}", f"{provider}/{model}#*")


A, B, C = "a/m#0", "a/m#1", "a/n#0"
PLAN = Walk((scopes("a", "m", 0), scopes("a", "m", 1), scopes("a", "n", 0)))


def test_a_walk_begins_at_the_first_target_and_goes_on_after_failures() -> None:
    assert PLAN.target_id == A
    second = PLAN.failed(A, BROKEN)
    assert second is not None
    assert second.target_id == B
    third = second.failed(B, BROKEN)
    assert third is not None
    assert third.target_id == C
    assert third.failed(C, BROKEN) is None


@pytest.mark.parametrize("target_id", [A, "other/m#0", ""])
def test_what_was_passed_and_what_is_not_of_the_plan_says_nothing_new(target_id: str) -> None:
    second = PLAN.failed(A, BROKEN)
    assert second is not None
    assert second.failed(target_id, BROKEN) is second
    assert second.ended(target_id) is second


@pytest.mark.parametrize(("target_id", "at"), [(A, 1), (B, 2)])
def test_a_report_that_was_lost_is_made_up_for_by_the_next(target_id: str, at: int) -> None:
    assert PLAN.failed(target_id, BROKEN) == Walk(PLAN.targets, at)


@pytest.mark.parametrize(
    ("disposition", "at"), [(Disposition.QUOTA, 1), (Disposition.CREDENTIAL, 1), (Disposition.MODEL_MISSING, 2)]
)
def test_what_shares_a_credential_or_a_model_that_failed_is_passed_over(disposition: Disposition, at: int) -> None:
    assert PLAN.failed(A, disposition) == Walk(PLAN.targets, at)
    assert PLAN.failed(C, disposition) is None


def test_where_all_that_is_left_fails_alike_the_walk_is_over() -> None:
    assert Walk(PLAN.targets[:2]).failed(A, Disposition.MODEL_MISSING) is None


@pytest.mark.parametrize("target_id", [A, B, C])
def test_whoever_has_served_ends_the_walk(target_id: str) -> None:
    assert PLAN.ended(target_id) is None
