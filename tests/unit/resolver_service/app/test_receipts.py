from __future__ import annotations

from resolver_service.app.receipts import KEPT_S, Receipts


def test_a_report_is_new_once() -> None:
    receipts = Receipts()
    reports = [("d", "t", "failed"), ("d", "t", "ended"), ("d", "u", "failed"), ("e", "t", "failed")]
    assert [receipts.is_new(*report, 5) for report in reports] == [True] * 4
    assert [receipts.is_new(*report, 5 + KEPT_S - 1) for report in reports] == [False] * 4


def test_what_names_no_decision_is_new_each_time() -> None:
    receipts = Receipts()
    assert [receipts.is_new("", "t", "failed", 5) for _ in range(3)] == [True] * 3


def test_it_is_remembered_for_its_time_and_forgotten_after_twice_that_however_often_it_came_meanwhile() -> None:
    receipts = Receipts(kept_s=10)
    assert receipts.is_new("e", "t", "failed", 100)
    assert receipts.is_new("d", "t", "failed", 104)
    assert not any(receipts.is_new("d", "t", "failed", now) for now in (105, 109, 110, 113.9))
    assert receipts.is_new("d", "t", "failed", 124)


def test_after_a_rest_nothing_is_remembered() -> None:
    receipts = Receipts(kept_s=10)
    assert receipts.is_new("d", "t", "failed", 100)
    assert receipts.is_new("d", "t", "failed", 120)
    assert len(receipts) == 1


def test_no_more_are_remembered_than_agreed_and_the_earliest_go_first() -> None:
    receipts = Receipts(most=6)
    for number in range(1000):
        assert receipts.is_new(f"d{number}", "t", "failed", 0)
        assert len(receipts) <= 6
    assert not any(receipts.is_new(f"d{number}", "t", "failed", 0) for number in (997, 998, 999))
    assert receipts.is_new("d1", "t", "failed", 0)
