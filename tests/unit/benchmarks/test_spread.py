from __future__ import annotations

import pytest

from benchmarks.spread import percentile, table, told


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (50, 51.0), (99, 100.0), (100, 100.0)], ids=["least", "middle", "99th", "most"]
)
def test_percentiles_of_a_hundred_values(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_one_value_is_told_without_a_spread() -> None:
    assert told([1.5], "{:.1f}x".format) == "1.5x"


def test_several_are_told_by_their_median_and_how_far_they_are_apart() -> None:
    assert told([3.0, 1.0, 2.5], "{:.1f}".format) == "2.5 (1.0–3.0)"  # noqa: RUF001 - a range


def test_a_table_has_its_head_first() -> None:
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_a_cell_is_one_line_whatever_is_in_it() -> None:
    assert table(["a"], [["failed:\nx | y\n"]])[2] == "| failed: x \\| y |"
