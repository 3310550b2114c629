"""What became of an attempt, and whether the request may move on from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType


class Disposition(StrEnum):
    """The words of `forebay/resolver/v1/plan.proto`, which tells what they mean."""

    OK = "ok"
    RATE_LIMITED = "rate-limited"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    MODEL_MISSING = "model-missing"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    EMPTY = "empty"
    CLIENT_FAULT = "client-fault"
    CONTEXT_LENGTH = "context-length"
    CANCELLED = "cancelled"


MOVES_ON = frozenset(
    {
        Disposition.RATE_LIMITED,
        Disposition.QUOTA,
        Disposition.CREDENTIAL,
        Disposition.MODEL_MISSING,
        Disposition.OVERLOADED,
        Disposition.SERVER_ERROR,
        Disposition.TIMEOUT,
        Disposition.BROKEN,
        Disposition.UNREACHABLE,
        Disposition.EMPTY,
    }
)
"""Dispositions after which the next target is tried, unless the policy says otherwise."""

AMBIGUOUS = frozenset({Disposition.TIMEOUT, Disposition.BROKEN})
"""The provider may have run the request, and billed it: a request moves on from one of these once at most."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A provider's error answer as it came, for passing it on."""

    headers: tuple[tuple[bytes, bytes], ...]
    """Those that clients may see."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt failed."""

    disposition: Disposition
    status: int = 0
    """The provider's HTTP status; 0 if none came."""
    retry_after_s: float | None = None
    """As the provider said it."""
    answer: ErrorAnswer | None = None
    detail: str = ""
    """What happened, in words that may be shown to anyone."""


_BY_STATUS: Mapping[int, Disposition] = MappingProxyType(
    {
        401: Disposition.CREDENTIAL,
        402: Disposition.QUOTA,
        403: Disposition.CREDENTIAL,
        404: Disposition.MODEL_MISSING,
        408: Disposition.TIMEOUT,
        429: Disposition.RATE_LIMITED,
        503: Disposition.OVERLOADED,
        504: Disposition.TIMEOUT,
        529: Disposition.OVERLOADED,
    }
)

_BY_CLASS: Mapping[int, Disposition] = MappingProxyType(
    {2: Disposition.OK, 3: Disposition.SERVER_ERROR, 4: Disposition.CLIENT_FAULT, 5: Disposition.SERVER_ERROR}
)


CREDENTIAL_STATUSES = frozenset({401, 402, 403})
"""Answers that speak of the gateway's own account. Clients are told neither the status nor the body: it is not their
key that is wrong, and such bodies quote keys."""


def classify(status: int) -> Disposition:
    """The disposition of an answer with this HTTP status; one that HTTP does not know counts as broken."""
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, Disposition.BROKEN)


MAX_RETRY_AFTER_S = 30 * 24 * 3600.0
"""Whoever asks for more is taken to ask for this: no quota is renewed less often than by the month."""


def retry_after_s(value: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, 10.2.3); None if neither.

    `now` is in seconds since the epoch.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        # A date in C's asctime form names no zone, and is in UTC like all that HTTP knows.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None


_RANKS: Mapping[Disposition, int] = MappingProxyType(
    {
        Disposition.RATE_LIMITED: 0,
        Disposition.QUOTA: 0,
        Disposition.OVERLOADED: 1,
        Disposition.SERVER_ERROR: 2,
        Disposition.BROKEN: 2,
        Disposition.EMPTY: 2,
        Disposition.MODEL_MISSING: 3,
        Disposition.TIMEOUT: 4,
        Disposition.CREDENTIAL: 5,
        Disposition.UNREACHABLE: 5,
    }
)


def most_useful(outcomes: list[Outcome]) -> Outcome:
    """Of the failures of one request the one to tell the client of: the first by rank, of equals the last.

    A failure that ended the walk because no other target would do better, such as a fault of the request itself, comes
    before them all.
    """
    return min(reversed(outcomes), key=_rank)


def _rank(outcome: Outcome) -> int:
    told_as = Disposition.CREDENTIAL if outcome.status in CREDENTIAL_STATUSES else outcome.disposition
    return _RANKS.get(told_as, -1)
