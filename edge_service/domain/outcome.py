"""How an attempt failed, and whether the request may move on to the next target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Disposition(StrEnum):
    """The dispositions of `forebay/resolver/v1/plan.proto`, which explains them."""

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

_UNANSWERED = AMBIGUOUS | {Disposition.UNREACHABLE}

OF_THE_REQUEST = frozenset({Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH})
"""The request itself is at fault, which its client is told in the provider's own words."""

_QUOTA, _CREDENTIAL = Disposition.QUOTA, Disposition.CREDENTIAL
_CREDENTIAL_STATUSES = frozenset({401, 402, 403})
"""Statuses about the gateway's own account. Clients are told neither the status nor the body: it is not their
key that is wrong, and such bodies quote keys. A 403 that is about the request all the same is told like any other fault
of it."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A provider's error answer as it came, for passing it on."""

    headers: tuple[tuple[bytes, bytes], ...]
    """The headers that clients may see."""
    content: bytes


def no_answer() -> None:
    """The provider sent no answer that may be passed on."""


@dataclass(slots=True)
class Outcome:
    """How an attempt failed."""

    disposition: Disposition
    status: int = 0
    """The provider's HTTP status; 0 if none came."""
    retry_after_s: float | None = None
    """The wait that the provider asked for, in seconds; None if it asked for none."""
    answer: Callable[[], ErrorAnswer | None] = no_answer
    """Returns the provider's response if it may be passed on; called only for the one failure that a client is told
    of."""
    detail: str = ""
    """What happened, in words that may be shown to anyone."""
    is_unfit: bool = False
    """Nothing was sent: the target's dialect cannot express the request."""
    is_blameless: bool = False
    """The failure says nothing of the target's health."""
    by_rule: bool = False
    """The disposition comes from a configured rule of the provider, whatever the status means elsewhere."""

    @property
    def why(self) -> str:
        """What was in the way, in the gateway's own words, where no status tells it; else empty."""
        return self.detail if not self.status and self.disposition in _UNANSWERED else ""

    @property
    def told_as(self) -> Disposition:
        """The disposition that the client is told."""
        if self.by_rule:
            return self.disposition
        return Disposition.CREDENTIAL if self._is_of_the_account else self.disposition

    @property
    def _is_of_the_account(self) -> bool:
        return self.status in _CREDENTIAL_STATUSES and self.disposition is not Disposition.CLIENT_FAULT

    @property
    def is_for_clients(self) -> bool:
        """Whether the provider's own answer may be passed on. One that speaks of the gateway's account may not, but for
        a 429: that is what the client would be told anyway."""
        if self._is_of_the_account or (self.by_rule and self.status in _CREDENTIAL_STATUSES):
            return False
        if self.disposition is _QUOTA:
            return self.status == 429
        return self.disposition is not _CREDENTIAL


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


_UNFIT_RANK = 6
"""Last: whatever a target has answered is more useful."""


def most_useful(outcomes: list[Outcome]) -> Outcome:
    """The failure of a request to tell the client of: the first by rank, the last of equal rank.

    A failure that ended the walk because no other target would do better, such as a fault of the request itself, comes
    before them all.
    """
    return min(reversed(outcomes), key=_rank)


def _rank(outcome: Outcome) -> int:
    return _UNFIT_RANK if outcome.is_unfit else _RANKS.get(outcome.told_as, -1)
