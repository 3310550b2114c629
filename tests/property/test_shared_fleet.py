"""Several resolvers over one real server, of whose connections any may break at any time: whatever is asked and
reported, and wherever, every turn is one request's, one request probes, and no cool-down gets shorter."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_service.adapters.stores_redis.health import Change, HealthMirror
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.ports import Wanted
from resolver_service.domain.health import Availability, failed, probe_taken, succeeded
from resolver_service.domain.policy import CoolDownBounds, Disposition
from resolver_service.domain.selection import claim
from tests.support.catalogs import cluster, member, pool, raw_member
from tests.support.valkey import Store

RESOLVERS = 3
SCOPE = "one/m#0"
PATIENT_S = 10.0
SAME_S = 0.5
"""What instants may differ by on their way; the steps of time are longer."""
BOUNDS = CoolDownBounds()
ENTRY = cluster("c", member(pool("p", member("x", 2), member("y")), 2), raw_member("raw"))

Step: TypeAlias = tuple[str, int, int]
who, many = st.integers(0, RESOLVERS - 1), st.integers(1, 5)
steps = st.one_of(
    st.tuples(st.just("ask"), who, many),
    st.tuples(st.just("fail"), who, many),
    st.tuples(st.just("told"), who, st.integers(1, 300)),
    st.tuples(st.just("serve"), who, many),
    st.tuples(st.just("probe"), who, st.integers(0, 2)),
    st.tuples(st.just("lose"), who, st.integers(0, 2)),
)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="forebay-shared-") as directory:
        server = Store(Path(directory))
        yield server
        server.stop()


class Ahead:
    """A clock that goes as the server's does, and can be put forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s

    def reach(self, instant: float) -> None:
        self.ahead_s += max(0.0, instant - self())


