"""Whatever a provider writes into its headers, it comes to a wait that can be kept, or to none."""

from __future__ import annotations

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.dialects import provider_errors
from edge_service.domain.classification import classify
from edge_service.domain.outcome import Disposition
from edge_service.domain.retry_after import MAX_RETRY_AFTER_S, http_s, retry_after_s, span_s

LIMITS = [b"x-ratelimit-reset", b"x-ratelimit-reset-tokens", b"anthropic-ratelimit-requests-reset"]
NAMES = [b"retry-after", b"retry-after-ms", *LIMITS, b"x-ratelimit-remaining-tokens"]

nearly = st.one_of(
    st.from_regex(r"[-+]?[0-9]{0,320}\.?[0-9]{0,9}(e[-+]?[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"([0-9]{1,330}(\.[0-9]{1,3})?(d|h|m|s|ms|us|ns)){1,4}", fullmatch=True),
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})?"
    ),
    st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{2,5} [0-9:]{1,9} (GMT|[-+][0-9]{1,9})", fullmatch=True
    ),
    st.datetimes().map(str),
    st.text(max_size=30),
)
values = st.binary(max_size=40) | nearly.map(str.encode)
nows = st.floats(0, 4e9)


def sound(seconds: float | None) -> bool:
    return seconds is None or (math.isfinite(seconds) and 0 <= seconds <= MAX_RETRY_AFTER_S)


@given(st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5), st.sampled_from(Disposition), nows)
@settings(max_examples=200)
def test_any_headers_are_read(headers: list[tuple[bytes, bytes]], disposition: Disposition, now: float) -> None:
    assert sound(retry_after_s(headers, disposition, now))


@given(nearly, nows)
@settings(max_examples=300)
def test_any_text_is_read(value: str, now: float) -> None:
    assert sound(http_s(value, now))
    assert sound(span_s(value))


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_span_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    total_s = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    told_s = span_s(f"{hours}h{minutes}m{seconds}s{milliseconds}ms")
    assert told_s is not None
    assert math.isclose(told_s, total_s, abs_tol=1e-6)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["34s", "insufficient_quota"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "status", "message", "param", "details", "violations"])
            | st.sampled_from(["reason", "retryDelay", "quotaId"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=500)
def test_any_body_is_read(body: bytes) -> None:
    error = provider_errors.read(body)
    assert sound(error.retry_after_s)
    assert not error.name or error.name in (error.code, error.kind)
    for status in (200, 400, 404, 429, 500, 503, 999):
        assert classify(status, error) is not Disposition.OK
