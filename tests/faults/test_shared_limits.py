"""Row 29 of the fault matrix, for clients' limits: two resolvers that share a store, and an edge at each."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx2
import pytest

from tests.support.faulty_upstream import Script, says
from tests.support.fleet import PATIENT_S, Fleet, fleet
from tests.support.keys import MINE, OTHERS, client, clients
from tests.support.scripts import hangs
from tests.support.setup import config_text, until

ENDS = "forebay:limits:ends:mine"


async def ask_all(it: Fleet, requests: int) -> Counter[int]:
    """By status, of so many at once at each edge."""
    came = await asyncio.gather(*(it.ask(number % 2) for number in range(2 * requests)))
    return Counter(response.status_code for response in came)


async def hold(it: Fleet, number: int) -> None:
    """Waits until so many requests are under way, as the store has it."""

    async def do() -> bool:
        return bool(it.store.ask("ZCARD", ENDS) == number)

    await until(do)


@contextlib.asynccontextmanager
async def limited(directory: Path, script: Script, answer_s: float = PATIENT_S, **limits: int) -> AsyncIterator[Fleet]:
    def config(urls: Sequence[str]) -> str:
        return config_text(*urls) + clients(client(MINE, "mine", limits=limits), client(OTHERS, "others"))

    async with fleet(directory, script, config=config, answer_s=answer_s) as it:
        yield it


async def test_a_limit_is_one_over_all_resolvers_and_is_told_as_one(tmp_path: Path) -> None:
    async with limited(tmp_path, says("hi"), rpm=10, tpm=100_000) as it:
        left = [(await it.ask(number % 2)).headers["x-ratelimit-remaining-requests"] for number in range(4)]
        assert left == ["9", "8", "7", "6"]
        assert await ask_all(it, 10) == {200: 6, 429: 14}
        assert len(it.providers[0].calls) == 10
        for edge in range(2):
            refused = await it.ask(edge)
            assert refused.status_code == 429
            wait_ms = int(refused.headers["retry-after-ms"])
            assert 40_000 < wait_ms <= 60_000
            assert int(refused.headers["retry-after"]) == -(-wait_ms // 1000)
            assert refused.headers["x-ratelimit-limit-requests"] == "10"
            assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await it.ask(0, OTHERS)).status_code == 200


async def test_requests_one_after_the_other_are_never_two_at_a_time(tmp_path: Path) -> None:
    async with limited(tmp_path, says("hi"), concurrent=1) as it:
        for number in range(20):
            assert (await it.ask(number // 10)).status_code == 200
            await hold(it, 0)


async def test_limits_outlive_a_resolver(tmp_path: Path) -> None:
    async with limited(tmp_path, says("hi"), rpm=3) as it:
        for _ in range(3):
            assert (await it.ask(0)).status_code == 200
        it.resolvers[0].process.send_signal(signal.SIGKILL)
        assert (await it.ask(1)).status_code == 429


async def test_an_edge_that_is_killed_holds_nothing_for_long(tmp_path: Path) -> None:
    async with limited(tmp_path, hangs(), concurrent=1) as it:
        asking = asyncio.create_task(it.ask(0))
        await hold(it, 1)
        assert (await it.ask(1)).status_code == 429
        it.edges[0].process.send_signal(signal.SIGKILL)
        with contextlib.suppress(httpx2.HTTPError):
            await asking

        async def ends_soon() -> bool:
            seconds, _ = it.store.ask("TIME")
            (_, ends_at) = it.store.ask("ZRANGE", ENDS, 0, -1, "WITHSCORES")
            return bool(float(ends_at) / 1000 - int(seconds) <= 61)

        await until(ends_soon)
        it.providers[0].script = says("hi")
        (decision, _) = it.store.ask("ZRANGE", ENDS, 0, -1, "WITHSCORES")
        it.store.ask("ZADD", ENDS, 1, decision)  # As if the minute were over.
        assert (await it.ask(1)).status_code == 200


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_the_store_each_resolver_counts_for_itself_and_nothing_is_counted_twice(
    tmp_path: Path, how: str
) -> None:
    async with limited(tmp_path, says("hi"), answer_s=0.5, rpm=20) as it:
        assert await ask_all(it, 4) == {200: 8}
        if how == "killed":
            it.store.stop()
            await it.stand(degraded=True)
            assert await ask_all(it, 3) == {200: 6}
            it.store.start()
        else:
            with it.store.frozen():
                assert await ask_all(it, 3) == {200: 6}
                await it.stand(degraded=True)
        await it.stand(degraded=False)

        async def are_told() -> bool:
            return bool(it.store.ask("ZSCORE", "forebay:limits:requests:mine", "sum") == -14)

        await until(are_told)
        assert await ask_all(it, 5) == {200: 6, 429: 4}


async def test_each_resolver_holds_the_whole_limit_while_the_store_is_away(tmp_path: Path) -> None:
    async with limited(tmp_path, says("hi"), rpm=4) as it:
        it.store.stop()
        await it.stand(degraded=True)
        assert await ask_all(it, 6) == {200: 8, 429: 4}
        it.store.start()
        await it.stand(degraded=False)
        assert (await it.ask(0)).status_code == 429