class SharedFleet:
    def __init__(self, store: Store, clock: Ahead) -> None:
        self._store, self._clock = store, clock
        self.states = [RedisState(store.url, clock, PATIENT_S) for _ in range(RESOLVERS)]
        self._turns: set[tuple[object, int]] = set()
        self._floor = 0.0
        """No resolver's cool-down ends before."""
        self._names = itertools.count()
        self._under_way: list[str] = []
        """Changes whose answers are awaited."""
        for state in self.states:
            self._watch(state._mirrors.health)

    def _watch(self, mirror: HealthMirror) -> None:
        changes, told, untell = mirror.changes, mirror.told, mirror.untell

        def leaving() -> list[Change]:
            leave = changes()
            self._under_way += [change.scope for change in leave]
            return leave

        def arrived(change: Change, *arguments: Any, **named: Any) -> None:
            self._under_way.remove(change.scope)
            told(change, *arguments, **named)

        def lost() -> None:
            for scope in mirror._under_way:
                self._under_way.remove(scope)
            untell()

        mirror.changes, mirror.told, mirror.untell = leaving, arrived, lost  # type: ignore[method-assign,assignment]

    async def settled(self) -> None:
        """Every resolver has the store, all of them know the same, and no cool-down got shorter."""

        def is_so() -> bool:
            known = [state.stores.health.get(SCOPE) for state in self.states]
            ends = [health.cooling_until_at or 0.0 for health in known]
            return (
                min(ends) >= self._floor - SAME_S
                and not any(state.is_degraded or state._mirrors.health._changed for state in self.states)
                and not self._under_way
                and len({(h.generation, h.reason, str(sorted(h.tallies.items()))) for h in known}) == 1
            )

        await until(is_so)

    async def ask(self, number: int, times: int) -> None:
        state = self.states[number]
        before = state.losses, state.is_degraded
        wanted = claim(ENTRY, lambda target: True)
        granted = await state.take([Wanted(f"{next(self._names)}", wanted) for _ in range(times)])
        if before == (state.losses, False):
            taken = [turn for each in granted for turn in each.turns.items()]
            assert not self._turns & set(taken), "a turn was two requests'"
            assert len(set(taken)) == len(taken)
            self._turns |= set(taken)

    def fail(self, number: int, times: int, told_s: float | None = None) -> None:
        """Under the generation that this resolver hands out."""
        health = self.states[number].stores.health
        for _ in range(times):
            after = failed(
                health.get(SCOPE),
                generation=health.latest,
                disposition=Disposition.SERVER_ERROR if told_s is None else Disposition.RATE_LIMITED,
                retry_after_s=told_s,
                now=self._clock(),
                bounds=BOUNDS,
                latest=health.latest,
            )
            health.put(SCOPE, after)
            self._floor = max(self._floor, after.cooling_until_at or 0.0)

    async def serve(self, number: int) -> None:
        """What was planned when all knew the same has come to a good end."""
        await self.settled()
        health = self.states[number].stores.health
        was = health.get(SCOPE)
        health.put(SCOPE, succeeded(was, generation=health.latest, latest=health.latest))
        self._floor = 0.0
        await self.settled()

    async def probe(self, winner_does: int) -> None:
        """All ask at a time once the cool-down is over."""
        await self.settled()
        ends_at = max(state.stores.health.get(SCOPE).cooling_until_at or 0.0 for state in self.states)
        self._clock.reach(ends_at)
        if self.states[0].stores.health.get(SCOPE).availability(self._clock()) is not Availability.PROBE:
            return
        losses = [state.losses for state in self.states]
        answers = await asyncio.gather(
            *(s.take([Wanted(f"{next(self._names)}", None, (SCOPE,))]) for s in self.states for _ in range(2))
        )
        if losses != [state.losses for state in self.states]:  # Each went by itself, or some did.
            for at, (each,) in enumerate(answers):
                self.states[at // 2].give_back(each.holder, each.probes)
            await until(lambda: not self._store.ask("EXISTS", f"forebay:probe:{SCOPE}"))
            return
        won = [(at // 2, each) for at, (each,) in enumerate(answers) if each.probes]
        assert len(won) == 1, "not one request of all probes"
        number, granted = won[0]
        health = self.states[number].stores.health
        if winner_does == 0:
            self.states[number].give_back(granted.holder, granted.probes)
            await until(lambda: not self._store.ask("EXISTS", f"forebay:probe:{SCOPE}"))
            return
        health.put(SCOPE, probe_taken(health.get(SCOPE), holder=granted.holder, now=self._clock()))
        if winner_does == 1:
            self.fail(number, 1)
        else:
            await self.serve(number)
        await until(lambda: not self._store.ask("EXISTS", f"forebay:probe:{SCOPE}"))

    async def lose(self, how: int) -> None:
        kinds = ("pubsub", "normal", "normal")
        with contextlib.suppress(Exception):  # It may be one of those that are closed.
            self._store.ask("CLIENT", "KILL", "TYPE", kinds[how])
        if how == 2:
            self._store.ask("SCRIPT", "FLUSH")

    async def check(self) -> None:
        await self.settled()
        for state in self.states:
            health = state.stores.health.get(SCOPE)
            assert health.generation <= state.stores.health.latest


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not holds():
            await asyncio.sleep(0.002)


async def happens(store: Store, todo: list[Step]) -> None:
    store.ask("FLUSHALL")
    it = SharedFleet(store, Ahead())
    keeping = [asyncio.create_task(state.keep()) for state in it.states]
    try:
        await asyncio.gather(*(state.begun() for state in it.states))
        for what, number, times in todo:
            match what:
                case "ask":
                    await it.ask(number, times)
                case "fail":
                    it.fail(number, times)
                case "told":
                    it.fail(number, 1, float(times))
                case "serve":
                    await it.serve(number)
                case "probe":
                    await it.probe(times)
                case "lose":
                    await it.lose(times)
        await it.check()
    finally:
        for state in it.states:
            state.stop()
        await asyncio.gather(*keeping)


@settings(max_examples=25)
@given(todo=st.lists(steps, min_size=3, max_size=16))
def test_resolvers_that_share_keep_their_promises(store: Store, todo: list[Step]) -> None:
    asyncio.run(happens(store, todo))
