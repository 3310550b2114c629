from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from edge_service.domain.outcome import Disposition
from edge_service.domain.retry_after import MAX_RETRY_AFTER_S, http_s, retry_after_s, span_s, whole_seconds

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
LIMITED = Disposition.RATE_LIMITED
OVERLOADED = Disposition.OVERLOADED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20", 20.0),
        (" 20 ", 20.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e400", None),
        ("1e300", MAX_RETRY_AFTER_S),
        ("99999999999999999999", MAX_RETRY_AFTER_S),
        ("", None),
        ("soon", None),
        ("0x10", None),
        ("20 seconds", None),
        ("\x00", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),
        ("Sun Nov  6 08:49:47 1994", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +99999999", None),
    ],
)
def test_a_retry_after_is_read_in_every_form_of_http(value: str, seconds: float | None) -> None:
    assert http_s(value, NOW) == seconds


@pytest.fixture
def _in_new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
@pytest.mark.parametrize("value", ["Sun Nov  6 08:49:47 1994", "Sun, 06 Nov 1994 08:49:47"])
def test_a_date_without_a_zone_is_in_utc_wherever_the_edge_runs(value: str) -> None:
    assert http_s(value, NOW) == 10.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("6m0s", 360.0),
        ("1s", 1.0),
        ("120ms", 0.12),
        ("1h2m", 3720.0),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("1d", 86400.0),
        ("0s", 0.0),
        ("34.074824224s", 34.074824224),
        ("500us", 0.0005),
        ("500\u00b5s", 0.0005),
        ("40d", MAX_RETRY_AFTER_S),
        ("9" * 400 + "s", None),
        ("34", None),
        ("", None),
        ("s", None),
        ("1.s", None),
        ("-1s", None),
        ("1s 2s", None),
        ("1x", None),
        ("1S", None),
        ("\u0661s", None),
    ],
)
def test_a_length_of_time_is_read_as_go_and_google_write_it(value: str, seconds: float | None) -> None:
    assert span_s(value) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "disposition", "in_body_s", "seconds"),
    [
        ({}, LIMITED, None, None),
        # Said outright.
        ({"retry-after": "20"}, LIMITED, None, 20.0),
        ({"retry-after": "1.5"}, Disposition.SERVER_ERROR, None, 1.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, LIMITED, None, 10.0),
        ({"retry-after-ms": "1500"}, LIMITED, None, 1.5),
        ({"retry-after-ms": "250.5", "retry-after": "9"}, LIMITED, 7.0, 0.2505),
        ({"retry-after-ms": "soon", "retry-after": "9"}, LIMITED, 7.0, 9.0),
        ({"retry-after": "soon"}, LIMITED, 34.5, 34.5),
        ({"retry-after": "1_0"}, LIMITED, None, None),
        ({}, Disposition.QUOTA, 34.5, 34.5),
        ({"retry-after": "9", "x-ratelimit-reset-requests": "6m0s"}, LIMITED, None, 9.0),
        ({"x-ratelimit-reset-requests": "6m0s"}, LIMITED, 7.0, 7.0),
        # By the limits.
        ({"x-ratelimit-reset-requests": "6m0s"}, LIMITED, None, 360.0),
        ({"x-ratelimit-reset-tokens": "120ms"}, OVERLOADED, None, 0.12),
        ({"x-ratelimit-reset-requests-day": "33011.38"}, LIMITED, None, 33011.38),
        ({"x-ratelimit-reset": "20"}, LIMITED, None, 20.0),
        ({"x-ratelimit-reset": "784111797"}, LIMITED, None, 20.0),
        ({"x-ratelimit-reset": "784111797500"}, LIMITED, None, 20.5),
        ({"x-ratelimit-reset": "784111000"}, LIMITED, None, 0.0),
        ({"x-ratelimit-reset": "Sun, 06 Nov 1994 08:49:47 GMT"}, LIMITED, None, 10.0),
        ({"anthropic-ratelimit-requests-reset": "1994-11-06T08:49:57Z"}, LIMITED, None, 20.0),
        ({"anthropic-ratelimit-tokens-reset": "1994-11-06t08:49:57.5z"}, LIMITED, None, 20.5),
        ({"anthropic-ratelimit-tokens-reset": "1994-11-06T09:49:57+01:00"}, LIMITED, None, 20.0),
        ({"anthropic-ratelimit-tokens-reset": "1994-11-06T08:49:57"}, LIMITED, None, 20.0),
        ({"anthropic-ratelimit-tokens-reset": "1994-13-06T08:49:57Z"}, LIMITED, None, None),
        ({"anthropic-ratelimit-tokens-reset": "0001-01-01T00:00:00+14:00"}, LIMITED, None, 0.0),
        ({"x-ratelimit-reset": "soon"}, LIMITED, None, None),
        ({"x-ratelimit-limit-requests": "60"}, LIMITED, None, None),
        # Nothing but a limit is renewed with one.
        ({"x-ratelimit-reset-requests": "6m0s"}, Disposition.QUOTA, None, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, Disposition.SERVER_ERROR, None, None),
    ],
)
def test_what_an_answer_asks_for(
    headers: dict[str, str], disposition: Disposition, in_body_s: float | None, seconds: float | None
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    expected = None if seconds is None else pytest.approx(seconds)
    assert retry_after_s(raw, disposition, NOW, in_body_s) == expected


REQUESTS, TOKENS = (b"x-ratelimit-reset-requests", b"8s"), (b"x-ratelimit-reset-tokens", b"40s")


def left(limit: str, what: str) -> tuple[bytes, bytes]:
    return f"x-ratelimit-remaining-{limit}".encode(), what.encode()


@pytest.mark.parametrize(
    ("headers", "limited", "overloaded"),
    [
        ([REQUESTS, TOKENS], 8.0, 8.0),
        ([REQUESTS, TOKENS, left("requests", "59"), left("tokens", "0")], 40.0, 40.0),
        ([REQUESTS, TOKENS, left("requests", "0"), left("tokens", "10")], 8.0, 8.0),
        ([REQUESTS, TOKENS, left("requests", "0"), left("tokens", "0")], 40.0, 40.0),
        ([REQUESTS, TOKENS, left("requests", "0")], 8.0, 8.0),
        ([REQUESTS, TOKENS, left("requests", "59")], 40.0, 40.0),
        ([REQUESTS, TOKENS, left("requests", "59"), left("tokens", "10")], 8.0, None),
        ([REQUESTS, TOKENS, left("requests", "many")], 8.0, 8.0),
        ([TOKENS, left("tokens", "-1")], 40.0, 40.0),
        (
            [
                (b"anthropic-ratelimit-requests-reset", b"1994-11-06T08:49:57Z"),
                (b"anthropic-ratelimit-requests-remaining", b"49"),
                (b"anthropic-ratelimit-input-tokens-reset", b"1994-11-06T08:50:37Z"),
                (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
            ],
            60.0,
            60.0,
        ),
    ],
)
def test_the_limit_that_is_reached_counts(
    headers: list[tuple[bytes, bytes]], limited: float | None, overloaded: float | None
) -> None:
    assert retry_after_s(headers, LIMITED, NOW) == limited
    assert retry_after_s(headers, OVERLOADED, NOW) == overloaded


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (19.2, "20")])
def test_whole_seconds_are_never_too_few(seconds: float, header: str) -> None:
    assert whole_seconds(seconds) == header


@pytest.mark.parametrize(
    "value", ["9" * 32_000 + "s", "1s" * 16_000 + "x", "1." * 16_000, "-" * 32_000, "Sun, " * 6_400]
)
def test_no_value_takes_long_to_read(value: str) -> None:
    began_at = time.process_time()
    assert span_s(value) is None
    assert (
        retry_after_s([(b"retry-after", value.encode()), (b"x-ratelimit-reset", value.encode())], LIMITED, NOW) is None
    )
    assert time.process_time() - began_at < 1.0, "it would hold up every other request"
