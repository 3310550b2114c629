from __future__ import annotations

from dataclasses import replace

from edge_service.domain.plan import Plan
from edge_service.domain.remembered import LIFE_S, TURNS, RememberedPlans
from tests.unit.edge_service.domain.plans import attempt, plan

A, B, C = attempt("a"), attempt("b"), attempt("c")
ME, OTHER, NOBODY = b"my key", b"another key", b""


def firsts(plans: RememberedPlans, times: int, now: float = 0.0, key: str = "k", client: bytes = ME) -> list[str]:
    found = [plans.recall(client, key, now) for _ in range(times)]
    return [p.attempts[0].provider if p else "-" for p in found]


def test_a_plan_is_recalled_for_a_minute() -> None:
    plans = RememberedPlans()
    made = plan(A, B)
    plans.remember(ME, "k", made, now=100.0)
    assert plans.recall(ME, "k", 100.0 + LIFE_S) is made
    assert plans.recall(ME, "other", 100.0) is None
    assert plans.any_at(100.0 + LIFE_S)
    assert not plans.any_at(100.1 + LIFE_S)
    assert plans.recall(ME, "k", 100.1 + LIFE_S) is None
    assert len(plans) == 0


def test_plans_that_differ_in_the_turn_alone_are_recalled_in_turn() -> None:
    plans = RememberedPlans()
    for made in (plan(A, B, C), plan(A, C, B), plan(B, C, A), plan(C, A, B)):
        plans.remember(ME, "k", made, 0.0)
    assert firsts(plans, 8) == ["a", "a", "b", "c"] * 2


def test_a_plan_of_other_targets_displaces_those_before_it() -> None:
    plans = RememberedPlans()
    for made in (plan(A, B, C), plan(B, C, A), plan(C, B)):
        plans.remember(ME, "k", made, 0.0)
    assert firsts(plans, 3) == ["c", "c", "c"]
    assert len(plans) == 1


def test_a_plan_of_before_a_target_moved_is_not_recalled() -> None:
    plans = RememberedPlans()
    moved = replace(A, base_url="https://elsewhere.test/v1")
    plans.remember(ME, "k", plan(A, B), 0.0)
    plans.remember(ME, "k", plan(B, moved), 0.0)
    assert [plans.recall(ME, "k", 0.0) for _ in range(2)] == [plan(B, moved)] * 2


def test_each_plan_has_its_own_age() -> None:
    plans = RememberedPlans()
    plans.remember(ME, "k", plan(A, B), 0.0)
    plans.remember(ME, "k", plan(B, A), 30.0)
    assert firsts(plans, 2, now=LIFE_S + 1) == ["b", "b"]


def test_a_probe_is_not_remembered() -> None:
    plans = RememberedPlans()
    probed = replace(A, probe=True)
    plans.remember(ME, "k", plan(probed, B), 0.0)
    found = plans.recall(ME, "k", 0.0)
    assert found is not None
    assert found.attempts == (B,)
    plans.remember(ME, "k", plan(probed), 0.0)
    assert plans.recall(ME, "k", 0.0) == found


def test_what_is_forgotten_is_not_recalled() -> None:
    plans = RememberedPlans()
    plans.remember(ME, "k", plan(A), 0.0)
    plans.forget(ME, "k")
    plans.forget(ME, "never known")
    assert plans.recall(ME, "k", 0.0) is None
    assert not plans.any_at(0.0)


def test_the_number_of_plans_is_bounded_and_the_least_used_go_first() -> None:
    plans = RememberedPlans(most=3)
    made: list[Plan] = [plan(A), plan(B), plan(C)]
    for key, each in zip("abc", made, strict=True):
        plans.remember(ME, key, each, 0.0)
    assert plans.recall(ME, "a", 0.0) is made[0]
    plans.remember(ME, "d", plan(A), 0.0)
    assert [plans.recall(ME, key, 0.0) is not None for key in "abcd"] == [True, False, True, True]
    assert len(plans) == 3


def test_what_is_remembered_again_is_not_the_least_used() -> None:
    plans = RememberedPlans(most=3)
    for key in ("a", "b", "a", "c"):
        plans.remember(ME, key, plan(A), 0.0)
    assert [plans.recall(ME, key, 0.0) is not None for key in "abc"] == [True, False, True]


def test_the_number_of_turns_is_bounded() -> None:
    plans = RememberedPlans()
    for _ in range(3 * TURNS):
        plans.remember(ME, "k", plan(A), 0.0)
    assert len(plans) == TURNS


def test_nobody_gets_the_plan_of_another_client() -> None:
    plans = RememberedPlans()
    plans.remember(ME, "k", plan(A), 0.0)
    plans.remember(OTHER, "k", plan(B), 0.0)
    assert [firsts(plans, 1, client=client) for client in (ME, OTHER, NOBODY)] == [["a"], ["b"], ["-"]]
    assert [plans.has_any_of(client) for client in (ME, OTHER, NOBODY)] == [True, True, False]


def test_when_a_plan_was_made_for_a_client_is_told_whatever_it_asked_for() -> None:
    plans = RememberedPlans()
    for at, key in enumerate("klk"):
        plans.remember(ME, key, plan(A), float(at))
    assert [plans.was_let_in(ME, since) for since in (0.0, 2.0, 2.1)] == [True, True, False]
    assert plans.recall(ME, "k", 2.0) is not None
    assert plans.was_let_in(ME, 2.0)
    assert not plans.was_let_in(OTHER, 0.0)
    plans.forget_client(ME)
    assert not plans.was_let_in(ME, 0.0)


def test_of_a_client_that_is_not_let_in_any_more_nothing_is_kept() -> None:
    plans = RememberedPlans()
    for key in "kl":
        plans.remember(ME, key, plan(A), 0.0)
    plans.remember(OTHER, "k", plan(B), 0.0)
    plans.forget_client(ME)
    plans.forget_client(NOBODY)
    assert [firsts(plans, 1, key=key) for key in "kl"] == [["-"], ["-"]]
    assert firsts(plans, 1, client=OTHER) == ["b"]
    assert not plans.has_any_of(ME)
    assert len(plans) == 1


def test_clients_whose_plans_have_gone_are_gone() -> None:
    plans = RememberedPlans(most=1)
    plans.remember(ME, "k", plan(A), 0.0)
    plans.remember(OTHER, "k", plan(A), 0.0)
    assert not plans.has_any_of(ME)
    assert plans.recall(OTHER, "k", LIFE_S + 1) is None
    assert not plans.has_any_of(OTHER)
