"""How often what came of attempts, of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from resolver_service.domain.catalog import Disposition

WINDOW_S = 300.0
_TICK_S = 30.0
"""Outcomes are forgotten this many seconds' worth at a time: the window is up to so much shorter than it is called."""


class RecentOutcomes:
    """Counts by target. Targets are the configuration's and words this program's, so that there are only so many."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, dict[tuple[str, Disposition], int]]] = deque()

    def note(self, target_id: str, disposition: Disposition, now: float) -> None:
        tick = int(now // _TICK_S)
        if not self._ticks or self._ticks[-1][0] != tick:
            self._forget(tick)
            self._ticks.append((tick, {}))
        counts, key = self._ticks[-1][1], (target_id, disposition)
        counts[key] = counts.get(key, 0) + 1

    def counts(self, now: float) -> Mapping[str, Mapping[Disposition, int]]:
        """By target id, without those that have none."""
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
