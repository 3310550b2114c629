"""Drains: a copy of those that the server has, and those that are still to be written to it."""

from __future__ import annotations

from collections.abc import Callable


class DrainMirror:
    """A `DrainStore`."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.targets: set[str] = set()
        self.untold: dict[str, bool] = {}
        """By target, those to be written: whether it is drained."""
        self._note = note

    def drained(self) -> set[str]:
        return self.targets

    def put(self, target_id: str, *, drained: bool) -> None:
        self.heard(target_id, drained=drained)
        self.untold[target_id] = drained
        self._note()

    def tell_all(self) -> None:
        """Marks all as to be written, since the server has lost its data."""
        self.untold = dict.fromkeys(self.targets, True) | self.untold

    def heard(self, target_id: str, *, drained: bool) -> None:
        if drained:
            self.targets.add(target_id)
        else:
            self.targets.discard(target_id)
