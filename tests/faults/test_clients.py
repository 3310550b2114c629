"""Rows 19, 20, 21, 22 and 31: clients that take their time, or more than their share, that leave while they talk, and
requests with two meanings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http import connection
from edge_service.adapters.http.asgi import AsgiClient, ClientGoneError, disconnected, read_body
from edge_service.adapters.http.protocol import Bounds, protocol
from tests.support.faulty_upstream import Connection, delta, says
from tests.support.metrics import metrics
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


class Wire:
    """What there is between a client and the protocol: here nothing. `test_clients_tls` has another."""

    client: ssl.SSLContext | None = None

    def protocol(self, bounds: Bounds) -> type[asyncio.Protocol]:
        return protocol(bounds)

    def secure(self, client: socket.socket) -> socket.socket:
        """Blocks while hands are shaken."""
        return client


wire = Wire()


async def opened(port: int, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=wire.client, **options)


@contextlib.asynccontextmanager
async def serving(app: Echo, bounds: Bounds, send_buffer_bytes: int = 0) -> AsyncIterator[int]:
    """The port where the application is served."""
    http = wire.protocol(bounds)
    config = uvicorn.Config(app, http=http, ws="none", lifespan="off", log_config=None, log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if send_buffer_bytes:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        server.config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await server.shutdown([listening])


async def exchange(port: int, *parts: bytes, pause_s: float = 0.0, until_closed: bool = True) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    reader, writer = await opened(port)
    try:
        with contextlib.suppress(ConnectionError):  # The answer may have come, and with it the end.
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
        async with asyncio.timeout(5):
            return await reader.read(-1 if until_closed else 65536)
    finally:
        writer.close()


@dataclass
class Talk:
    """A connection of which nothing is awaited."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next one, with the length that its head tells."""
        async with asyncio.timeout(5):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if line)
            content = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split(" ")[1]), headers, content

    async def rest(self) -> bytes:
        """What comes up to the end of the connection."""
        async with asyncio.timeout(5):
            return await self.reader.read(-1)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Talk]:
    reader, writer = await opened(port)
    try:
        yield Talk(reader, writer)
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
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT with a length": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in the form of HTTP/1": b"POST / HTTP/2.0\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    "an address without a path": b"GET http://a HTTP/1.1\r\nhost: a\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/0.9 with a version": b"GET / HTTP/0.9\r\n\r\n",
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


async def test_after_a_request_that_was_served_too() -> None:
    for name, request in HEADS.items():
        async with serving(Echo(), Bounds()) as port, connected(port) as client:
            client.write(WHOLE)
            await client.answer()
            client.write(request)
            assert (await client.answer())[0] == 400, name


async def test_a_trailer_is_no_header() -> None:
    app = Echo()
    request = POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nopenai-beta: late\r\n\r\n"
    async with serving(app, Bounds()) as port:
        assert status_of(await exchange(port, request, until_closed=False)) == 200
        assert b"openai-beta" not in dict(app.headers)


CHUNKED = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("offer", [b"h2c\r\nhttp2-settings: AAMAAABkAAQAAP__", b"websocket", b"a, b"])
@pytest.mark.parametrize("framed", [b"content-length: 3\r\n\r\nabc", CHUNKED, b"content-length: 0\r\n\r\n"])
@pytest.mark.parametrize("pieces", ["whole", "head and body", "bytes"])
async def test_an_offer_to_upgrade_is_passed_over(offer: bytes, framed: bytes, pieces: str) -> None:
    app = Echo()
    head = POST + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: " + offer + b"\r\n"
    request = head + framed
    middle = request.index(b"\r\n\r\n") + 4
    parts = {
        "whole": [request],
        "head and body": [request[:middle], request[middle:]],
        "bytes": [request[at : at + 1] for at in range(len(request))],
    }[pieces]
    async with serving(app, Bounds()) as port, connected(port) as client:
        for _ in range(2):
            for part in parts:
                if part:
                    client.write(part)
                    await asyncio.sleep(0)
            status, headers, content = await client.answer()
            assert (status, content) == (200, b"abc" if b"abc" in framed else b"")
            assert "connection" not in headers
    assert app.served == 2
    assert b"upgrade" not in dict(app.headers)


SLOW_S = 0.1


class Waits(Echo):
    """Reads the request and waits: for the client to go away, or for a while and answers."""

    def __init__(self, *, until_gone: bool) -> None:
        super().__init__()
        self.until_gone = until_gone
        self.has_begun = asyncio.Event()
        self.has_gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        self.served += 1
        self.has_begun.set()
        if self.until_gone:
            await disconnected(receive)
            self.has_gone.set()
            return
        await asyncio.sleep(SLOW_S)
        await AsgiClient(send).respond(200, [], body)


