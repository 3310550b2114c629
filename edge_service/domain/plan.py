"""The resolver's answer as the edge walks it. What the fields mean is told in `forebay/resolver/v1/plan.proto`."""

from __future__ import annotations

from dataclasses import dataclass

from edge_service.domain.outcome import Disposition


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 means no limit."""

    connect_s: float = 0.0
    headers_s: float = 0.0
    first_content_s: float = 0.0
    idle_s: float = 0.0
    stream_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """What an error answer comes to if it has all that is told here."""

    disposition: Disposition
    status: int = 0
    """0 for any."""
    body_contains: str = ""
    """Upper and lower case alike; empty for any."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One target to try."""

    target_id: str
    provider: str
    dialect: str
    base_url: str
    upstream_model: str
    credential_ref: str
    reasoning: str = ""
    timeouts: Timeouts = Timeouts()
    never: frozenset[Disposition] = frozenset()
    """Dispositions that do not move on, though they do by default."""
    also: frozenset[Disposition] = frozenset()
    """Dispositions that move on, though they do not by default."""
    probe: bool = False
    """It finds out whether a cooled target is well again, for this one request."""
    health_generation: int = 0
    allow_private: bool = False
    """The provider may be on this machine or in a private network."""
    rules: tuple[AnswerRule, ...] = ()
    """The first that fits counts for more than what is known of errors in general."""


@dataclass(frozen=True, slots=True)
class Plan:
    decision_id: str
    attempts: tuple[Attempt, ...]
    """Each target once, in the order to try them."""
    attempts_allowed: int
    total_s: float
    """Until content has reached the client; 0 means no limit."""
    is_stale: bool = False
    """Remembered from earlier: no resolver could be asked."""
    name: str = ""
    """The configured spelling of the name that was found."""
