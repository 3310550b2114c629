"""How long a provider asks clients to wait before they retry, in every form that providers use.

Of explicit waits, the first that is there counts:
- `retry-after-ms`, which the official SDKs read first: https://github.com/openai/openai-python#retries
- `Retry-After`, a number of seconds or an HTTP date: RFC 9110, 10.2.3
- `google.rpc.RetryInfo` in the body: https://ai.google.dev/gemini-api/docs/troubleshooting

Else the time at which a rate limit is renewed:
- `x-ratelimit-reset-requests: 6m0s`: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
- `x-ratelimit-reset: 1741305600000`, seconds or an epoch: https://openrouter.ai/docs/api-reference/limits
- `anthropic-ratelimit-tokens-reset: 2026-03-01T12:00:00Z`: https://docs.claude.com/en/api/rate-limits#response-headers
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from edge_service.domain.headers import Headers, first
from edge_service.domain.outcome import Disposition

MAX_RETRY_AFTER_S = 30 * 24 * 3600.0
"""Longer waits are cut to this: no quota is renewed less often than monthly."""

STATUSES = frozenset({429, 503, 529})
"""The statuses of responses that say when to retry."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:d|h|ms|m|s|us|\u00b5s|\u03bcs|ns))+", re.ASCII)
_SPAN_PART = re.compile(r"(\d+(?:\.\d+)?)([a-z\u00b5\u03bc]+)", re.ASCII)
_UNITS_S: Mapping[str, float] = MappingProxyType(
    {
        "d": 86400.0,
        "h": 3600.0,
        "m": 60.0,
        "s": 1.0,
        "ms": 1e-3,
        "us": 1e-6,
        "\u00b5s": 1e-6,
        "\u03bcs": 1e-6,
        "ns": 1e-9,
    }
)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII | re.IGNORECASE)

_EPOCH_S = 1e8
"""A larger number is a time since the epoch, not a wait: as a wait it would be three years, as a time it is 1973."""
_EPOCH_MS = 1e11


def retry_after_s(
    headers: Headers, disposition: Disposition, now: float, in_body_s: float | None = None
) -> float | None:
    """The wait that a response asks for, in seconds from 0 to `MAX_RETRY_AFTER_S`; None if it gives none that is valid.

    `now` is in seconds since the epoch, `in_body_s` is the wait that the body gives. Never raises, whatever the bytes.
    """
    said = dict(reversed(headers))  # Of a repeated header, the first counts.
    if b"retry-after-ms" in said:
        milliseconds = _number(_text(said[b"retry-after-ms"]))
        if milliseconds is not None:
            return _clamped(milliseconds / 1000)
    if b"retry-after" in said:
        seconds = http_s(_text(said[b"retry-after"]), now)
        if seconds is not None:
            return seconds
    if in_body_s is not None:
        return _clamped(in_body_s)
    return _reset_s(headers, said, disposition, now) if disposition in _BY_LIMITS else None


def whole_seconds(seconds: float) -> str:
    """As the value of a Retry-After header: never 0, and never less than was asked for."""
    return str(max(1, math.ceil(seconds)))


def retry_after_headers(headers: Headers, after_s: float | None) -> Headers:
    """The headers that tell a client to wait so long: `Retry-After` in seconds, which all clients know, and in
    milliseconds too if the provider's `headers` did so."""
    if after_s is None:
        return []
    told = [(b"retry-after", whole_seconds(after_s).encode())]
    if first(headers, b"retry-after-ms") is not None:
        told.append((b"retry-after-ms", b"%d" % max(1, round(after_s * 1000))))
    return told


def http_s(value: str, now: float) -> float | None:
    """The seconds that a Retry-After header asks for. HTTP allows no fractions, but providers send them."""
    return _first_of((_number, _date), value, now)


def span_s(value: str) -> float | None:
    """A length of time as Go and Google's JSON write it: `6m0s`, `120ms`, `34.074824224s`."""
    return _clamped(_span(value.strip()))


_BY_LIMITS = frozenset({Disposition.RATE_LIMITED, Disposition.OVERLOADED})
"""Rate-limit headers stand on every answer. Only with these do they say when to come back: a quota that is used up, for
one, has nothing to do with limits that are renewed by the minute."""


def _reset_s(headers: Headers, said: Mapping[bytes, bytes], disposition: Disposition, now: float) -> float | None:
    """Seconds until the exhausted limits are renewed.

    Of limits with nothing left it is the last one's time, since all of them are needed. If no provider header says what
    is left it is the soonest: too early costs one more refusal, too late an idle target. A limit with something left
    may be what a larger request ran into, but has nothing to do with an overload.
    """
    exhausted: list[float] = []
    unknown: list[float] = []
    left: list[float] = []
    for name, value in headers:
        counterpart = _remaining(name)
        if counterpart is None:
            continue
        seconds = _first_of((_number_or_epoch, _span_at, _instant, _date), _text(value), now)
        if seconds is None:
            continue
        remaining = _number(_text(said.get(counterpart)))
        (unknown if remaining is None else exhausted if remaining <= 0 else left).append(seconds)
    if exhausted:
        return max(exhausted)
    if disposition is Disposition.RATE_LIMITED:
        unknown = unknown or left
    return min(unknown, default=None)


def _remaining(name: bytes) -> bytes | None:
    """The name of the header that says what is left of the limit whose reset `name` tells; None if it tells none."""
    if name.startswith(b"x-ratelimit-reset"):
        return name.replace(b"reset", b"remaining", 1)
    if name.startswith(b"anthropic-ratelimit-") and name.endswith(b"-reset"):
        return name.removesuffix(b"reset") + b"remaining"
    return None


_Reader = Callable[[str, float], float | None]


def _first_of(readers: Iterable[_Reader], value: str, now: float) -> float | None:
    for reader in readers:
        seconds = reader(value, now)
        if seconds is not None:
            return _clamped(seconds)
    return None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace").strip()


def _number(value: str, now: float = 0.0) -> float | None:
    value = value.strip()
    number = float(value) if _NUMBER.fullmatch(value) else math.inf
    return number if math.isfinite(number) else None


def _number_or_epoch(value: str, now: float) -> float | None:
    number = _number(value)
    if number is None or number < _EPOCH_S:
        return number
    return (number / 1000 if number >= _EPOCH_MS else number) - now


def _span(value: str) -> float | None:
    if not _SPAN.fullmatch(value):
        return None
    total_s = 0.0
    for number, unit in _SPAN_PART.findall(value):
        total_s += float(number) * _UNITS_S[unit]
    return total_s


def _span_at(value: str, now: float) -> float | None:
    return _span(value)


def _instant(value: str, now: float) -> float | None:
    if not _RFC_3339.fullmatch(value):
        return None
    try:
        return _until(datetime.fromisoformat(value.upper()), now)
    except (ValueError, OverflowError):
        return None


def _date(value: str, now: float) -> float | None:
    try:
        # A date in C's asctime form names no zone, and is in UTC like all that HTTP knows.
        return _until(parsedate_to_datetime(value), now)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _until(instant: datetime, now: float) -> float:
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() - now


def _clamped(seconds: float | None) -> float | None:
    """Within bounds; None for what is not finite, since sums and differences of finite numbers may overflow."""
    if seconds is None or not math.isfinite(seconds):
        return None
    if seconds <= 0.0:
        return 0.0
    return seconds if seconds < MAX_RETRY_AFTER_S else MAX_RETRY_AFTER_S