FOLLOWERS = {
    "a request": WHOLE,
    "many requests": WHOLE * 1000,
    "a head": POST,
    "a huge body": POST + b"content-length: 9000000\r\n\r\n" + b" " * 200_000,
    "an upgrade": POST + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n",
    "garbage": b"\0garbage\r\n\r\n",
    "a line end": b"\r\n",
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("follower", FOLLOWERS)
async def test_a_client_that_leaves_is_noticed_whatever_it_has_sent(follower: str, *, together: bool) -> None:
    app = Waits(until_gone=True)
    async with serving(app, Bounds()) as port:
        _, writer = await opened(port)
        writer.write(WHOLE + (FOLLOWERS[follower] if together else b""))
        async with asyncio.timeout(5):
            await app.has_begun.wait()
        if not together:
            writer.write(FOLLOWERS[follower])
            await writer.drain()
        writer.close()
        async with asyncio.timeout(1):
            await app.has_gone.wait()
    assert app.served == 1


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("follower", FOLLOWERS)
async def test_what_follows_a_request_under_way_is_not_answered(follower: str, *, together: bool) -> None:
    app = Waits(until_gone=False)
    async with serving(app, Bounds()) as port, connected(port) as client:
        client.write(WHOLE + (FOLLOWERS[follower] if together else b""))
        async with asyncio.timeout(5):
            await app.has_begun.wait()
        if not together:
            client.write(FOLLOWERS[follower])
        status, headers, content = await client.answer()
        assert (status, content) == (200, BODY)
        if follower == "a line end":
            assert "connection" not in headers
            client.write(WHOLE)
            assert (await client.answer())[0] == 200
            return
        assert headers["connection"] == "close"
        assert await client.rest() == b""
    assert app.served == 1


@pytest.mark.parametrize("options", [b"close", b"close, upgrade", b"upgrade"])
async def test_what_follows_a_last_request_is_not_answered_either(options: bytes) -> None:
    app = Waits(until_gone=False)
    last = POST + b"connection: " + options + b"\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc"
    async with serving(app, Bounds()) as port, connected(port) as client:
        client.write(last)
        client.write(WHOLE)
        status, headers, content = await client.answer()
        assert (status, headers["connection"], content) == (200, "close", b"abc")
        assert await client.rest() == b""
    assert app.served == 1


async def test_who_asks_when_it_has_the_answer_is_served_on_the_same_connection() -> None:
    app = Waits(until_gone=False)
    async with serving(app, Bounds()) as port, connected(port) as client:
        for _ in range(3):
            client.write(WHOLE)
            status, headers, content = await client.answer()
            assert (status, content) == (200, BODY)
            assert "connection" not in headers


class Early(Echo):
    """Answers before it has read anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await AsgiClient(send).respond(200, [], b"early")


@pytest.mark.parametrize(
    "late",
    [
        (b"content-length: 5\r\n\r\n",),
        (b"transfer-encoding: chunked\r\n\r\n", b"x\r\n"),
        (b"transfer-encoding: chunked\r\n\r\n", b"3;" + HUGE),
    ],
)
async def test_a_request_that_has_been_answered_is_not_answered_again(late: tuple[bytes, ...]) -> None:
    async with serving(Early(), SHORT) as port:
        answer = await exchange(port, POST + late[0], *late[1:], pause_s=0.05)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.endswith(b"early")


class Refuses(Echo):
    """Reads a little of the body, and closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await AsgiClient(send).respond(413, [(b"connection", b"close")], b"x" * 100)


async def test_an_answer_that_ends_the_connection_arrives_while_the_client_still_sends() -> None:
    async with serving(Refuses(), Bounds()) as port, connected(port) as client:
        client.write(POST + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(20):
            client.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await asyncio.sleep(0.005)
        status, _, content = await client.answer()
        assert (status, len(content)) == (413, 100)


SMALL = 4096


class Large(Echo):
    """More than a connection with small buffers takes, and less than the server counts as being behind."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await asyncio.sleep(0)
        await AsgiClient(send).respond(200, [], b"x" * 60_000)


async def small_reader(port: int) -> socket.socket:
    """A connection whose client takes little at a time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.connect(("127.0.0.1", port))
    return await asyncio.to_thread(wire.secure, client)


LAST = POST + b"connection: close\r\n\r\n"


@pytest.mark.parametrize("request_", [LAST, WHOLE + WHOLE])
async def test_a_last_answer_that_nobody_reads_does_not_keep_the_connection(request_: bytes) -> None:
    stays = contextlib.ExitStack()
    async with asyncio.timeout(5), serving(Large(), Bounds(stall_s=0.2), send_buffer_bytes=SMALL) as port:
        client = stays.enter_context(await small_reader(port))
        client.sendall(request_)
        await asyncio.sleep(0.1)
    stays.close()  # Only now: the server has ended, for which it waits for its connections.


@pytest.mark.parametrize("request_", [LAST, WHOLE + WHOLE])
async def test_a_last_answer_that_is_read_slowly_arrives(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.01)
    async with serving(Large(), Bounds(stall_s=5), send_buffer_bytes=SMALL) as port:
        with await small_reader(port) as client:
            client.sendall(request_)
            answer = b""
            while part := await asyncio.to_thread(client.recv, SMALL):
                answer += part
                await asyncio.sleep(0.01)
        assert answer.partition(b"\r\n\r\n")[2] == b"x" * 60_000


class Streams(Echo):
    """An answer in parts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        client = AsgiClient(send)
        await client.start(200, [(b"content-type", b"text/plain")])
        await client.send(b"one")
        await client.send(b"two")
        await client.end()


OLD = POST.replace(b"1.1", b"1.0")


@pytest.mark.parametrize("extra", [b"", b"connection: keep-alive\r\n", b"expect: 100-continue\r\n"])
async def test_http_1_0_gets_a_stream_that_ends_with_the_connection(extra: bytes) -> None:
    async with serving(Streams(), Bounds()) as port:
        answer = await exchange(port, OLD + extra + b"\r\n")
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [b"HTTP/1.1 200 OK", b"content-type: text/plain", b"connection: close"]
        assert content == b"onetwo"


@pytest.mark.parametrize("extra", [b"", b"connection: keep-alive\r\n"])
async def test_http_1_0_gets_whole_answers_as_they_are(extra: bytes) -> None:
    async with serving(Echo(), Bounds()) as port:
        answer = await exchange(port, OLD + extra + b"content-length: 3\r\n\r\nabc")
        assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"
        answer = await exchange(port, OLD.replace(b"POST", b"HEAD") + extra + b"\r\n")
        assert b"transfer-encoding" not in answer


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
        async with asyncio.timeout(5):
            await called.wait()
        writer.close()
        async with asyncio.timeout(1):
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
