"""What became of an attempt, and whether the request may move on from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


_QUOTA, _CREDENTIAL = Disposition.QUOTA, Disposition.CREDENTIAL
_CREDENTIAL_STATUSES = frozenset({401, 402, 403})
"""Answers that speak of the gateway's own account. Clients are told neither the status nor the body: it is not their
key that is wrong, and such bodies quote keys. A 403 that is about the request all the same is told like any other fault
of it."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A provider's error answer as it came, for passing it on."""

    headers: tuple[tuple[bytes, bytes], ...]
    """Those that clients may see."""
    content: bytes


def no_answer() -> None:
    """There is none that may be passed on."""


@dataclass(slots=True)
class Outcome:
    """How an attempt failed."""

    disposition: Disposition
    status: int = 0
    """The provider's HTTP status; 0 if none came."""
    retry_after_s: float | None = None
    """As the provider said it."""
    answer: Callable[[], ErrorAnswer | None] = no_answer
    """The provider's own, if it may be passed on: found out for the one failure that a client is told of."""
    detail: str = ""
    """What happened, in words that may be shown to anyone."""
    is_unfit: bool = False
    """Nothing was sent: the target's dialect cannot say what the request asks for."""
    is_blameless: bool = False
    """It says nothing of the target's health."""
    by_rule: bool = False
    """The disposition is what a rule of the provider's says, whatever the status stands for elsewhere."""

    @property
    def told_as(self) -> Disposition:
        """As what the client hears of it."""
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
"""Whatever a target has said is more useful."""


def most_useful(outcomes: list[Outcome]) -> Outcome:
    """Of the failures of one request the one to tell the client of: the first by rank, of equals the last.

    A failure that ended the walk because no other target would do better, such as a fault of the request itself, comes
    before them all.
    """
    return min(reversed(outcomes), key=_rank)


def _rank(outcome: Outcome) -> int:
    return _UNFIT_RANK if outcome.is_unfit else _RANKS.get(outcome.told_as, -1)
