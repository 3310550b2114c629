"""Rows 23, 24 and 26 of the fault matrix: the resolver dies, freezes, is slow, starts anew or reads its configuration
again while clients ask. None of them notices, and no provider is called once too often."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.away import away
from tests.support.faulty_upstream import provider, says
from tests.support.load import Load, load
from tests.support.metrics import metrics
from tests.support.processes import PLAIN, start, start_edge
from tests.support.reloading import with_another_name
from tests.support.setup import config_text, setup, until

DEADLINE_S = 0.3
"""Of a resolve."""
PLENTY_S = 10.0
RELOADS = 200


def nothing_happened(it: Load, hits: int) -> None:
    """As far as clients and providers can tell."""
    assert not it.errors
    assert (it.served, hits) == (it.requests, it.requests)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_restarts_under_load_are_seen_by_nobody(tmp_path: Path, number: signal.Signals) -> None:
    async with away(tmp_path) as it:
        async with load(it.edge.address) as asking:
            await asking.progress(100)
            for _ in range(3):
                await it.restart(number)
                await asking.progress(100)
        nothing_happened(asking, it.hits)
        assert asking.slowest_s < PLENTY_S


async def test_a_frozen_resolver_is_seen_by_nobody(tmp_path: Path) -> None:
    async with away(tmp_path) as it:
        async with load(it.edge.address) as asking:
            await asking.progress(100)
            for _ in range(2):
                it.resolver.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(1.0)
                it.resolver.process.send_signal(signal.SIGCONT)
                await asking.progress(100)
        nothing_happened(asking, it.hits)
        assert asking.stale > 0

        async def is_asked_again() -> bool:
            return "x-forebay-stale" not in (await it.chat()).headers

        await until(is_asked_again)


async def test_connections_that_are_cut_are_seen_by_nobody(tmp_path: Path) -> None:
    async with away(tmp_path) as it:
        async with load(it.edge.address) as asking:
            await asking.progress(50)
            for _ in range(10):
                it.proxy.cut()
                await asking.progress(20)
        nothing_happened(asking, it.hits)


async def test_remembered_plans_are_used_at_once_and_in_turn(tmp_path: Path) -> None:
    async with away(tmp_path) as it:
        fresh = [await it.chat(" CHAT ") for _ in range(4)]
        assert [r.headers.get("x-forebay-stale") for r in fresh] == [None] * 4
        await it.resolver.stop(signal.SIGKILL)
        began_at = time.monotonic()
        stale = [await it.chat("chat") for _ in range(20)]
        assert time.monotonic() - began_at < 20 * DEADLINE_S, "each has waited for the resolver"
        assert [(r.status_code, r.headers["x-forebay-stale"]) for r in stale] == [(200, "1")] * 20
        assert [r.headers["x-forebay-target"] for r in stale] == 5 * [r.headers["x-forebay-target"] for r in fresh]
        # Another name, and the same one for a stream, are other questions.
        for fields in ({"model": "m"}, {"model": "chat", "stream": True}):
            began_at = time.monotonic()
            response = await it.client.post("/v1/chat/completions", json={"messages": [], **fields})
            assert time.monotonic() - began_at < PLENTY_S
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert (await it.client.get("/readyz")).status_code == 200
        assert (await metrics(it.edge))["forebay_resolver_up"] == 0, "whoever is paged must hear of it"
        assert it.hits == 24


@pytest.mark.parametrize("fault", ["frozen", "slow"])
async def test_a_resolver_that_misses_the_deadline_is_stood_in_for(tmp_path: Path, fault: str) -> None:
    async with away(tmp_path) as it:
        await it.chat()
        if fault == "frozen":
            it.proxy.freeze()
        else:
            it.proxy.delay_s = 2.0
        for model, status, is_stale in (("chat", 200, "1"), ("m", 503, None), ("chat", 200, "1")):
            began_at = time.monotonic()
            response = await it.chat(model)
            assert time.monotonic() - began_at < PLENTY_S
            assert (response.status_code, response.headers.get("x-forebay-stale")) == (status, is_stale)
        for path in ("/v1/models", "/v1/models/chat"):
            began_at = time.monotonic()
            response = await it.client.get(path)
            assert time.monotonic() - began_at < PLENTY_S
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        it.proxy.delay_s = 0.0
        it.proxy.thaw()

        async def is_asked_again() -> bool:
            return (await it.chat("m")).status_code == 200

        await until(is_asked_again)


async def test_an_error_of_the_resolver_is_not_stood_in_for(tmp_path: Path) -> None:
    async with away(tmp_path) as it:
        assert (await it.chat()).status_code == 200
        it.config.write_text(it.config.read_text().replace("id: chat", "id: other"))

        async def is_unknown() -> bool:
            return (await it.chat()).status_code == 404

        await until(is_unknown)
        await it.resolver.stop(signal.SIGKILL)
        assert (await it.chat()).status_code == 503  # What was remembered was wrong.


async def test_reloads_under_load_are_seen_by_nobody(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        they = [await stack.enter_async_context(provider(says("hello"))) for _ in range(2)]
        config = tmp_path / "forebay.yaml"
        config.write_text(config_text(*(p.url for p in they), strategy="round-robin"))
        arguments = (str(RELOADS), "--config", str(config), "--listen", "127.0.0.1:0")
        resolver = await start("tests.support.reloading", *arguments, errors=tmp_path / "resolver.log")
        stack.push_async_callback(resolver.stop)
        edge = await start_edge(resolver.address, errors=tmp_path / "edge.log")
        stack.push_async_callback(edge.stop)
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=edge.address, verify=PLAIN))
        async with load(edge.address) as asking:
            await asking.progress(20)
            before = asking.served
            resolver.process.send_signal(signal.SIGUSR1)
            await until(lambda: is_listed(client, f"extra-{RELOADS}"), within_s=40)
            assert asking.served > before + 50, "hardly anybody was served meanwhile"
        nothing_happened(asking, sum(len(p.calls) for p in they))
        takes_turns(asking)


async def test_reloads_of_the_file_under_load_are_seen_by_nobody(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello"), says("hello"), strategy="round-robin") as it:
        text = it.config.read_text()
        async with load(it.services.url) as asking:
            for number in range(3):
                name = f"extra-{number}"
                it.config.write_text(with_another_name(text, name))
                await until(lambda name=name: is_listed(it.client, name))
        nothing_happened(asking, sum(it.hits))
        takes_turns(asking)


async def is_listed(client: httpx2.AsyncClient, name: str) -> bool:
    models = (await client.get("/v1/models")).json()["data"]
    return any(model["id"] == name for model in models)


def takes_turns(it: Load) -> None:
    """Rotation survives: no target was called much more often than another."""
    assert it.stale == 0
    assert max(it.targets.values()) - min(it.targets.values()) <= 2 * len(it.targets)
