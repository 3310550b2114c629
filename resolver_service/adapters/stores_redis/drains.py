"""Drains: what this resolver knows of them, and what the server has not been told yet."""

from __future__ import annotations

from collections.abc import Callable


class DrainMirror:
    """A `DrainStore`."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.targets: set[str] = set()
        self.untold: dict[str, bool] = {}
        self._note = note

    def drained(self) -> set[str]:
        return self.targets

    def put(self, target_id: str, *, drained: bool) -> None:
        self.heard(target_id, drained=drained)
        self.untold[target_id] = drained
        self._note()

    def tell_all(self) -> None:
        """The server has forgotten everything."""
        self.untold = dict.fromkeys(self.targets, True) | self.untold

    def heard(self, target_id: str, *, drained: bool) -> None:
        if drained:
            self.targets.add(target_id)
        else:
            self.targets.discard(target_id)
