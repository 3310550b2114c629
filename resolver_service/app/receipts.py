"""Which reports have been taken in, so that one that is sent twice counts once."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

KEPT_S = 600.0
"""An edge sends again what was not acknowledged when its stream broke: seconds later, or after an outage of minutes."""
MOST_KEPT = 200_000
"""Some 25 MB, and minutes at a thousand requests a second. Beyond it the earliest are forgotten."""

Report: TypeAlias = tuple[str, str, str]
"""Decision, target and kind. A plan has a target once, so that no two things that happened share all three."""


class Receipts:
    """Remembers reports for `kept_s`, but at most `most` of them."""

    def __init__(self, kept_s: float = KEPT_S, most: int = MOST_KEPT) -> None:
        self._kept_s = kept_s
        self._most = most
        self._taken_in: set[int] = set()
        """The reports' hashes. In so few, two with the same 64 bits do not come up."""
        self._when: deque[tuple[float, int]] = deque()
        """The earliest first. A dict alone would do, but finds its first entry ever more slowly as others go."""

    def is_new(self, report: Report, now: float) -> bool:
        """Whether the report was not taken in before. From now on it was."""
        when, taken_in = self._when, self._taken_in
        while when and (now - when[0][0] >= self._kept_s or len(when) >= self._most):
            taken_in.discard(when.popleft()[1])
        key = hash(report)
        if key in taken_in:
            return False
        taken_in.add(key)
        when.append((now, key))
        return True
