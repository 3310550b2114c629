from __future__ import annotations

from edge_service.dialects.reading import Reading


def test_what_is_left_out_and_what_is_bound_is_told_once_in_its_order() -> None:
    reading = Reading()
    for path in ("seed", "user", "seed"):
        reading.leave(path)
    reading.bind("tools.web_search")
    reading.bind("tools.web_search")
    assert reading.unsaid == ("seed", "user")
    assert reading.bound == ("tools.web_search",)


def test_what_is_not_said_is_not_told() -> None:
    reading = Reading()
    reading.leave("user", None)
    reading.bind("store", False)
    assert not reading.unsaid
    assert not reading.bound


def test_a_name_that_no_header_can_hold_is_told_as_another() -> None:
    reading = Reading()
    for path in ("a b", "é", "x" * 81, "x\ny"):
        reading.leave(path)
    assert reading.unsaid == ("(other)",)


def test_no_more_are_told_than_anybody_reads() -> None:
    reading = Reading()
    for number in range(100):
        reading.leave(f"field_{number}")
        reading.bind(f"tools.{number}")
    assert len(reading.unsaid) == len(reading.bound) == 16
