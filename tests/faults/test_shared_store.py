"""Row 29 of the fault matrix, and what several machines promise: two resolvers that share a store, an edge at each, and
clients at both edges who notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.faulty_upstream import refuses, says
from tests.support.fleet import PATIENT_S, Fleet, fleet
from tests.support.load import load
from tests.support.setup import config_text, until

WEIGHTS = (3, 2, 1)


def weighted(urls: Sequence[str]) -> str:
    text = config_text(*urls, strategy="round-robin")
    for number, weight in enumerate(WEIGHTS[: len(urls)]):
        text = text.replace(f"priority: {number}}}", f"weight: {weight}}}")
    return text


@contextlib.asynccontextmanager
async def weighing(directory: Path, members: int = 3, answer_s: float | None = None) -> AsyncIterator[Fleet]:
    scripts = [says("hi")] * members
    async with fleet(directory, *scripts, config=weighted, both=True, answer_s=answer_s) as it:
        yield it


async def share(it: Fleet, requests: int, edge: int) -> Counter[str]:
    """Who served so many requests at one edge."""
    served: Counter[str] = Counter()
    for _ in range(requests):
        response = await it.ask(edge)
        assert response.status_code == 200, response.text
        served[response.headers["x-forebay-target"]] += 1
    return served


async def test_rotation_is_exact_over_all_resolvers(tmp_path: Path) -> None:
    async with weighing(tmp_path, answer_s=PATIENT_S) as it:
        of_each = await asyncio.gather(*(share(it, 30, number % 2) for number in range(8)))
        assert sum(of_each, Counter()) == {"p0/m#0": 120, "p1/m#0": 80, "p2/m#0": 40}
        assert await it.degraded() == [False, False]


async def test_what_one_edge_finds_out_cools_for_all(tmp_path: Path) -> None:
    async with weighing(tmp_path, 2, answer_s=PATIENT_S) as it:
        it.providers[0].script = refuses(429)
        await share(it, 3, 0)
        hits = it.hits[0]

        async def is_known() -> bool:
            return (await share(it, 1, 1)) == {"p1/m#0": 1}

        await until(is_known)
        assert await share(it, 9, 1) == {"p1/m#0": 9}
        assert it.hits[0] <= hits + 1


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_lost_store_is_noticed_by_no_client(tmp_path: Path, how: str) -> None:
    async with weighing(tmp_path) as it:
        async with load(it.edges[0].address) as one, load(it.edges[1].address) as other:
            await one.progress(30)
            if how == "killed":
                it.store.stop()
                await it.stand(degraded=True)
                await one.progress(60)
                await other.progress(60)
                it.store.start()
            else:
                with it.store.frozen():
                    await it.stand(degraded=True)
                    await one.progress(60)
                    await other.progress(60)
            await it.stand(degraded=False)
            await one.progress(30)
        requests = one.requests + other.requests
        assert not one.errors + other.errors
        assert sum(it.hits) == one.served + other.served == requests
        # Turns of both are in what the store has counted in the end; while it was away each took its own.
        for hits, weight in zip(it.hits, WEIGHTS, strict=True):
            assert hits == pytest.approx(requests * weight / sum(WEIGHTS), abs=math.ceil(requests / 20) + 6)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_lost_resolver_is_noticed_by_no_client(tmp_path: Path, number: signal.Signals) -> None:
    async with weighing(tmp_path) as it:
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
