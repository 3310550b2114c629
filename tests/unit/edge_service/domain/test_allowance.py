from __future__ import annotations

import pytest

from edge_service.domain.allowance import LEAST_S, MOST_S, allowed_s
from edge_service.domain.errors import InvalidRequestError

NAME = b"x-forebay-timeout-s"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"0.001", LEAST_S), (b"86400", MOST_S), (b" 2.5\t", 2.5), (b"007", 7.0), (b"1.123456789", 1.123456789)],
)
def test_a_number_of_seconds_is_read(value: bytes, seconds: float) -> None:
    assert allowed_s([(b"accept", b"*/*"), (NAME, value)]) == seconds


def test_who_says_nothing_allows_any_time() -> None:
    assert allowed_s([(b"accept", b"*/*")]) is None


@pytest.mark.parametrize(
    "values",
    [
        *([value] for value in (b"", b"0", b"0.0009", b"86400.1", b"-1", b"+1", b"1e3", b"1s", b"nan", b"inf", b"1,2")),
        *([value] for value in (b".5", b"5.", b"1 2", b"1_000", b"\xd9\xa1", b"9" * 5000)),
        [b"1", b"1"],
    ],
)
def test_what_is_none_is_a_mistake_of_the_client(values: list[bytes]) -> None:
    with pytest.raises(InvalidRequestError, match=r"from 0\.001 to 86400") as caught:
        allowed_s([(NAME, value) for value in values])
    assert caught.value.param == NAME.decode()
