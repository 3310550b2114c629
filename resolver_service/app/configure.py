"""Takes configurations in: validate, keep, then swap in one step, or keep what is running."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from resolver_service.app.considerate import considerate, let_go
from resolver_service.app.ports import ConflictError, History, HistoryError, Kept, Parsed, PastRevision, Revision
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_summary import diff, summary

Parse = Callable[[bytes], Parsed]

FILE = "file"
"""The author of what somebody wrote into the file."""

GONE_S = 1.0
"""After so long, nothing uses a replaced configuration any more."""


def digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration that is valid and to come into effect."""

    base: Revision
    """What it was made from."""
    text: bytes
    parsed: Parsed
    author: str


class Configuration:
    """The one writer of the configuration in effect.

    `current` is replaced whole, so that a resolve sees all of one revision or all of another. Rotation and health are
    kept elsewhere and survive.
    """

    def __init__(
        self,
        parse: Parse,
        wall_clock: Callable[[], float],
        initial: bytes,
        history: History | None = None,
        changed: Callable[[], None] = lambda: None,
        kept: PastRevision | None = None,
    ) -> None:
        """`changed` is called after each swap. With a shared store, `kept` is the store's revision of this text, and
        there is no history. Without either, every start begins with revision 1. Raises `ConfigError` if the initial
        configuration is invalid: there is nothing to fall back to."""
        self._parse = parse
        self._wall_clock = wall_clock
        self._history = history
        self._changed = changed
        self._one_at_a_time = asyncio.Lock()
        self.accepted = 0
        self.rejected = 0
        """How many of the configurations offered were put into effect, and how many were invalid."""
        parsed = parse(initial)
        self._current = _revision(kept, initial, parsed) if kept else self._first(initial, parsed)

    @property
    def current(self) -> Revision:
        return self._current

    async def offer(self, text: bytes, is_there_still: Callable[[], bool] = lambda: True) -> bool:
        """Puts the file's text into effect; False if it is running already.

        A change may have been written since the file was read. `is_there_still` tells whether the file still has this
        text; it is called in a thread, while nothing else can be written. If it has not, nothing is done: the newer
        text will be offered. Raises `ConfigError` with everything that is wrong, and then nothing has changed.
        """
        async with self._one_at_a_time:
            if digest_of(text) == self._current.digest or not await asyncio.to_thread(is_there_still):
                return False
            with considerate():
                return await self._take(text)

    async def _take(self, text: bytes) -> bool:
        parsed = await self.parse(text)
        revision = self._next(text, parsed)
        # What cannot be kept is in effect all the same: it stands in the file.
        if self._history:
            past = await asyncio.to_thread(_past, self._current, revision, FILE)
            with contextlib.suppress(HistoryError):
                await asyncio.to_thread(self._history.keep, past, text)
        self._swap(revision)
        return True

    async def parse(self, text: bytes) -> Parsed:
        """In a thread: thousands of pools take a while, and resolves must not wait for them. Raises `ConfigError`."""
        try:
            return await asyncio.to_thread(self._parse, text)
        except ConfigError:
            self.rejected += 1
            raise

    async def adopt(self, latest: Callable[[], Kept | None]) -> bool:
        """Puts the shared store's configuration into effect; False if it is running already.

        `latest` reads it, in a thread. Raises what that raises, or `ConfigError`, and then nothing has changed.
        """
        async with self._one_at_a_time:
            kept = await asyncio.to_thread(latest)
            if kept is None or (kept.revision.number, kept.revision.digest) == self.place:
                return False
            with considerate():
                self._swap(_revision(kept.revision, kept.text, await self.parse(kept.text)))
            return True

    @property
    def place(self) -> tuple[int, str]:
        """The number and digest of the running configuration, which together are no other's."""
        return self._current.number, self._current.digest

    async def accept(self, proposal: Proposal, write: Callable[[PastRevision], PastRevision]) -> Revision:
        """Puts a proposal into effect. It is kept before it is written, and a crash in between leaves a revision that
        was never in effect, behind which the next start puts what the file says.

        Raises `ConflictError` if another configuration has come into effect, `HistoryError`, or what `write`
        raises; then nothing has changed.
        """
        async with self._one_at_a_time:
            if self._current is not proposal.base:
                raise ConflictError("another change has come first")
            revision = self._next(proposal.text, proposal.parsed)
            past = await asyncio.to_thread(_past, self._current, revision, proposal.author)
            if self._history:
                await asyncio.to_thread(self._history.keep, past, proposal.text)
            try:
                past = await asyncio.to_thread(write, past)
            except BaseException:
                if self._history:
                    await asyncio.to_thread(self._history.drop, past.number)
                raise
            revision = _revision(past, proposal.text, proposal.parsed)
            self._swap(revision)
            return revision

    def _first(self, text: bytes, parsed: Parsed) -> Revision:
        """The file wins: what is new in it is a new revision."""
        latest = self._history.latest() if self._history else None
        digest, now = digest_of(text), int(self._wall_clock())
        number = latest.number + (latest.digest != digest) if latest else 1
        revision = Revision(number, parsed.catalog, now, digest, parsed.document, text)
        if self._history and (latest is None or latest.number != number):
            told = "the first configuration" if latest is None else "changed while no resolver was running"
            before = self._history.text(latest.number) if latest else text
            past = PastRevision(number, now, FILE, told, diff(before or text, text), digest)
            with contextlib.suppress(HistoryError):
                self._history.keep(past, text)
        return revision

    def _next(self, text: bytes, parsed: Parsed) -> Revision:
        number, now = self._current.number + 1, int(self._wall_clock())
        return Revision(number, parsed.catalog, now, digest_of(text), parsed.document, text)

    def _swap(self, revision: Revision) -> None:
        before, self._current = self._current.catalog, revision
        self.accepted += 1
        self._changed()
        gone = [*before.pools.values(), *before.clusters.values(), *before.models.values()]
        asyncio.get_running_loop().call_later(GONE_S, _let_go, gone)


def _let_go(parts: list[object]) -> None:
    with contextlib.suppress(RuntimeError):  # There are no threads any more: the process ends, and this with it.
        asyncio.get_running_loop().run_in_executor(None, let_go, parts)


def _past(before: Revision, after: Revision, author: str) -> PastRevision:
    told, lines = summary(before.document, after.document), diff(before.text, after.text)
    return PastRevision(after.number, after.loaded_at, author, told, lines, after.digest)


def _revision(kept: PastRevision, text: bytes, parsed: Parsed) -> Revision:
    return Revision(kept.number, parsed.catalog, kept.created_at, digest_of(text), parsed.document, text)
