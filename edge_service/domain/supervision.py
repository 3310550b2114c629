"""Supervises several workers: decides which one is started when, and when all is over.

A worker starts, serves, may announce that it leaves, and ends. If one ends before all have served for the first time,
all are stopped: what kept it from serving is for the user to mend. After that a worker that ends is started again,
after a delay that doubles with each end in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 30.0
LASTING_S = 60.0
"""Whoever has served for so long has not ended for what ended it before."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start the worker after so long."""

    slot: int
    after_s: float


@dataclass(frozen=True, slots=True)
class Announce:
    """All serve, for the first time."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell every worker to stop, and start none any more."""


@dataclass(frozen=True, slots=True)
class Over:
    """No worker is left."""

    status: int
    """For the process to exit with."""


Command = Start | Announce | Stop | Over


class _Phase(Enum):
    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()
    """It accepts no more connections."""
    WAITING = auto()
    """To be started."""
    GONE = auto()


@dataclass(slots=True)
class _Slot:
    phase: _Phase = _Phase.WAITING
    served_at: float | None = None
    """When the worker that is there began to serve."""
    ends: int = 0
    """Ends in a row."""


class Supervision:
    """Each event is told once, in its order, with the time; what it returns is to be done."""

    def __init__(self, workers: int) -> None:
        self._slots = [_Slot() for _ in range(workers)]
        self._is_announced = False
        self._is_stopping = False
        self._status = 0

    @property
    def serving(self) -> tuple[int, ...]:
        """The workers that accept connections."""
        return tuple(number for number, slot in enumerate(self._slots) if slot.phase is _Phase.SERVING)

    @property
    def is_announced(self) -> bool:
        """All have served at one time."""
        return self._is_announced

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    def begin(self) -> Sequence[Command]:
        return [Start(number, 0.0) for number in range(len(self._slots))]

    def started(self, number: int) -> None:
        """A worker that was waited for is there."""
        self._slots[number].phase = _Phase.STARTING

    def served(self, number: int, now: float) -> Sequence[Command]:
        slot = self._slots[number]
        slot.phase, slot.served_at = _Phase.SERVING, now
        if self._is_announced or self._is_stopping or len(self.serving) < len(self._slots):
            return []
        self._is_announced = True
        return [Announce()]

    def leaves(self, number: int) -> None:
        self._slots[number].phase = _Phase.LEAVING

    def ended(self, number: int, status: int, now: float) -> Sequence[Command]:
        """`status` is what a process says of its end: below 0 it is a signal's number."""
        slot = self._slots[number]
        served_at, slot.served_at = slot.served_at, None
        if not self._is_announced and not self._is_stopping:
            slot.phase = _Phase.GONE
            self._status = _exit_status(status) or 1
            return self.stop()
        if self._is_stopping:
            slot.phase = _Phase.GONE
            self._status = self._status or _exit_status(status)
            return self._over()
        slot.phase = _Phase.WAITING
        has_lasted = served_at is not None and now - served_at >= LASTING_S
        slot.ends = 1 if has_lasted else slot.ends + 1
        return [Start(number, min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(slot.ends - 1, 16)))]

    def stop(self) -> Sequence[Command]:
        """A second time it says nothing new."""
        if self._is_stopping:
            return []
        self._is_stopping = True
        for slot in self._slots:
            if slot.phase is _Phase.WAITING:
                slot.phase = _Phase.GONE
        return [Stop(), *self._over()]

    def _over(self) -> Sequence[Command]:
        return [Over(self._status)] if all(slot.phase is _Phase.GONE for slot in self._slots) else []


def _exit_status(status: int) -> int:
    """As a shell has it."""
    return 128 - status if status < 0 else status
