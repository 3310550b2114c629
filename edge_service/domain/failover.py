"""The failover machine: told what happened, it says what to do. It knows no socket and no clock.

    resolving --resolved--> attempting --content--> relaying --ended, failed--> done
                             |      ^  \\--ended, nothing left to try--> done
                             +failed+

- Until content has reached the client, a failed attempt is followed by the next target of the plan, as long as the
  policy lets its disposition move on and attempts are left. Afterwards nothing moves.
- A failure after which the provider may have run the request moves on once; and not at all if the request acts on the
  provider, unless the policy says of this very failure that it does.
- Targets that share the cause of a failure are passed over: a credential that is used up or refused, a model that the
  provider does not have.
- Whatever happens, each opened attempt is reported once as failed or ended, and the decision is closed once: by the
  report that an attempt ended, or by one of its own behind the last failure.

Every method takes an event and returns the commands to carry out, in their order. An event that makes no sense in the
machine's state raises `IllegalEventError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import TypeAlias

from edge_service.domain.outcome import AMBIGUOUS, MOVES_ON, Disposition, Outcome, most_useful
from edge_service.domain.plan import Attempt, Plan


@dataclass(slots=True)
class Open:
    """Call this target."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the attempt that is under way."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Begin the answer to the client: what was held back, then all that comes."""


@dataclass(slots=True)
class ReportFailed:
    """Tell the resolver that an attempt did not serve."""

    attempt: Attempt
    outcome: Outcome
    input_tokens: int = 0
    """Tokens that a broken-off response had used; filled in by the walk, since the machine does not know."""
    output_tokens: int = 0


@dataclass(slots=True)
class ReportContent:
    """Tell the resolver that an attempt's first content is there."""

    attempt: Attempt


@dataclass(slots=True)
class ReportEnded:
    """Tell the resolver that an attempt served in full, so that nothing more will come of the plan."""

    attempt: Attempt
    input_tokens: int = 0
    """Tokens used, cached input and reasoning included; 0 if the provider does not say."""
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReportClosed:
    """Tell the resolver that nothing more will come of the plan."""


class Ending(StrEnum):
    """How a request ended."""

    SERVED = "served"
    """The client has, or gets now, a complete answer."""
    FAILED = "failed"
    """No content has reached the client; it is to be told of the outcome."""
    INTERRUPTED = "interrupted"
    """The answer broke off after content had reached the client; it is to be told in the stream."""
    GONE = "gone"
    """Nobody is there to be told."""


@dataclass(slots=True)
class Finish:
    """The request is over."""

    ending: Ending
    outcome: Outcome | None = None
    """The failure to tell the client of, for `FAILED` and `INTERRUPTED`."""


Command: TypeAlias = Open | Cancel | Relay | ReportFailed | ReportContent | ReportEnded | ReportClosed | Finish


class State(StrEnum):
    RESOLVING = "resolving"
    ATTEMPTING = "attempting"
    RELAYING = "relaying"
    DONE = "done"


_RESOLVING, _ATTEMPTING, _RELAYING, _DONE = State


class IllegalEventError(Exception):
    """The event cannot happen in this state: the driver of the machine has a defect."""

    code = "illegal_event"


_LEGAL = {
    "resolved": frozenset({_RESOLVING}),
    "failed": frozenset({_ATTEMPTING, _RELAYING}),
    "unfit": frozenset({_ATTEMPTING}),
    "content": frozenset({_ATTEMPTING}),
    "ended": frozenset({_ATTEMPTING, _RELAYING}),
    "client_gone": frozenset({_RESOLVING, _ATTEMPTING, _RELAYING}),
    "expired": frozenset({_ATTEMPTING}),
    "draining": frozenset({_ATTEMPTING, _RELAYING}),
}

_OF_CREDENTIAL = attrgetter("provider", "credential_ref")
_OF_MODEL = attrgetter("provider", "upstream_model")
_SHARED: Mapping[Disposition, Callable[[Attempt], object]] = MappingProxyType(
    {
        Disposition.QUOTA: _OF_CREDENTIAL,
        Disposition.CREDENTIAL: _OF_CREDENTIAL,
        Disposition.MODEL_MISSING: _OF_MODEL,
    }
)
"""What a failure concerns beyond its target, by disposition: targets that share it would fail alike."""

_RELAY, _SERVED = Relay(), Finish(Ending.SERVED)
_CLIENT_GONE = Outcome(Disposition.CANCELLED, detail="the client went away")
_DRAINING = Outcome(Disposition.CANCELLED, detail="the gateway is shutting down")
_EXPIRED = Outcome(Disposition.TIMEOUT, detail="the time for the whole request ran out")
CUT_SHORT = Outcome(Disposition.TIMEOUT, detail="the time that the client allows ran out", is_blameless=True)
"""Blameless: a client's short time limit says nothing of the target's health."""


def _does_not_act() -> bool:
    return False


