from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from resolver_service.app import watch
from resolver_service.app.status import State, Status, TargetStatus
from resolver_service.app.watch import MOST_REVISIONS_TOLD, Bell, Watch
from tests.support.resolving import Resolving

TEXT = """
providers: [{id: one, dialect: openai, base-url: "https://one.example/v1", models: [a, b, c]}]
# %d
"""


class Watched:
    def __init__(self) -> None:
        self.it = it = Resolving(TEXT)
        self.bell = Bell()
        status = Status(it.configuration, it.health, it.drains, it.in_flight, it.reports.recent, it.clock)
        self.watch = Watch(status, self.bell)

    async def offer(self, number: int) -> None:
        await self.it.configuration.offer((TEXT % number).encode())
        self.bell.ring()


async def next_of(events: AsyncGenerator[Any, None]) -> Any:
    async with asyncio.timeout(20):
        event = await anext(events)
    return (event.target_id, event.state) if isinstance(event, TargetStatus) else event


async def test_who_is_slow_is_told_how_things_are_and_not_all_that_has_been() -> None:
    watched = Watched()
    events = watched.watch.events(0)
    assert await next_of(events) == 1
    for _ in range(1000):
        watched.it.fail("one/a#0")
        watched.it.operator.clear("one/a#0")
        watched.bell.ring()
    watched.it.fail("one/b#0")
    watched.bell.ring()
    assert await next_of(events) == ("one/b#0", State.COOLING)
    watched.it.operator.clear("one/b#0")
    watched.bell.ring()
    assert await next_of(events) == ("one/b#0", State.READY)
    await events.aclose()


async def test_who_is_far_behind_is_told_of_the_present_revision_alone() -> None:
    watched = Watched()
    await watched.offer(1)
    events = watched.watch.events(1)
    assert await next_of(events) == 2
    for number in range(2, 5):
        await watched.offer(number)
    assert [await next_of(events) for _ in range(3)] == [3, 4, 5]
    await events.aclose()
    assert list(watch._numbers(1, 1 + MOST_REVISIONS_TOLD)) == list(range(2, 2 + MOST_REVISIONS_TOLD))
    assert list(watch._numbers(1, 2 + MOST_REVISIONS_TOLD)) == [2 + MOST_REVISIONS_TOLD]


async def test_that_time_is_up_is_told_without_anybody_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.001)
    watched = Watched()
    watched.it.fail("one/a#0", retry_after_s=5)
    events = watched.watch.events(1)
    assert await next_of(events) == ("one/a#0", State.COOLING)
    watched.it.clock.advance(6)
    assert await next_of(events) == ("one/a#0", State.PROBING)
    await events.aclose()


async def test_a_target_that_is_configured_no_more_is_not_out_any_more() -> None:
    watched = Watched()
    watched.it.operator.drain("one/c#0")
    events = watched.watch.events(1)
    assert await next_of(events) == ("one/c#0", State.DRAINED)
    await watched.it.configuration.offer(TEXT.replace(", c]", "]").encode())
    watched.bell.ring()
    assert [await next_of(events) for _ in range(2)] == [2, ("one/c#0", State.READY)]
    await events.aclose()


async def test_the_end_ends_it_and_nobody_is_left_waiting() -> None:
    watched = Watched()
    events = watched.watch.events(1)
    waiting = asyncio.create_task(anext(events, "over"))
    while not watched.bell._waiting:
        await asyncio.sleep(0)
    watched.watch.close()
    async with asyncio.timeout(20):
        assert await waiting == "over"
    assert not watched.bell._waiting
