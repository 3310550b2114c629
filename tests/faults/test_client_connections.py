"""Row 22 and beyond: clients that leave while they talk, go on talking, or do not listen."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http import connection
from edge_service.adapters.http.asgi import AsgiClient, read_body
from edge_service.adapters.http.cycle import CYCLE
from edge_service.adapters.http.protocol import Bounds
from tests.faults import talking
from tests.faults.talking import BODY, HUGE, POST, SHORT, WHOLE, Echo, connected, exchange, opened, serving

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
            scope[CYCLE].on_leaving(self.has_gone.set)
            await self.has_gone.wait()
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
        async with asyncio.timeout(20):
            await app.has_begun.wait()
        if not together:
            writer.write(FOLLOWERS[follower])
            await writer.drain()
        writer.close()
        async with asyncio.timeout(20):
            await app.has_gone.wait()
    assert app.served == 1


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("follower", FOLLOWERS)
async def test_what_follows_a_request_under_way_is_not_answered(follower: str, *, together: bool) -> None:
    app = Waits(until_gone=False)
    async with serving(app, Bounds()) as port, connected(port) as client:
        client.write(WHOLE + (FOLLOWERS[follower] if together else b""))
        async with asyncio.timeout(20):
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
    return await asyncio.to_thread(talking.wire.secure, client)


LAST = POST + b"connection: close\r\n\r\n"


@pytest.mark.parametrize("request_", [LAST, WHOLE + WHOLE])
async def test_a_last_answer_that_nobody_reads_does_not_keep_the_connection(request_: bytes) -> None:
    stays = contextlib.ExitStack()
    async with asyncio.timeout(20), serving(Large(), Bounds(stall_s=0.2), send_buffer_bytes=SMALL) as port:
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
