"""The rules for a walk through targets: how many to try, how long to wait, and what moves on to the next.

How they are written, and which of several blocks wins, is in `resolver_service.domain.config_policy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST_COOL_DOWN_S = 24 * 3600.0
"""No configuration allows a longer one."""


class Disposition(StrEnum):
    """What became of an attempt; the words of a failover policy."""

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


class OnExhausted(StrEnum):
    """What to do with a request for which no target is available."""

    REJECT = "reject"
    LEAST_BAD = "least-bad"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; the meaning of each phase is told in `config.example.yaml`."""

    connect_s: float = 5.0
    headers_s: float = 60.0
    first_content_s: float = 120.0
    idle_s: float = 90.0
    total_s: float = 600.0
    stream_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Failover:
    """Differences from the default of which dispositions move on."""

    never: tuple[Disposition, ...] = ()
    also: tuple[Disposition, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with every field settled."""

    attempts: int = 10
    on_exhausted: OnExhausted = OnExhausted.REJECT
    timeouts: Timeouts = Timeouts()
    failover: Failover = Failover()


@dataclass(frozen=True, slots=True)
class CoolDownBounds:
    """How long a provider may ask to be left alone. What asks for less or more is taken to ask for this."""

    min_s: float = 1.0
    max_s: float = 300.0
    """No other cool-down is longer, either."""


DEFAULT_BOUNDS = CoolDownBounds()
