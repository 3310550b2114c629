"""One edge of two processes: what is shared, what is not, and what becomes of a worker's end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from functools import partial
from pathlib import Path

import httpx2

from tests.support import canaries
from tests.support.faulty_upstream import Connection, delta, says
from tests.support.metrics import metrics, operations_of
from tests.support.processes import Process, run, start_edge
from tests.support.setup import Setup, events, is_closed, setup, until

TWO = {"FOREBAY_EDGE_WORKERS": "2", **canaries.ENVIRONMENT}


def workers(edge: Process) -> dict[int, int]:
    """The process of each worker that is there."""
    supervisor = edge.process.pid
    found = {}
    for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        _, _, given = Path(f"/proc/{child}/cmdline").read_text().partition("--as-worker\0")
        if given:
            found[int(given.split(",")[0])] = int(child)
    return found


async def total(edge: Process) -> float:
    return sum(value for name, value in (await metrics(edge)).items() if name.startswith("forebay_requests_total"))


async def have_counted(edge: Process, count: int) -> bool:
    """Whoever has its answer may not have been counted yet."""
    return await total(edge) == count


async def are_ready(edge: Process) -> bool:
    async with httpx2.AsyncClient(base_url=operations_of(edge) or "") as operator:
        return (await operator.get("/readyz")).status_code == 200


async def ask_on_a_connection_each(it: Setup, count: int) -> list[int]:
    async with httpx2.AsyncClient(
        base_url=it.services.url,
        timeout=20,
        headers=it.client.headers,
        limits=httpx2.Limits(max_keepalive_connections=0),
    ) as client:
        asked = [client.post("/v1/chat/completions", json={"model": "chat", "messages": []}) for _ in range(count)]
        return [response.status_code for response in await asyncio.gather(*asked)]


async def test_two_workers_are_one_edge_also_when_one_of_them_is_killed(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def waits_where_it_streams(connection: Connection) -> None:
        if not connection.call.json.get("stream"):
            await says("hello")(connection)
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="one"))
        await go_on.wait()
        await connection.chunk(delta(content="two"), b"data: [DONE]\n\n", b"")

    async with setup(tmp_path, waits_where_it_streams, **TWO) as it:
        edge = it.services.edge
        # Both serve, and are counted together. Whoever has said that it is ready knows of the other.
        await until(partial(are_ready, edge))
        assert await ask_on_a_connection_each(it, 16) == [200] * 16
        await until(partial(have_counted, edge, 16))
        lines = [json.loads(line) for line in edge.errors.read_text().splitlines()]
        served = [line["worker"] for line in lines if line["event"] == "request"]
        assert abs(served.count(0) - served.count(1)) <= 2
        assert (await metrics(edge))["forebay_workers"] == 2
        assert (await metrics(it.services.resolver))["forebay_resolve_streams"] == 2

        # Of the streams, those end that the dead one was serving.
        streams = [asyncio.create_task(it.chat(stream=True)) for _ in range(8)]

        async def all_are_served() -> bool:
            return (await metrics(edge))["forebay_requests_in_progress"] == 8

        await until(all_are_served)
        before = workers(edge)
        os.kill(before[0], signal.SIGKILL)

        async def are_two_again() -> bool:
            return workers(edge).keys() == {0, 1} and (await metrics(edge))["forebay_workers"] == 2

        async def there_was_one() -> bool:
            return (await metrics(edge))["forebay_worker_ends_total"] == 1

        await until(there_was_one)
        assert await total(edge) == 16
        await until(are_two_again)
        after = workers(edge)
        assert (after[0] != before[0], after[1]) == (True, before[1])
        go_on.set()
        ended = await asyncio.gather(*streams, return_exceptions=True)
        broken = [each for each in ended if isinstance(each, httpx2.HTTPError)]
        assert 3 <= len(broken) <= 5
        assert all(events(each.content)[-1] == b"[DONE]" for each in ended if isinstance(each, httpx2.Response))
        assert await ask_on_a_connection_each(it, 8) == [200] * 8
        await until(partial(have_counted, edge, 16 + 8 - len(broken) + 8))

        # Wrong keys are counted together, by the resolver: of five, neither has seen more than three.
        async def manage(key: str) -> int:
            async with httpx2.AsyncClient(base_url=it.services.url, timeout=20) as client:
                return (await client.get("/v0/management/status", headers={"x-management-key": key})).status_code

        assert [await manage(f"wrong {number}") for number in range(5)] == [401] * 5

        async def are_both_deaf() -> bool:
            return [await manage(canaries.MANAGEMENT_KEY.value) for _ in range(4)] == [429] * 4

        await until(are_both_deaf)

        # What is under way when it is told to stop may finish.
        go_on.clear()
        last = [asyncio.create_task(it.chat(stream=True)) for _ in range(4)]

        async def these_are_served() -> bool:
            return (await metrics(edge))["forebay_requests_in_progress"] == 4

        await until(these_are_served)
        edge.tell_to_stop()

        await until(partial(is_closed, it.services.url))
        assert await total(edge) == 16 + 8 - len(broken) + 8
        go_on.set()
        assert [events(response.content)[-1] for response in await asyncio.gather(*last)] == [b"[DONE]"] * 4
        assert await edge.stop() == 0


async def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    edge = await start_edge("127.0.0.1:9", errors=tmp_path / "log", FOREBAY_EDGE_WORKERS="2")
    left = workers(edge).values()
    assert len(left) == 2
    assert await edge.stop(signal.SIGKILL) == -signal.SIGKILL

    async def are_gone() -> bool:
        return not any(Path(f"/proc/{each}").exists() for each in left)

    await until(are_gone)


async def test_what_keeps_workers_from_starting_is_said_once() -> None:
    flags = ("--listen", "127.0.0.1:0", "--ops-listen", "", "--tls-cert", "/nowhere/c", "--tls-key", "/nowhere/k")
    status, out, errors = await run("edge_service", *flags, FOREBAY_EDGE_WORKERS="2")
    assert (status, out) == (1, "")
    (line,) = errors.splitlines()
    assert line.startswith("forebay-edge: /nowhere/c cannot be read")
