"""The configuration among resolvers that share a store: takes over what others have changed, and waits until all serve
from what was changed here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from resolver_service.adapters.stores_redis.record import RedisRecord
from resolver_service.adapters.stores_redis.replicas import Place
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.configure import Configuration
from resolver_service.app.ports import AwayError, Kept, PastRevision, ReadOnlyError, Replica, Revision
from resolver_service.domain.config import ConfigError

_log = structlog.get_logger("forebay.resolver.config")


class RedisSiblings:
    """A `Siblings`."""

    def __init__(
        self,
        state: RedisState,
        record: RedisRecord,
        configuration: Configuration,
        keep_copy: Callable[[Revision], None] = lambda revision: None,
        *,
        is_of_record: bool = True,
    ) -> None:
        """`keep_copy` is called in a thread with each revision that has come into effect. `is_of_record`: the present
        configuration was read from the store, and not from a copy that may be old."""
        self._state = state
        self._record = record
        self._configuration = configuration
        self._keep_copy = keep_copy
        self._is_of_record = is_of_record
        self._copied: Place = (0, "")
        self._looked_at: Place = (0, "")
        self._refused: tuple[Place, str] = ((0, ""), "")
        """The configuration of record that this resolver could not put into effect, and why."""

    def check(self) -> None:
        """As the port says."""
        if self._state.is_degraded:
            raise AwayError("the store is away, and nothing can be changed until it is back")

    async def catch_up(self) -> None:
        """As the port says."""
        try:
            changed = await self._configuration.adopt(self._latest)
        except ConfigError as error:
            number = self._looked_at[0]
            why = f"revision {number}, which the store has, is not valid for this resolver: {error}"
            self._refused = (self._looked_at, why)
            raise ReadOnlyError(why) from None
        if changed:
            self._state.replicas.tell()
            _log.info("config_taken_over", revision=self._configuration.current.number)

    async def settled(self, revision: int = 0) -> None:
        """As the port says."""
        await self._state.settled(revision)

    async def replicas(self) -> Sequence[Replica]:
        """As the port says."""
        return await self._state.all_replicas()

    async def begun(self) -> None:
        """Takes over what was changed before the others knew of this resolver, and so did not wait for it."""
        if not self._state.is_degraded:
            with contextlib.suppress(AwayError, ReadOnlyError):
                await self.catch_up()

    async def follow(self) -> None:
        """Takes over what others have changed, until cancelled. What cannot be read changes nothing."""
        told = ""
        while True:
            await self._copy()
            await self._state.record_changed.wait()
            self._state.record_changed.clear()
            try:
                await self.catch_up()
                told = ""
            except ReadOnlyError as error:
                if str(error) != told:
                    told, kept = str(error), self._configuration.current.number
                    _log.error("config_rejected", error=told, kept_revision=kept)
            except AwayError:
                continue  # It is looked at again when the store is back.

    async def _copy(self) -> None:
        if self._copied != self._configuration.place:
            self._copied = self._configuration.place
            await asyncio.to_thread(self._keep_copy, self._configuration.current)

    def _latest(self) -> Kept | None:
        """Reads the configuration of record; puts the present one there if the store has lost it. Called in a thread,
        while nothing else comes into effect. Raises `AwayError` or `ReadOnlyError`."""
        kept = self._record.latest()
        current = self._configuration.current
        if kept is None or (self._is_of_record and kept.revision.number < current.number):
            # The store has lost what it had. Numbers do not go back: the highest that any resolver has is the latest.
            words = "put back into a store that had lost it"
            past = PastRevision(current.number, current.loaded_at, "", words, "", current.digest)
            if self._record.put_back(past, current.text):
                _log.warning("config_put_back", revision=current.number)
            kept = self._record.latest()
        self._is_of_record = True
        if kept is not None:
            self._looked_at = (kept.revision.number, kept.revision.digest)
            if self._looked_at == self._refused[0]:
                raise ReadOnlyError(self._refused[1])
        return kept
