from __future__ import annotations

import tomllib

import pytest

from benchmarks import budget
from benchmarks.budget import CountError, Row


def only(allowed: dict[str, float], counted: dict[str, float]) -> Row:
    (row,) = budget.compared(allowed, counted, 0.05)
    return row


@pytest.mark.parametrize(
    ("counted", "complains", "hints"),
    [(1049, False, False), (1051, True, False), (951, False, False), (949, False, True)],
    ids=["just within", "over", "a little under", "far under"],
)
def test_what_is_dearer_by_more_than_is_tolerated_is_over(counted: float, complains: bool, hints: bool) -> None:
    row = only({"walk": 1000}, {"walk": counted})
    assert (bool(row.complaint), bool(row.hint)) == (complains, hints)


def test_a_complaint_says_by_how_much() -> None:
    row = only({"walk": 1000}, {"walk": 1200})
    assert "+20.0%" in row.complaint
    assert "OVER" in str(row)


def test_a_path_that_only_one_side_knows_is_complained_of() -> None:
    rows = budget.compared({"gone": 10}, {"new": 10}, 0.05)
    assert [(row.path, bool(row.complaint)) for row in rows] == [("new", True), ("gone", True)]


def test_what_it_takes_to_begin_is_not_counted() -> None:
    # Before each pair something that belongs to neither; then N calls of 7 and 2N calls, each with 100 to begin with.
    totals = [9999, 100 + 20 * 7, 100 + 40 * 7, 555, 100 + 20 * 3, 100 + 40 * 3]
    assert budget.per_call(["dear", "cheap"], totals, 20) == {"dear": 7.0, "cheap": 3.0}


def test_missing_marks_are_an_error_and_not_a_figure() -> None:
    with pytest.raises(CountError, match="6 marks, and there are 5"):
        budget.per_call(["one", "other"], [1, 2, 3, 4, 5], 20)


def test_what_is_written_can_be_read() -> None:
    written = budget.written("3.11", {"walk, 50 events": 1234.4}, {"walk, 50 events": 1.2345})
    assert tomllib.loads(written) == {
        "python": "3.11",
        "instructions": {"walk, 50 events": 1234},
        "calibrated": {"walk, 50 events": 1.234},
    }


def test_a_path_on_which_nothing_was_counted_is_not_cheap() -> None:
    with pytest.raises(CountError, match="1 of 2 paths: b"):
        budget.per_call(["a", "b"], [0, 20, 60, 0, 0, 0], 20)
