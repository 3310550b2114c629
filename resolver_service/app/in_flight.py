"""How many requests each target has in flight, so that no more are sent to it than it takes at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from resolver_service.domain.catalog import Disposition, Scopes
from resolver_service.domain.in_flight import Walk

GRACE_S = 60.0
"""How long a decision counts that was to be over, or whose stream broke: reports may be on their way, or come again on
the next stream."""
MOST_COUNTED = 100_000
"""Decisions; some 60 MB. Those beyond it are not counted."""
MOST_AT_ONCE = 500
"""Decisions to forget between two requests, which wait for it: a millisecond or two."""
_TICK_S = 5.0
"""Leases end up to this much late, which spares a look at each of them at each request."""


@dataclass(slots=True)
class _Counted:
    walk: Walk
    tick: int
    """After which its lease is over."""
    of_its_caller: set[str] | None
    """All that are counted of its caller, by their ids."""


class InFlight:
    """Counts the decisions that are walked by where they are. What is not closed counts until its lease ends.

    It knows what was decided and reported here since the start: other resolvers count for themselves, and plans that an
    edge remembers and walks again in an outage are counted by nobody.
    """

    def __init__(self) -> None:
        self._decisions: dict[str, _Counted] = {}
        self._counts: dict[str, int] = {}
        self._ending: dict[int, set[str]] = {}
        """Decisions by the tick after which their leases are over."""
        self._callers: dict[object, set[str]] = {}
        """Decisions by the stream they were asked for on."""
        self._left: deque[tuple[int, set[str]]] = deque()
        """Those of streams that broke, and the tick after which they count no longer, the earliest first."""
        self._tick = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """By target id, without those that have none. A view, which changes as they do."""
        return self._counts

    def __len__(self) -> int:
        return len(self._decisions)

    def decided(self, decision_id: str, targets: tuple[Scopes, ...], until_at: float, caller: object = None) -> None:
        """A plan of these targets goes out, to be walked at once. `caller` stands for the stream on which it was asked
        for, if it was."""
        if len(self._decisions) >= MOST_COUNTED:
            return
        counted = _Counted(Walk(targets), _tick(until_at + GRACE_S), None)
        if caller is not None:
            counted.of_its_caller = self._callers.setdefault(caller, set())
            counted.of_its_caller.add(decision_id)
        self._decisions[decision_id] = counted
        self._ending.setdefault(counted.tick, set()).add(decision_id)
        self._count(counted.walk.target_id, 1)

    def failed(self, decision_id: str, target_id: str, disposition: Disposition) -> None:
        counted = self._decisions.get(decision_id)
        if counted is not None:
            self._goes_on(decision_id, counted, counted.walk.failed(target_id, disposition))

    def ended(self, decision_id: str, target_id: str) -> None:
        counted = self._decisions.get(decision_id)
        if counted is not None:
            self._goes_on(decision_id, counted, counted.walk.ended(target_id))

    def closed(self, decision_id: str) -> None:
        counted = self._decisions.pop(decision_id, None)
        if counted is None:
            return
        self._count(counted.walk.target_id, -1)
        ending = self._ending[counted.tick]
        ending.discard(decision_id)
        if not ending:
            del self._ending[counted.tick]
        if counted.of_its_caller is not None:
            counted.of_its_caller.discard(decision_id)

    def caller_left(self, caller: object, now: float) -> None:
        """Its stream broke, so that it may be dead: what is not closed soon does not count any longer."""
        decisions = self._callers.pop(caller, None)
        if decisions:
            self._left.append((_tick(now + GRACE_S), decisions))

    def forget(self, now: float) -> None:
        """Those whose leases are over, or some of them if they are very many: the others are next."""
        if not self._decisions:
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
                self.closed(decision_id)
                forgotten += 1
            if decisions:
                return
        self._tick = tick

    def _goes_on(self, decision_id: str, counted: _Counted, walk: Walk | None) -> None:
        if walk is None:
            self.closed(decision_id)
        elif walk is not counted.walk:
            self._count(counted.walk.target_id, -1)
            counted.walk = walk
            self._count(walk.target_id, 1)

    def _count(self, target_id: str, change: int) -> None:
        count = self._counts.get(target_id, 0) + change
        if count:
            self._counts[target_id] = count
        else:
            del self._counts[target_id]


def _tick(at: float) -> int:
    """The first tick that is not before it."""
    return math.ceil(at / _TICK_S)
