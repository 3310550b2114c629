"""How long a decision that nobody closes counts as under way."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

GRACE_S = 60.0
"""How much longer a decision counts whose time is over, or whose stream broke: reports may be on their way, or come
again on the next stream."""
MOST_COUNTED = 100_000
"""Decisions; some 60 MB. Those beyond it are not counted."""
MOST_AT_ONCE = 500
"""Decisions to drop in one go, while requests wait: a millisecond or two."""
_TICK_S = 5.0
"""Leases end up to this much late, which spares a look at each of them at each request."""


@dataclass(slots=True)
class _Lease:
    tick: int
    """After which it is over."""
    of_its_caller: set[str] | None
    """The ids of all decisions that were asked for on the same stream."""


class Leases:
    """The decisions under way. One that is not ended lapses when its lease is over: `GRACE_S` after the longest time
    that its plan allows, or after the stream broke on which it was asked for."""

    def __init__(self, lapsed: Callable[[str], None]) -> None:
        """`lapsed` is called with each decision whose lease is over, and must call `end`."""
        self._lapsed = lapsed
        self._leases: dict[str, _Lease] = {}
        self._ending: dict[int, set[str]] = {}
        """Decisions by the tick after which their leases are over."""
        self._callers: dict[object, set[str]] = {}
        """Decisions by the stream they were asked for on."""
        self._left: deque[tuple[int, set[str]]] = deque()
        """Those of streams that broke, and the tick after which they count no longer, the earliest first."""
        self._tick = 0

    def begin(self, decision_id: str, until_at: float, caller: object = None) -> bool:
        """False if there are too many. `caller` identifies the stream that asked for it, if it was one."""
        if len(self._leases) >= MOST_COUNTED:
            return False
        lease = _Lease(_tick(until_at + GRACE_S), None)
        if caller is not None:
            lease.of_its_caller = self._callers.setdefault(caller, set())
            lease.of_its_caller.add(decision_id)
        self._leases[decision_id] = lease
        self._ending.setdefault(lease.tick, set()).add(decision_id)
        return True

    def end(self, decision_id: str) -> None:
        """Of a decision that has begun and has not ended."""
        lease = self._leases.pop(decision_id)
        ending = self._ending[lease.tick]
        ending.discard(decision_id)
        if not ending:
            del self._ending[lease.tick]
        if lease.of_its_caller is not None:
            lease.of_its_caller.discard(decision_id)

    def caller_left(self, caller: object, now: float) -> Iterable[str]:
        """The caller's stream broke, and it may be dead: its decisions lapse after `GRACE_S`. Returns their ids."""
        decisions = self._callers.pop(caller, None)
        if decisions:
            self._left.append((_tick(now + GRACE_S), decisions))
        return tuple(decisions or ())

    def forget(self, now: float) -> None:
        """Lapses the decisions whose leases are over: at most `MOST_AT_ONCE`, and the others with the next calls."""
        if not self._leases:
            self._left.clear()
            return
        tick = int(now // _TICK_S)
        if tick == self._tick:
            return
        while self._left and not self._left[0][1]:
            self._left.popleft()
        over = [decisions for t, decisions in (*self._ending.items(), *self._left) if t <= tick]
        forgotten = 0
        for decisions in over:
            for decision_id in list(islice(decisions, MOST_AT_ONCE - forgotten)):
                self._lapsed(decision_id)
                forgotten += 1
            if decisions:
                return
        self._tick = tick


def _tick(at: float) -> int:
    """The first tick that is not before it."""
    return math.ceil(at / _TICK_S)
