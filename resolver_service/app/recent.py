"""The outcomes of the last minutes, counted by target."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import TypeAlias

from resolver_service.domain.policy import Disposition

WINDOW_S = 300.0
_TICK_S = 30.0
"""Outcomes are forgotten this many seconds' worth at a time: the window is up to so much shorter than it is called."""

_Counts: TypeAlias = defaultdict[tuple[str, Disposition], int]


class RecentOutcomes:
    """Counts by target and disposition. Neither comes from clients, which bounds their number."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, _Counts]] = deque()
        """The latest last."""
        self._until_at = 0.0
        """When the latest is over."""
        self._counts: _Counts = defaultdict(int)
        """Those of the latest."""

    def note(self, target_id: str, disposition: Disposition, now: float) -> None:
        if now >= self._until_at:
            tick = int(now // _TICK_S)
            self._forget(tick)
            self._until_at, self._counts = (tick + 1) * _TICK_S, defaultdict(int)
            self._ticks.append((tick, self._counts))
        self._counts[target_id, disposition] += 1

    def counts(self, now: float) -> Mapping[str, Mapping[Disposition, int]]:
        """By target id, without zeros."""
        self._forget(int(now // _TICK_S))
        found: dict[str, dict[Disposition, int]] = {}
        for _, counts in self._ticks:
            for (target_id, disposition), count in counts.items():
                of_target = found.setdefault(target_id, {})
                of_target[disposition] = of_target.get(disposition, 0) + count
        return found

    def _forget(self, tick: int) -> None:
        while self._ticks and self._ticks[0][0] <= tick - WINDOW_S // _TICK_S:
            self._ticks.popleft()
