"""Tells watchers of revisions and of health, as they change.

Nothing is queued. For each watcher it is known what it was told last; when woken, it is told how the present differs
from that, at whatever pace it reads. So a slow watcher misses short-lived states, but never the present one, and takes
no more memory than there are targets out of service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import TypeAlias

from resolver_service.app.status import Glance, State, Status, TargetStatus

MOST_REVISIONS_TOLD = 200
"""Revisions that are told one by one. A watcher that is further behind is told of the present one only."""
LOOK_S = 1.0
"""How often to look while some target is out: nothing rings when a cool-down ends."""

_SAME_INSTANT_S = 0.001

Event: TypeAlias = "int | TargetStatus"
"""A revision's number, or a target that has another state than it was told of last."""


_Told: TypeAlias = dict[str, tuple[TargetStatus, float]]
"""Targets that are out, and until when."""


class Bell:
    """Wakes whoever waits for it."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        for event in self._waiting:
            event.set()

    @contextlib.contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever it rings, for the time of the block."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)


class Watch:
    def __init__(self, status: Status, bell: Bell) -> None:
        """The bell is to ring when a revision or the health of something is another."""
        self._status = status
        self._bell = bell
        self._is_over = False

    def close(self) -> None:
        """Ends what is watched."""
        self._is_over = True
        self._bell.ring()

    async def events(self, after_revision: int) -> AsyncGenerator[Event, None]:
        """0 for the present revision and all that follow; in either case with the targets that are out at present."""
        told: _Told = {}
        revision = after_revision
        with self._bell.heard() as woken:
            while not self._is_over:
                woken.clear()
                glance = self._status.glance()
                for number in _numbers(revision, glance.revision.number):
                    yield number
                revision = glance.revision.number
                out = await asyncio.to_thread(_out, glance)
                for event in _differences(told, out):
                    yield event
                told = out
                await _wait(woken, LOOK_S if out else None)


async def _wait(woken: asyncio.Event, at_most_s: float | None) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await woken.wait()
    except TimeoutError:
        return


def _numbers(told: int, present: int) -> range:
    """The revisions to tell of. The present number is the smaller one after a restart without state."""
    if told == present:
        return range(0)
    if not 0 < told < present or present - told > MOST_REVISIONS_TOLD:
        return range(present, present + 1)
    return range(told + 1, present + 1)


def _out(glance: Glance) -> _Told:
    return {status.target_id: (status, glance.now + status.retry_after_s) for status in glance.out()}


def _differences(told: _Told, out: _Told) -> list[TargetStatus]:
    back = [TargetStatus(target_id, State.READY) for target_id in told if target_id not in out]
    return back + [
        status for status, until_at in out.values() if _is_news(told.get(status.target_id), status, until_at)
    ]


def _is_news(before: tuple[TargetStatus, float] | None, now: TargetStatus, until_at: float) -> bool:
    """Whether the watcher is to be told. A cool-down that got longer is news, one that goes on is not."""
    if before is None or before[0].state is not now.state:
        return True
    return now.state is State.COOLING and until_at > before[1] + _SAME_INSTANT_S
