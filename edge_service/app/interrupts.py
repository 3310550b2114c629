"""One way to interrupt a request's task, whatever the reason: a time-out, a client that left, the gateway's
shutdown."""

from __future__ import annotations

import asyncio
from enum import StrEnum

_TURNS = 3
"""Turns of the event loop for which a deadline that has passed waits for what moves it: if it was this process that was
held up, what came in time may be unread still, and has then to wake the task."""


class Reason(StrEnum):
    TOTAL = "total"
    HEADERS = "headers"
    FIRST_CONTENT = "first-content"
    IDLE = "idle"
    STREAM = "stream"
    CLIENT_GONE = "client-gone"
    DRAINING = "draining"


class Interrupts:
    """Cancels the task it was made in when a deadline passes, or when told to; `reason` then tells why.

    Deadlines move often, at each chunk of a stream, and pass rarely. So moving one is an assignment: a single timer
    looks at them when the soonest that it knew of is due, and sleeps on if that one has moved.

    From `fire` to `take` there is one reason. Deadlines that pass in between wait for `take`.
    """

    __slots__ = ("_cancelling", "_closed", "_looks_at", "_loop", "_task", "_timer", "deadlines", "now", "reason")

    def __init__(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a coroutine that runs is run by a task
        self._task = task
        self._cancelling = task.cancelling()
        self.now = loop.time
        self.deadlines: dict[Reason, float] = {}
        """On the clock of `now`. A deadline that is set may be moved later by writing to this dict; all else goes
        through `within` and `lift`."""
        self._timer: asyncio.Handle | None = None
        self._looks_at = 0.0
        """When the timer is due. The timer itself cannot tell: uvloop has none for what is due within half a
        millisecond."""
        self._closed = False
        self.reason: Reason | None = None

    def within(self, reason: Reason, seconds: float) -> None:
        """Sets the deadline anew, from now; 0 means no limit."""
        if not seconds:
            self.deadlines.pop(reason, None)
            return
        due = self.deadlines[reason] = self.now() + seconds
        if self._timer is None or self._looks_at > due:
            self._arm(due)

    def lift(self, *reasons: Reason) -> None:
        """Drops these deadlines."""
        for reason in reasons:
            self.deadlines.pop(reason, None)

    def fire(self, reason: Reason) -> None:
        """Cancels the task, unless it has been already. Of several reasons, a client that left counts most; a
        shutdown counts more than a deadline, after which the walk would go on."""
        if self._closed:
            return
        if self.reason is None:
            self.reason = reason
            self._task.cancel()
        elif reason is Reason.CLIENT_GONE or (reason is Reason.DRAINING and self.reason is not Reason.CLIENT_GONE):
            self.reason = reason

    def take(self) -> Reason | None:
        """The reason, if the task was cancelled by `fire` alone; the cancellation is then undone. Call it where
        `CancelledError` was caught."""
        reason, self.reason = self.reason, None
        if reason is None or self._task.uncancel() > self._cancelling:
            return None
        if self.deadlines and self._timer is None:
            self._arm(min(self.deadlines.values()))
        return reason

    def close(self) -> None:
        """After this nothing is interrupted any more."""
        if self._closed:
            return
        self._closed = True
        self.deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = self._loop.call_at(due, self._look), due

    def _look(self, turns: int = _TURNS) -> None:
        self._timer = None
        if not self.deadlines or self.reason is not None:
            return
        reason, due = min(self.deadlines.items(), key=lambda item: item[1])
        if due > self.now():
            self._arm(due)
        elif turns:
            self._timer = self._loop.call_soon(self._look, turns - 1)
        else:
            del self.deadlines[reason]
            self.fire(reason)
