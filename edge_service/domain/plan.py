"""The resolver's answer as the edge walks it. What the fields mean is told in `forebay/resolver/v1/plan.proto`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge_service.domain.client_limits import ClientLimits
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
class Quirks:
    """In what the provider differs from others that speak its dialect; the defaults are what others do."""

    max_tokens_field: str = "max_tokens"
    system_role: str = "system"
    drop: frozenset[str] = frozenset()
    """Top-level fields of requests that it does not take."""
    auth_header: str = ""
    """`bearer`, or the name of a header that holds the credential alone; empty: as the dialect has it."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Sent with every request."""
    api_version: str = ""
    """The query parameter `api-version`; empty for none."""
    deployment_paths: bool = False
    """Paths are `/openai/deployments/MODEL/chat/completions` and the like, behind the base URL."""
    takes: frozenset[str] = frozenset()
    """Fields that it takes, though many providers do not; in the words of `x-forebay-dropped`."""
    lacks: frozenset[str] = frozenset()
    """Fields that it does not take, though most providers do; in the same words."""
    rename: tuple[tuple[str, str], ...] = ()
    """Top-level fields of requests that it calls by other names, each with its own for it."""
    efforts: tuple[str, ...] = ()
    """The words that it takes for how hard to think; none where that is not known."""
    effort_field: str = "reasoning_effort"
    """Where they stand; or `reasoning.effort`."""
    thoughts: tuple[str, ...] = ()
    """The fields of messages in which it takes thoughts back."""
    max_stops: int = 4
    call_id_chars: int = 0
    """How many letters and digits the ids of calls must have; 0 where any will do."""


NO_QUIRKS = Quirks()


@dataclass(frozen=True, slots=True)
class Params:
    """What becomes of the top-level fields of a request, in the provider's own names."""

    set_json: bytes = b""
    """A JSON object; empty for none. These fields replace what the client said."""
    default_json: bytes = b""
    """Likewise. These fill in what the client left out."""
    drop: frozenset[str] = frozenset()
    """These are removed."""


NO_PARAMS = Params()


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
    quirks: Quirks = NO_QUIRKS
    responses: bool = False
    """The provider has the Responses API."""
    params: Params = NO_PARAMS
    max_output_tokens: int = 0
    """The most that the model generates; 0 where it is not known."""


class Plan(NamedTuple):
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
    depends_on_needs: bool = False
    """A request with other needs may get another plan."""
    limits: ClientLimits | None = None
    """What the client may still do; None if it has no limits."""
