"""The record of a request, for the log and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_service.dialects.canonical import Usage
from edge_service.domain.needs import Operation
from edge_service.domain.outcome import AMBIGUOUS, Disposition

MOST_TOKENS = 1_000_000_000


@dataclass(slots=True)
class Tokens:
    """The tokens of an answer, as its provider counts them."""

    input: int = 0
    """Cached input tokens included."""
    output: int = 0
    """Reasoning tokens included."""
    cached: int = 0


def tokens(usage: Usage) -> Tokens:
    """The tokens from a provider's figures, bounded so that a wrong figure does not spoil a counter."""
    return Tokens(
        _bounded(usage.input_tokens),
        _bounded(usage.output_tokens),
        _bounded(usage.cache_read_tokens),
    )


def _bounded(count: int) -> int:
    # Nearly all are within bounds; `max` and `min` take ten times as long as a comparison.
    return count if 0 <= count <= MOST_TOKENS else max(0, min(count, MOST_TOKENS))


@dataclass(slots=True)
class Tried:
    """An attempt that is over."""

    target_id: str
    disposition: Disposition
    status: int
    """The provider's HTTP status; 0 if none came, or if the attempt served."""
    seconds: float
    provider_request_id: str = ""
    """What the provider calls the request; empty if it does not say."""
    tokens: Tokens | None = None
    """Used by a response that broke off, as far as the provider has told; None if it has told none."""
    why: str = ""
    """What was in the way, where no status tells it."""


class Record:
    """One request: filled in while it is served, and read once it is over.

    No text of the client's is in it but the request id, which has been validated: no prompt, and no name that is not
    configured. The same is true of providers' texts.
    """

    name: str = ""
    """The configured name that was found; empty if none was."""
    decision_id: str = ""
    operation: Operation = Operation.GENERATE
    stream: bool = False
    status: int = 0
    """The HTTP status sent to the client; 0 if the client left before. 200 for every stream that began, however it
    ended."""
    ending: str = "failed"
    """A word of `failover.Ending`."""
    code: str = ""
    """The code of the error that the client got; empty if it got none."""
    is_unmetered: bool = False
    """The client has limits, but a remembered plan was used, which enforces none."""
    is_stale: bool = False
    """A remembered plan was used: no resolver could be asked."""
    dropped: tuple[str, ...] = ()
    """The fields that were left out for the target that answered, in the words of `losses.NAMES`."""
    dialect: str = ""
    """The dialect that cannot express them."""
    resolve_s: float = 0.0
    upstream_s: float = 0.0
    """Spent waiting for providers, up to the first content."""
    overhead_s: float = 0.0
    """The gateway's own share of the time until the answer began, in seconds."""
    first_content_s: float | None = None
    """From the request's arrival to the first content of a stream."""

    def __init__(self, request_id: str, arrived_at: float) -> None:
        self.request_id = request_id
        self.arrived_at = arrived_at
        """On the gateway's clock."""
        self.tried: list[Tried] = []
        self.passed_over: list[str] = []
        """The dialects of targets that were passed over, since they cannot express something that the request depends
        on."""

    @property
    def tokens(self) -> Tokens | None:
        """The sum over all attempts; None if no provider told any."""
        if len(self.tried) == 1:
            return self.tried[0].tokens
        told = [tried.tokens for tried in self.tried if tried.tokens is not None]
        if len(told) < 2:
            return told[0] if told else None
        return Tokens(sum(t.input for t in told), sum(t.output for t in told), sum(t.cached for t in told))

    @property
    def possible_duplicates(self) -> int:
        """Attempts that moved on although the provider may have run the request. What is counted twice costs nobody."""
        if len(self.tried) < 2 or self.operation is Operation.COUNT:
            return 0
        return sum([tried.disposition in AMBIGUOUS for tried in self.tried[:-1]])


class Telemetry(Protocol):
    """Watches requests. What it does must be quick and must not fail."""

    def began(self) -> None: ...

    def ended(self, record: Record, now: float) -> None:
        """`now` is on the gateway's clock."""
