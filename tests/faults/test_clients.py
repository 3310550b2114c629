"""Rows 19, 20, 21 and 31: clients that take their time, or more than their share, and requests with two meanings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient, ClientGoneError, read_body
from edge_service.adapters.http.protocol import Bounds, protocol
from tests.support.providers import Connection, delta, says
from tests.support.setup import setup, until
from tests.support.standing import Standing

POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
BODY = b'{"model": "chat", "messages": []}'
WHOLE = POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


class Echo:
    """An application that answers with the body, and notes whose body never came."""

    def __init__(self) -> None:
        self.served = 0
        self.gone = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive)
        except ClientGoneError:
            self.gone += 1
            return
        self.served += 1
        self.headers = list(scope["headers"])
        await AsgiClient(send).respond(200, [], body)


@contextlib.asynccontextmanager
async def serving(app: Echo, bounds: Bounds) -> AsyncIterator[int]:
    """The port where the application is served."""
    config = uvicorn.Config(app, http=protocol(bounds), ws="none", lifespan="off", log_config=None, log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await server.shutdown([listening])


async def exchange(port: int, *parts: bytes, pause_s: float = 0.0, until_closed: bool = True) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(5):
            return await reader.read(-1 if until_closed else 65536)
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


SHORT = Bounds(head_s=0.3, body_idle_s=0.3, body_s=0.8)


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


HUGE = b"y" * 40_000


@pytest.mark.parametrize(
    "parts",
    [
        (POST + b"x: " + HUGE + b"\r\n\r\n",),
        (POST + b"x: ", HUGE),
        (POST, *[b"x: %s\r\n" % (b"y" * 1000)] * 40),
        (b"GET /" + HUGE + b" HTTP/1.1\r\nhost: a\r\n\r\n",),
        (b"GET /", HUGE),
        (POST + b"transfer-encoding: chunked\r\n\r\n", b"3;" + HUGE),
        (POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"x: " + HUGE),
        (POST + b"x: " + b"y" * 3_000_000,),
    ],
)
async def test_headers_beyond_the_limit_are_answered_431(parts: tuple[bytes, ...]) -> None:
    app = Echo()
    async with serving(app, Bounds()) as port:
        assert status_of(await exchange(port, *parts, pause_s=0.02)) == 431
        assert app.served == 0


async def test_headers_up_to_the_limit_are_not() -> None:
    async with serving(Echo(), Bounds()) as port:
        request = POST + b"x: " + b"y" * 32_000 + b"\r\ncontent-length: 3\r\n\r\nabc"
        assert status_of(await exchange(port, request, until_closed=False)) == 200
        large = b"z" * 200_000
        request = POST + b"content-length: 200000\r\n\r\n" + large
        assert status_of(await exchange(port, request, until_closed=False)) == 200


TWO_MEANINGS = {
    "both lengths": b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "a length twice": b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "two lengths": b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "a list of lengths": b"content-length: 3, 3\r\n\r\nabc",
    "a length with a sign": b"content-length: +3\r\n\r\nabc",
    "a length below 0": b"content-length: -3\r\n\r\nabc",
    "a hexadecimal length": b"content-length: 0x3\r\n\r\nabc",
    "a length before a colon after a space": b"content-length : 3\r\n\r\nabc",
    "a bare CR": b"x: a\rb\r\n\r\n",
    "a bare LF": b"x: a\ny: b\r\n\r\n",
    "a bare LF at the end": b"x: a\r\n\n",
    "NUL": b"x: a\0b\r\n\r\n",
    "a control character": b"x: a\x01b\r\n\r\n",
    "a folded line": b"x: a\r\n b\r\n\r\n",
    "a folded coding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a misspelled coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "another coding": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"transfer-encoding: identity\r\n\r\n",
    "a coding twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a second host": b"host: b\r\n\r\n",
    "a bare LF after a chunk's size": b"transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "a bare LF after a chunk's extension": b"transfer-encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n",
    "a chunk's size below 0": b"transfer-encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": b"transfer-encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n",
}
HEADS = {
    "no host": b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown version": b"POST / HTTP/9.9\r\nhost: a\r\n\r\n",
    "bare LFs": b"POST / HTTP/1.1\nhost: a\n\n",
    "NUL in the path": b"POST /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", [*TWO_MEANINGS, *HEADS])
async def test_a_request_with_two_meanings_is_answered_400_and_nothing_after_it_is_read(name: str) -> None:
    app = Echo()
    request = POST + TWO_MEANINGS[name] if name in TWO_MEANINGS else HEADS[name]
    async with serving(app, Bounds()) as port:
        answer = await exchange(port, request + WHOLE)
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1 ") == 1
        assert app.served == 0


async def test_a_trailer_is_no_header() -> None:
    app = Echo()
    request = POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nopenai-beta: late\r\n\r\n"
    async with serving(app, Bounds()) as port:
        assert status_of(await exchange(port, request, until_closed=False)) == 200
        assert b"openai-beta" not in dict(app.headers)


@pytest.mark.asyncio(loop_scope="session")
async def test_garbage_behind_a_request_is_not_answered_in_its_place(it: Standing) -> None:
    async def slow(connection: Connection) -> None:
        await asyncio.sleep(0.2)
        await says("hello")(connection)

    slot = await it.slot(slow)
    body = json.dumps({"model": slot.name, "messages": []}).encode()
    request = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    with contextlib.suppress(ConnectionError):
        assert await exchange(it.port, request, b"\0garbage\r\n\r\n", pause_s=0.05) == b""


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
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(10):
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

    async with setup(tmp_path, waits, FOREBAY_EDGE_MAX_CONCURRENT="2") as it:
        asking = [asyncio.create_task(it.chat()) for _ in range(2)]

        async def are_under_way() -> bool:
            return it.hits == [2]

        await until(are_under_way)
        for _ in range(3):
            response: httpx2.Response = await it.chat()
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.json()["error"]["code"] == "overloaded"
            assert "x-forebay-request-id" in response.headers
        assert it.hits == [2]
        for path in ("/healthz", "/readyz"):
            assert (await it.client.get(path)).status_code == 200
        go_on.set()
        assert [(await each).status_code for each in asking] == [200, 200]
        assert (await it.chat()).status_code == 200
