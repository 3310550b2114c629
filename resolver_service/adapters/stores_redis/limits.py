"""Limits: encodes for the server what requests take of their clients' limits, and what became of them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

from resolver_service.adapters.stores_redis.link import Argument
from resolver_service.app.leases import GRACE_S
from resolver_service.app.ports import Admission, Clock, Use
from resolver_service.domain.limits import Allowance, Allowances, Kind

MOST_UNTOLD = 50_000
"""Events; some 15 MB. Beyond it the earliest are dropped: their minute ends first, and leases free what they hold."""
MOST_AT_ONCE = 200
"""Events in one call. They take some milliseconds of the server, which does nothing else meanwhile."""

LEASE_S = 120.0
"""How long the server counts a decision as under way without renewal. If edge and resolver die at the same time, nobody
is left to report its end."""
RENEWED_S = 40.0
"""How often it is renewed, so that two renewals may get lost."""
MOST_RENEWED = 100_000
"""Decisions; some 20 MB."""

_KINDS = (None, Kind.REQUESTS, Kind.TOKENS, Kind.CONCURRENT)

_Event = tuple[float, tuple[Argument, ...], tuple[Argument, ...]]
"""When it happened, then kind and decision id, then further arguments."""


class LimitsMirror:
    """A `SharedLimits`. It keeps no counts: the server does, and `ClientLimits` while that is away."""

    def __init__(self, clock: Clock, note: Callable[[], None]) -> None:
        self._clock = clock
        self._note = note
        self.untold: deque[_Event] = deque(maxlen=MOST_UNTOLD)
        self._open: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """The decisions made here that are under way, the next to be renewed first: when that is, and until when it
        counts at most."""

    def used(self, decision_id: str, use: Use) -> None:
        self._tell("used", decision_id, use.client_id, use.tokens, use.input_tokens, *_terms(use.for_s))
        self.let_in(decision_id, use)

    def let_in(self, decision_id: str, use: Use) -> None:
        """Called when the server has admitted a request: its lease is renewed from now on."""
        if use.for_s is not None and len(self._open) < MOST_RENEWED:
            now = self._clock()
            self._open[decision_id] = (now + RENEWED_S, now + use.for_s)

    def renew(self) -> None:
        """Renews the leases of decisions that are still under way."""
        now = self._clock()
        while self._open:
            decision_id, (renewed_at, until_at) = next(iter(self._open.items()))
            if renewed_at > now:
                return
            del self._open[decision_id]
            if until_at > now:
                self._open[decision_id] = (now + RENEWED_S, until_at)
                self._tell("open", decision_id, int(min(LEASE_S, until_at - now) * 1000))

    def withdrawn(self, decision_id: str) -> None:
        self._open.pop(decision_id, None)
        self._tell("withdrawn", decision_id, 0)

    def left(self, decision_id: str) -> None:
        self._tell("left", decision_id, 0)

    def ended(self, decision_id: str, tokens: int) -> None:
        self._tell("ended", decision_id, tokens)

    def closed(self, decision_id: str) -> None:
        self._open.pop(decision_id, None)
        self._tell("closed", decision_id, 0)

    def orphaned(self, decision_ids: Iterable[str]) -> None:
        for decision_id in decision_ids:
            self._open.pop(decision_id, None)
            self._tell("orphaned", decision_id, int(GRACE_S * 1000))

    def taken(self) -> Sequence[_Event]:
        """Takes out the earliest events, to be sent. If that fails, `untell` puts them back."""
        return [self.untold.popleft() for _ in range(min(len(self.untold), MOST_AT_ONCE))]

    def untell(self, events: Sequence[_Event]) -> None:
        kept = events[max(0, len(events) + len(self.untold) - MOST_UNTOLD) :]
        self.untold.extendleft(reversed(kept))

    def said(self, events: Sequence[_Event]) -> list[Argument]:
        """Events as `limits.lua` reads them. Times are sent as ages: the clocks of resolvers may differ."""
        now, said = self._clock(), list[Argument]()
        for at, what, more in events:
            said += (*what, int((now - at) * 1000), *more)
        return said

    def _tell(self, kind: str, decision_id: str, *more: Argument) -> None:
        self.untold.append((self._clock(), (kind, decision_id), more))
        self._note()


def asked(use: Use) -> tuple[Argument, ...]:
    """A use as `limits.lua` reads it."""
    limits = use.limits
    most = ("" if each is None else each for each in (limits.requests, limits.tokens, limits.concurrent))
    return ("-1", use.client_id, *most, use.tokens, use.input_tokens, *_terms(use.for_s))


def admission(use: Use, answer: Sequence[int]) -> Admission:
    """The answer of `limits.lua` to a use."""
    kind_number, wait_ms, requests, requests_ms, tokens, tokens_ms = answer
    limits = use.limits
    allowances = Allowances(
        None if limits.requests is None else Allowance(limits.requests, requests, requests_ms),
        None if limits.tokens is None else Allowance(limits.tokens, tokens, tokens_ms),
    )
    kind = _KINDS[kind_number]
    return Admission(allowances, None if kind is None else (kind, wait_ms))


def _terms(for_s: float | None) -> tuple[Argument, Argument]:
    """For how many milliseconds it may be reported on, and how many it counts as under way unless it is renewed."""
    return ("", "") if for_s is None else (int(for_s * 1000), int(min(LEASE_S, for_s) * 1000))
