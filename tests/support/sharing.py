"""Resolvers in one process that share a real server: each with its configuration, and what changes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.stores_redis.beginning import begin
from resolver_service.adapters.stores_redis.record import RedisRecord
from resolver_service.adapters.stores_redis.siblings import RedisSiblings
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.configure import Configuration, digest_of
from resolver_service.app.edit import Editor
from resolver_service.app.ports import Clock, Kept, PastRevision
from tests.support.valkey import Store

FIRST = b"""\
providers: [{id: one, dialect: openai, base-url: "https://one.example/v1"}]
model-pools:
  pools:
    # The first one.
    - {id: a, members: [{provider: one, model: m}]}
"""
PATIENT_S = 10.0
"""For answers of a server that is well, on a machine that is busy with other tests."""


def kept(number: int, text: bytes) -> Kept:
    return Kept(PastRevision(number, 1000 + number, "me", f"change {number}", "+a", digest_of(text)), text)


@dataclass
class Sharer:
    record: RedisRecord
    state: RedisState
    configuration: Configuration
    siblings: RedisSiblings
    editor: Editor
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def stop(self) -> None:
        keeping, following = self.tasks
        following.cancel()
        self.state.stop()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.record.close()
        if (error := keeping.exception()) is not None:
            raise error


async def start(store: Store, name: str, seed: bytes = FIRST, copy: Kept | None = None) -> Sharer:
    record = RedisRecord(store.url)
    beginning = await begin(record, lambda: kept(1, seed), lambda: copy)
    first = beginning.kept
    configuration = Configuration(config_yaml.parsed, time.time, first.text, kept=first.revision)
    state = RedisState(store.url, time.monotonic, PATIENT_S, replica_id=name, place=lambda: configuration.place)
    siblings = RedisSiblings(state, record, configuration, is_of_record=beginning.is_of_record)
    editor = Editor(configuration, record, record, amend, provider_edits=False, siblings=siblings)
    sharer = Sharer(record, state, configuration, siblings, editor)
    sharer.tasks = [asyncio.create_task(state.keep()), asyncio.create_task(siblings.follow())]
    await state.begun()
    await siblings.begun()
    return sharer


@contextlib.asynccontextmanager
async def sharers(store: Store, count: int) -> AsyncIterator[list[Sharer]]:
    """All of them begin at once."""
    started = await asyncio.gather(*(start(store, f"r{number}") for number in range(count)))
    try:
        yield started
    finally:
        for sharer in started:
            await sharer.stop()


@contextlib.asynccontextmanager
async def resolvers(
    store: Store, count: int = 2, answer_s: float = PATIENT_S, clocks: Sequence[Clock] = ()
) -> AsyncIterator[list[RedisState]]:
    """`clocks` are those of the first ones; the others have this machine's."""
    its = (*clocks, *(time.monotonic for _ in range(count - len(clocks))))
    states = [RedisState(store.url, clock, answer_s) for clock in its]
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
