"""Which reports have been taken in, so that one that is sent twice counts once."""

from __future__ import annotations

KEPT_S = 600.0
"""An edge sends again what was not acknowledged when its stream broke: seconds later, or after an outage of minutes."""
MOST_KEPT = 200_000
"""Some 20 MB, and minutes at a thousand requests a second."""


class Receipts:
    """Remembers reports for `kept_s`, some for up to twice as long, but at most `most` of them: beyond it the earlier
    half is forgotten."""

    def __init__(self, kept_s: float = KEPT_S, most: int = MOST_KEPT) -> None:
        self._kept_s = kept_s
        self._most_of_late = most // 2
        # The reports' hashes. In so few, two with the same 64 bits do not come up.
        self._of_late: set[int] = set()
        self._before: set[int] = set()
        self._until_at = 0.0
        """When those of late have been kept for their time."""

    def __len__(self) -> int:
        return len(self._of_late) + len(self._before)

    def is_new(self, decision_id: str, target_id: str, kind: str, now: float) -> bool:
        """Whether the report was not taken in before. From now on it was.

        A plan has a target once, so that no two things that happened share decision, target and kind. What names no
        decision cannot be told apart, and is new each time.
        """
        if now >= self._until_at or len(self._of_late) >= self._most_of_late:
            self._begin(now)
        of_late, key = self._of_late, hash((decision_id, target_id, kind))
        if key in of_late or key in self._before:
            return not decision_id
        of_late.add(key)
        return True

    def _begin(self, now: float) -> None:
        """Anew. What was of late is kept for once more as long, unless it is older than that."""
        self._before = self._of_late if now < self._until_at + self._kept_s else set()
        self._of_late, self._until_at = set(), now + self._kept_s
