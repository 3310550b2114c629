from __future__ import annotations

import pytest

from resolver_service.domain.durations import duration_s, text_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("0.5h", 1800.0),
        (" 90s ", 90.0),
        ("1ms", 0.001),
        ("168h", 604800.0),
    ],
)
def test_a_number_and_a_unit_are_seconds(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", "write it with a unit, such as 90s"),
        ("1.5", "write it with a unit, such as 90s"),
        ("", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("-5s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("5 s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("5S", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("1m30s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("1d", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("1e3s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("٣s", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("9" * 5000 + "h", "expected one number and a unit, such as 250ms, 90s, 5m or 1h"),
        ("0s", "expected a duration from 1ms to 168h"),
        ("0.1ms", "expected a duration from 1ms to 168h"),
        ("169h", "expected a duration from 1ms to 168h"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message + "$"):
        duration_s(text)


@pytest.mark.parametrize("text", ["99ms", "86401s"])
def test_a_narrower_range_is_told_as_it_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration from 100ms to 24h$"):
        duration_s(text, 0.1, 86_400)


@pytest.mark.parametrize("text", ["1ms", "100ms", "1500ms", "1s", "90s", "5m", "24h", "168h"])
def test_a_duration_is_written_as_people_do(text: str) -> None:
    assert text_of(duration_s(text)) == text


def test_a_duration_that_no_unit_is_for_is_written_in_seconds() -> None:
    assert text_of(0.0001) == "0.0001s"
