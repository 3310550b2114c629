"""Rows 19, 20, 21, 22 and 31: clients that take their time, or more than their share, or leave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from tests.faults.talking import POST, SHORT, WHOLE, Echo, exchange, opened, serving, status_of
from tests.support.faulty_upstream import Connection, delta, says
from tests.support.metrics import metrics
from tests.support.setup import setup, until
from tests.support.standing import Standing


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST",),
        (POST,),
        (POST + b"x: ", b"y"),
        (POST + b"content-length: 5\r\n\r\n",),
        (POST + b"content-length: 5\r\n\r\n", b"abc"),
        (POST + b"transfer-encoding: chunked\r\n\r\n", b"5\r\nabc"),
        (POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\nx: y"),
    ],
)
async def test_a_request_that_stays_unfinished_is_answered_408(parts: tuple[bytes, ...]) -> None:
    app = Echo()
    async with serving(app, SHORT) as port:
        answer = await exchange(port, *parts)
        assert status_of(answer) == 408
        head, _, content = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert json.loads(content)["error"]["code"] == "request_timeout"
        assert app.served == 0


async def test_a_body_that_keeps_coming_drop_by_drop_is_answered_408() -> None:
    app = Echo()
    async with serving(app, SHORT) as port:
        drops = [b"x"] * 12
        answer = await exchange(port, POST + b"content-length: 99\r\n\r\n", *drops, pause_s=0.1)
        assert status_of(answer) == 408
        assert (app.served, app.gone) == (0, 1)


async def test_a_head_that_keeps_coming_drop_by_drop_is_answered_408() -> None:
    async with serving(Echo(), SHORT) as port:
        assert status_of(await exchange(port, POST, *[b"x: y\r\n"] * 6, pause_s=0.1)) == 408


@pytest.mark.parametrize("sent", [(), (b"\r\n",)])
async def test_a_connection_that_asks_for_nothing_is_closed_without_a_word(sent: tuple[bytes, ...]) -> None:
    async with serving(Echo(), SHORT) as port:
        assert await exchange(port, *sent) == b""


async def test_line_ends_do_not_keep_a_connection() -> None:
    async with serving(Echo(), SHORT) as port:
        answer = await exchange(port, WHOLE, b"\r\n", pause_s=0.1)
        assert answer.count(b"HTTP/1.1") == 1


async def test_a_slow_request_within_the_bounds_is_served_and_so_is_the_next() -> None:
    app = Echo()
    async with serving(app, SHORT) as port:
        middle = len(WHOLE) - 10
        parts = [WHOLE[:20], WHOLE[20:middle], WHOLE[middle:]]
        answer = await exchange(port, *parts, *parts, pause_s=0.1, until_closed=False)
        assert answer.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_asks_twice_and_leaves_leaves_its_provider(tmp_path: Path, *, stream: bool) -> None:
    called, gone = asyncio.Event(), asyncio.Event()

    async def hangs(connection: Connection) -> None:
        if stream:
            await connection.head(200, "text/event-stream", transfer_encoding="chunked")
            await connection.chunk(delta(content="hello"))
        called.set()
        await connection.gone()
        gone.set()

    async with setup(tmp_path, hangs) as it:
        body = json.dumps({"model": "chat", "stream": stream, "messages": []}).encode()
        _, writer = await opened(int(it.services.url.rpartition(":")[2]))
        writer.write((POST + b"content-length: %d\r\n\r\n" % len(body) + body) * 2)
        async with asyncio.timeout(20):
            await called.wait()
        writer.close()
        async with asyncio.timeout(20):
            await gone.wait()
        assert it.hits == [1]


@pytest.mark.asyncio(loop_scope="session")
async def test_a_length_beyond_the_limit_is_answered_413_before_the_body_has_come(it: Standing) -> None:
    answer = await exchange(it.port, POST + b"content-length: 20971521\r\n\r\n" + b" " * 1_000_000)
    assert status_of(answer) == 413
    assert b"request_too_large" in answer


async def test_a_client_that_stops_reading_is_given_up_and_its_provider_left(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def talks_on(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        with contextlib.suppress(ConnectionError):
            while True:
                await connection.chunk(delta(content="x" * 60_000))
        gone.set()

    async with setup(tmp_path, talks_on, FOREBAY_EDGE_CLIENT_STALL="0.5") as it:
        body = json.dumps({"model": "chat", "stream": True, "messages": []}).encode()
        port = int(it.services.url.rpartition(":")[2])
        _, writer = await opened(port, limit=1024)
        writer.write(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(20):
            await gone.wait()
        writer.close()
    assert "client_stalled" in (tmp_path / "edge.log").read_text()


async def test_a_client_that_reads_slowly_is_not(tmp_path: Path) -> None:
    async def talks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        for _ in range(40):
            await connection.chunk(delta(content="x" * 60_000))
        await connection.chunk(b"data: [DONE]\n\n", b"")

    async with setup(tmp_path, talks, FOREBAY_EDGE_CLIENT_STALL="0.5") as it:
        total = 0
        body = {"model": "chat", "stream": True, "messages": []}
        async with it.client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for part in response.aiter_raw():
                total += len(part)
                await asyncio.sleep(0.01)
        assert total > 2_400_000


async def test_beyond_the_bound_requests_are_turned_away_before_any_work(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def waits(connection: Connection) -> None:
        await go_on.wait()
        await says("hello")(connection)

    bounds = {"FOREBAY_EDGE_MAX_CONCURRENT": "2", "FOREBAY_EDGE_MAX_CONCURRENT_PER_KEY": "1"}
    async with setup(tmp_path, waits, **bounds) as it:
        asking = []
        for number in (1, 2):
            it.client.headers["authorization"] = f"Bearer sk-canary-{number}"
            asking.append(asyncio.create_task(it.chat()))

            async def is_under_way(hits: int = number) -> bool:
                return it.hits == [hits]

            await until(is_under_way)
            if number == 1:
                response = await it.client.get("/v1/models")
                assert (response.status_code, response.headers["retry-after"]) == (429, "1")
                assert response.json()["error"]["code"] == "too_many_concurrent"
        for _ in range(3):
            response = await it.chat()
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.json()["error"]["code"] == "overloaded"
            assert "x-forebay-request-id" in response.headers
        assert it.hits == [2]
        seen = await metrics(it.services.edge)
        assert seen['forebay_turned_away_total{code="too_many_concurrent"}'] == 1
        assert seen['forebay_turned_away_total{code="overloaded"}'] == 3
        for path in ("/healthz", "/readyz"):
            assert (await it.client.get(path)).status_code == 200
        go_on.set()
        assert [(await each).status_code for each in asking] == [200, 200]
        assert (await it.chat()).status_code == 200
    assert "canary" not in (tmp_path / "edge.log").read_text()
