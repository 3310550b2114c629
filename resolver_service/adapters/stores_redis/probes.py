"""Probes: those that the server has given to decisions made here, and those that are still to be given back to it."""

from __future__ import annotations

from collections.abc import Callable


class ProbeMirror:
    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note
        self._held: dict[str, str] = {}
        """By scope: the decision that holds each."""
        self.released: list[tuple[str, str]] = []

    def won(self, scope: str, holder: str) -> None:
        self._held[scope] = holder

    def is_held(self, scope: str, holder: str) -> bool:
        return self._held.get(scope) == holder

    def let_go(self, scope: str, holder: str) -> None:
        if self.is_held(scope, holder):  # Else the server does not know of it.
            del self._held[scope]
            self.released.append((scope, holder))
            self._note()
