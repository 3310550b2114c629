"""Row 29 of the fault matrix, and what several machines promise: two resolvers that share a store, an edge at each, and
clients at both edges who notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.faulty_upstream import Provider, provider, refuses, says
from tests.support.load import load
from tests.support.metrics import exposition
from tests.support.processes import PLAIN, Process, start_edge, start_resolver
from tests.support.setup import config_text, until
from tests.support.valkey import Store

WEIGHTS = (3, 2, 1)


@dataclass
class Fleet:
    store: Store
    resolvers: list[Process]
    edges: list[Process]
    providers: list[Provider]

    @property
    def hits(self) -> list[int]:
        return [len(p.calls) for p in self.providers]

    async def degraded(self) -> list[bool]:
        told = [await exposition(resolver) for resolver in self.resolvers]
        return ["forebay_store_up 0.0" in text for text in told]

    async def share(self, requests: int, client: httpx2.AsyncClient, number: int) -> Counter[str]:
        """Who served so many requests at one edge."""
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
        served: Counter[str] = Counter()
        for _ in range(requests):
            response = await client.post(f"{self.edges[number].address}/v1/chat/completions", json=body)
            assert response.status_code == 200, response.text
            served[response.headers["x-forebay-target"]] += 1
        return served


@contextlib.asynccontextmanager
async def fleet(directory: Path, scripts: int = 3) -> AsyncIterator[Fleet]:
    async with contextlib.AsyncExitStack() as stack:
        store = Store(directory / "valkey")
        stack.callback(store.stop)
        providers = [await stack.enter_async_context(provider(says("hi"))) for _ in range(scripts)]
        text = config_text(*(each.url for each in providers), strategy="round-robin")
        for number, weight in enumerate(WEIGHTS[:scripts]):
            text = text.replace(f"priority: {number}}}", f"weight: {weight}}}")
        config = directory / "forebay.yaml"
        config.write_text(text)
        started: list[Process] = []

        async def stop_all() -> None:
            for process in reversed(started):
                await process.stop()

        stack.push_async_callback(stop_all)
        for number in range(2):
            log = directory / f"resolver{number}.log"
            started.append(await start_resolver(config, "--store", store.url, errors=log))
        addresses = [process.address for process in started]
        for number in range(2):
            its = addresses if number == 0 else addresses[::-1]
            started.append(await start_edge(*its, errors=directory / f"edge{number}.log"))
        yield Fleet(store, started[:2], started[2:], providers)


async def test_rotation_is_exact_over_all_resolvers(tmp_path: Path) -> None:
    async with fleet(tmp_path) as it, httpx2.AsyncClient(timeout=20, verify=PLAIN) as client:
        of_each = await asyncio.gather(*(it.share(30, client, number % 2) for number in range(8)))
        assert sum(of_each, Counter()) == {"p0/m#0": 120, "p1/m#0": 80, "p2/m#0": 40}
        assert await it.degraded() == [False, False]


async def test_what_one_edge_finds_out_cools_for_all(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as it, httpx2.AsyncClient(timeout=20, verify=PLAIN) as client:
        it.providers[0].script = refuses(429)
        await it.share(3, client, 0)
        hits = it.hits[0]

        async def is_known() -> bool:
            return (await it.share(1, client, 1)) == {"p1/m#0": 1}

        await until(is_known)
        assert await it.share(9, client, 1) == {"p1/m#0": 9}
        assert it.hits[0] <= hits + 1


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_lost_store_is_noticed_by_no_client(tmp_path: Path, how: str) -> None:
    async with fleet(tmp_path) as it:

        async def are_degraded() -> bool:
            return await it.degraded() == [True, True]

        async def are_together() -> bool:
            return await it.degraded() == [False, False]

        async with load(it.edges[0].address) as one, load(it.edges[1].address) as other:
            await one.progress(30)
            if how == "killed":
                it.store.stop()
                await until(are_degraded)
                await one.progress(60)
                await other.progress(60)
                it.store.start()
            else:
                with it.store.frozen():
                    await until(are_degraded)
                    await one.progress(60)
                    await other.progress(60)
            await until(are_together)
            await one.progress(30)
        requests = one.requests + other.requests
        assert not one.errors + other.errors
        assert sum(it.hits) == one.served + other.served == requests
        # Turns of both are in what the store has counted in the end; while it was away each took its own.
        for hits, weight in zip(it.hits, WEIGHTS, strict=True):
            assert hits == pytest.approx(requests * weight / sum(WEIGHTS), abs=math.ceil(requests / 20) + 6)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_lost_resolver_is_noticed_by_no_client(tmp_path: Path, number: signal.Signals) -> None:
    async with fleet(tmp_path) as it:
        async with load(it.edges[0].address) as one, load(it.edges[1].address) as other:
            await one.progress(30)
            it.resolvers[0].process.send_signal(number)
            await one.progress(100)
            await other.progress(100)
            if number is signal.SIGSTOP:
                it.resolvers[0].process.send_signal(signal.SIGCONT)
                await one.progress(30)
        assert not one.errors + other.errors
        assert sum(it.hits) == one.served + other.served == one.requests + other.requests
