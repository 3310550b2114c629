"""The requests under way, and how they end when the edge does."""

from __future__ import annotations

from edge_service.app.interrupts import Interrupts, Reason


class UnderWay:
    """Whatever serves a request enters its interrupts here while it does."""

    __slots__ = ("_interrupts", "_is_over", "is_draining")

    def __init__(self) -> None:
        self.is_draining = False
        """The edge has been told to stop: requests under way may finish, new ones should go elsewhere."""
        self._is_over = False
        self._interrupts: set[Interrupts] = set()

    def enter(self, interrupts: Interrupts) -> None:
        self._interrupts.add(interrupts)
        if self._is_over:
            interrupts.fire(Reason.DRAINING)

    def leave(self, interrupts: Interrupts) -> None:
        self._interrupts.discard(interrupts)

    def drain(self) -> None:
        self.is_draining = True

    def end(self) -> None:
        """The grace is over: what is left is ended, with an error in the client's dialect."""
        self._is_over = True
        for interrupts in self._interrupts:
            interrupts.fire(Reason.DRAINING)
