"""What a resolver begins with: the configuration that the others serve from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from resolver_service.adapters.stores_redis.record import RedisRecord
from resolver_service.app.ports import AwayError, Kept, ReadOnlyError

AGAIN_S = 0.5
"""How often a server that is away is asked."""

_log = structlog.get_logger("forebay.resolver.config")


@dataclass(frozen=True, slots=True)
class Beginning:
    kept: Kept
    is_of_record: bool
    """It is what the store has; else it is a copy of what it had once."""


async def begin(record: RedisRecord, seed: Callable[[], Kept | None], copy: Callable[[], Kept | None]) -> Beginning:
    """Puts `seed` into a store that is empty; of several resolvers that do, one does.

    While the store is away it begins with the copy, and waits for the store if there is none: to serve from another
    configuration than the others is worse than to come late. Raises `ReadOnlyError` if the store has none and there is
    no seed, or what it has cannot be read, and what `seed` raises.
    """
    told = False
    while True:
        try:
            return Beginning(await _of_record(record, seed), is_of_record=True)
        except AwayError as error:
            if (copied := await asyncio.to_thread(copy)) is not None:
                _log.warning("store_away_copy_used", error=str(error), revision=copied.revision.number)
                return Beginning(copied, is_of_record=False)
            if not told:
                _log.warning("store_away_waiting", error=str(error))
            told = True
        await asyncio.sleep(AGAIN_S)


async def _of_record(record: RedisRecord, seed: Callable[[], Kept | None]) -> Kept:
    kept = await asyncio.to_thread(record.latest)
    if kept is None and (first := await asyncio.to_thread(seed)) is not None:
        await asyncio.to_thread(record.seed, first.revision, first.text)
        kept = await asyncio.to_thread(record.latest)
    if kept is None:
        raise ReadOnlyError(
            "the store has no configuration: start one resolver with --config FILE, which puts it there"
        )
    return kept
