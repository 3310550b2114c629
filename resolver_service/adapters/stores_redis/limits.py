"""Limits: how requests are put to the server, and what it has not been told yet of what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from resolver_service.adapters.stores_redis.link import Argument
from resolver_service.app.leases import GRACE_S
from resolver_service.app.ports import Admission, Clock, Use
from resolver_service.domain.limits import Allowance, Allowances, Kind

MOST_UNTOLD = 50_000
"""Some 15 MB. Beyond it the earliest are forgotten, which leave the minute first; leases free what they hold."""
MOST_AT_ONCE = 200
"""Some milliseconds of the server, which does nothing else meanwhile."""

_KINDS = (None, Kind.REQUESTS, Kind.TOKENS, Kind.CONCURRENT)

_Event = tuple[float, tuple[Argument, ...], tuple[Argument, ...]]
"""When it was, kind and decision, and what belongs to it."""


class LimitsMirror:
    """A `SharedLimits`. It has no counts: those are the server's, and the `ClientLimits`' while that is away."""

    def __init__(self, clock: Clock, note: Callable[[], None]) -> None:
        self._clock = clock
        self._note = note
        self.untold: deque[_Event] = deque(maxlen=MOST_UNTOLD)

    def used(self, decision_id: str, use: Use) -> None:
        self._tell("used", decision_id, use.client_id, use.tokens, use.input_tokens, _ms(use.for_s))

    def withdrawn(self, decision_id: str) -> None:
        self._tell("withdrawn", decision_id, 0)

    def left(self, decision_id: str) -> None:
        self._tell("left", decision_id, 0)

    def ended(self, decision_id: str, tokens: int) -> None:
        self._tell("ended", decision_id, tokens)

    def closed(self, decision_id: str) -> None:
        self._tell("closed", decision_id, 0)

    def orphaned(self, decision_ids: Iterable[str]) -> None:
        for decision_id in decision_ids:
            self._tell("orphaned", decision_id, int(GRACE_S * 1000))

    def taken(self) -> Sequence[_Event]:
        """The earliest that the server has to be told. They count as told, unless `untell` says otherwise."""
        return [self.untold.popleft() for _ in range(min(len(self.untold), MOST_AT_ONCE))]

    def untell(self, events: Sequence[_Event]) -> None:
        kept = events[max(0, len(events) + len(self.untold) - MOST_UNTOLD) :]
        self.untold.extendleft(reversed(kept))

    def said(self, events: Sequence[_Event]) -> list[Argument]:
        """As `limits.lua` reads it. Instants go as ages: clocks of resolvers do not matter."""
        now, said = self._clock(), list[Argument]()
        for at, what, more in events:
            said += (*what, int((now - at) * 1000), *more)
        return said

    def _tell(self, kind: str, decision_id: str, *more: Argument) -> None:
        self.untold.append((self._clock(), (kind, decision_id), more))
        self._note()


def asked(use: Use) -> tuple[Argument, ...]:
    """As `limits.lua` reads it."""
    limits = use.limits
    most = ("" if each is None else each for each in (limits.requests, limits.tokens, limits.concurrent))
    return (b"-1", use.client_id, *most, use.tokens, use.input_tokens, _ms(use.for_s))


def admission(use: Use, answer: Sequence[int]) -> Admission:
    kind_number, wait_ms, requests, requests_ms, tokens, tokens_ms = answer
    limits = use.limits
    allowances = Allowances(
        None if limits.requests is None else Allowance(limits.requests, requests, requests_ms),
        None if limits.tokens is None else Allowance(limits.tokens, tokens, tokens_ms),
    )
    kind = _KINDS[kind_number]
    return Admission(allowances, None if kind is None else (kind, wait_ms))


def _ms(seconds: float | None) -> Argument:
    return "" if seconds is None else int(seconds * 1000)
