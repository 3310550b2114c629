"""Resolvers in one process that share a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from resolver_service.adapters.stores_redis.state import RedisState
from tests.support.valkey import Store

PATIENT_S = 10.0
"""For answers of a server that is well, on a machine that is busy with other tests."""


@contextlib.asynccontextmanager
async def resolvers(store: Store, count: int = 2, answer_s: float = PATIENT_S) -> AsyncIterator[list[RedisState]]:
    states = [RedisState(store.url, time.monotonic, answer_s) for _ in range(count)]
    keeping = [asyncio.create_task(state.keep()) for state in states]
    await asyncio.gather(*(state.begun() for state in states))
    try:
        yield states
    finally:
        for state in states:
            state.stop()
        await asyncio.gather(*keeping)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)
