from __future__ import annotations

from resolver_service.app.receipts import KEPT_S, Receipts


def test_a_report_is_new_once() -> None:
    receipts = Receipts()
    reports = [("d", "t", "Failed"), ("d", "t", "Ended"), ("d", "u", "Failed"), ("e", "t", "Failed")]
    assert [receipts.is_new(report, 5) for report in reports] == [True] * 4
    assert [receipts.is_new(report, 5 + KEPT_S - 1) for report in reports] == [False] * 4


def test_it_is_forgotten_when_its_time_is_over_however_often_it_came_meanwhile() -> None:
    receipts = Receipts(kept_s=10)
    report = ("d", "t", "Failed")
    new_at = [now for now in (0, 4, 9, 10, 11, 19, 20) if receipts.is_new(report, now)]
    assert new_at == [0, 10, 20]


def test_no_more_are_remembered_than_agreed_and_the_earliest_go_first() -> None:
    receipts = Receipts(most=3)
    for number in range(1000):
        assert receipts.is_new((f"d{number}", "t", "Failed"), 0)
    assert len(receipts._taken_in) == 3
    assert not receipts.is_new(("d999", "t", "Failed"), 0)
    assert receipts.is_new(("d1", "t", "Failed"), 0)