class Failover:
    """The walk of one request through its plan."""

    __slots__ = ("_acts", "_ahead", "_ambiguous_moved", "_attempt", "_plan", "_state", "opened", "outcomes")

    def __init__(self) -> None:
        self._state = _RESOLVING
        self._plan: Plan | None = None
        self._acts: Callable[[], bool] = _does_not_act
        self._attempt: Attempt
        """The last attempt that was opened."""
        self._ahead: tuple[Attempt, ...] = ()
        """The attempts that may still be opened."""
        self._ambiguous_moved = False
        self.outcomes: list[Outcome] = []
        """The outcomes of the failed attempts, in order."""
        self.opened = 0
        """How many attempts were opened; the last of them is the one under way."""

    @property
    def state(self) -> State:
        return self._state

    def resolved(self, plan: Plan, acts: Callable[[], bool] = _does_not_act) -> list[Command]:
        """The resolver answered with a plan, which has at least one attempt. `acts` tells whether the request acts on
        the provider beyond being answered; it is called only after an ambiguous failure."""
        self._expect("resolved")
        if not plan.attempts:
            raise IllegalEventError("'resolved' came without anything to try")
        self._plan, self._acts = plan, acts
        self._ahead = plan.attempts
        self._state = _ATTEMPTING
        return [self._open_next()]

    def failed(self, outcome: Outcome) -> list[Command]:
        """The attempt failed: the target refused, broke or was silent for too long."""
        self._expect("failed")
        self.outcomes.append(outcome)
        report = ReportFailed(self._attempt, outcome)
        if self._state is _RELAYING:
            return [report, *self._finish(Ending.INTERRUPTED)]
        shared = _SHARED.get(outcome.disposition)
        if shared is not None:
            cause = shared(self._attempt)
            self._ahead = tuple(attempt for attempt in self._ahead if shared(attempt) != cause)
        if self._moves_on(outcome):
            self._ambiguous_moved |= outcome.disposition in AMBIGUOUS
            return [report, self._open_next()]
        return [report, *self._finish(Ending.FAILED)]

    def unfit(self, detail: str) -> list[Command]:
        """The request cannot be put to the target. Nothing was sent, so that it does not count as an attempt."""
        self._expect("unfit")
        outcome = Outcome(Disposition.CLIENT_FAULT, detail=detail, is_unfit=True)
        self.outcomes.append(outcome)
        self.opened -= 1
        report = ReportFailed(self._attempt, outcome)
        if self._ahead:
            return [report, self._open_next()]
        return [report, *self._finish(Ending.FAILED)]

    def content(self) -> list[Command]:
        """The attempt's first content is there."""
        self._expect("content")
        self._state = _RELAYING
        return [ReportContent(self._attempt), _RELAY]

    def ended(self) -> list[Command]:
        """The attempt's answer is complete. It may be so without content: then that is the answer."""
        self._expect("ended")
        relay: list[Command] = [] if self._state is _RELAYING else [_RELAY]
        self._state = _DONE
        return [*relay, ReportEnded(self._attempt), _SERVED]

    def client_gone(self) -> list[Command]:
        """Nobody waits for the answer any more."""
        self._expect("client_gone")
        if self._state is _RESOLVING:
            self._state = _DONE
            return [Finish(Ending.GONE)]
        return self._break_off(_CLIENT_GONE, Ending.GONE)

    def expired(self, *, by_client: bool = False) -> list[Command]:
        """The time for the whole request ran out before there was content: the policy's, or what the client allows."""
        self._expect("expired")
        return self._break_off(CUT_SHORT if by_client else _EXPIRED, Ending.FAILED)

    def draining(self) -> list[Command]:
        """The grace period of a shutdown is over."""
        self._expect("draining")
        ending = Ending.INTERRUPTED if self._state is _RELAYING else Ending.FAILED
        return self._break_off(_DRAINING, ending)

    def _open_next(self) -> Open:
        self.opened += 1
        self._attempt, self._ahead = self._ahead[0], self._ahead[1:]
        return Open(self._attempt)

    def _moves_on(self, outcome: Outcome) -> bool:
        assert self._plan is not None  # noqa: S101 - for the type checker; `_expect` has seen to it
        if not self._ahead or self.opened >= self._plan.attempts_allowed:
            return False
        disposition, attempt = outcome.disposition, self._attempt
        if disposition in AMBIGUOUS and (self._ambiguous_moved or (disposition not in attempt.also and self._acts())):
            return False
        return disposition in attempt.also or (disposition in MOVES_ON and disposition not in attempt.never)

    def _break_off(self, outcome: Outcome, ending: Ending) -> list[Command]:
        self.outcomes.append(outcome)
        return [Cancel(), ReportFailed(self._attempt, outcome), *self._finish(ending)]

    def _finish(self, ending: Ending) -> list[Command]:
        """Finishes the request after a failure."""
        self._state = _DONE
        tell = None
        if ending is Ending.FAILED:
            tell = most_useful(self.outcomes)
        elif ending is Ending.INTERRUPTED:
            tell = self.outcomes[-1]
        return [ReportClosed(), Finish(ending, tell)]

    def _expect(self, event: str) -> None:
        if self._state not in _LEGAL[event]:
            raise IllegalEventError(f"'{event}' cannot happen while {self._state}")
