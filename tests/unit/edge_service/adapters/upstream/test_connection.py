"""One connection against a socket that answers with the very bytes of a test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from edge_service.adapters.upstream.answer import UNREAD_BYTES, Answer, ConnectionBrokenError
from edge_service.adapters.upstream.connection import MAX_HEAD_BYTES, MAX_HEADERS, Connection

HEAD = b"POST /c HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Peer:
    """The provider's end."""

    connection: Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    released: list[Connection] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self) -> bytes:
        """What has come: a head and a body of two bytes."""
        return await self.reader.readuntil(b"\r\n\r\n") + await self.reader.readexactly(2)

    def says(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)

    def hangs_up(self) -> None:
        self.writer.close()

    def resets(self) -> None:
        it: socket.socket = self.writer.get_extra_info("socket")
        it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[Peer]:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = loop.create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    released: list[Connection] = []
    closed = asyncio.Event()
    _, connection = await loop.create_connection(
        lambda: Connection(loop, released.append, lambda _: closed.set()), *server.sockets[0].getsockname()
    )
    reader, writer = await accepted
    try:
        yield Peer(connection, reader, writer, released, closed)
    finally:
        connection.abort()
        writer.transport.abort()
        server.close()
        await server.wait_closed()
        await closed.wait()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with connected() as it:
        yield it


async def read(answer: Answer) -> bytes:
    await answer.head_is_there
    parts: list[bytes] = []
    while part := await answer.part():
        parts.append(part)
    return b"".join(parts)


async def ask(peer: Peer, *said: bytes) -> Answer:
    answer = peer.connection.send(HEAD, b"{}")
    assert await peer.request() == HEAD + b"{}"
    peer.says(*said)
    return answer


WHOLE = {
    "a length": OK + b"Content-Length: 5\r\n\r\nhello",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    "a trailer": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n",
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    "two of them": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    + OK
    + b"content-length:5\r\n\r\nhello",
}


@pytest.mark.parametrize("kind", WHOLE)
async def test_an_answer_that_says_where_it_ends_leaves_the_connection_for_the_next(peer: Peer, kind: str) -> None:
    for number in range(1, 4):
        answer = await ask(peer, WHOLE[kind])
        assert await read(answer) == b"hello"
        assert (answer.status, answer.is_complete) == (200, True)
        assert not any(name in (b"link", b"x-trailer") for name, _ in answer.headers)
        assert peer.released == [peer.connection] * number
        assert peer.connection.is_usable


@pytest.mark.parametrize("kind", WHOLE)
async def test_an_answer_may_come_byte_by_byte(peer: Peer, kind: str) -> None:
    answer = await ask(peer)
    for at in range(len(WHOLE[kind])):
        peer.says(WHOLE[kind][at : at + 1])
        await asyncio.sleep(0)
    assert await read(answer) == b"hello"
    assert peer.released


async def test_headers_come_in_lower_case_in_their_order_and_otherwise_as_they_were(peer: Peer) -> None:
    answer = await ask(peer, OK + b"X-B: 1\r\nx-a:  two \r\nX-B: \xff\r\nContent-Length: 0\r\n\r\n")
    assert await read(answer) == b""
    assert answer.headers == [(b"x-b", b"1"), (b"x-a", b"two"), (b"x-b", b"\xff"), (b"content-length", b"0")]


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(peer: Peer, status: int) -> None:
    answer = await ask(peer, b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert (await read(answer), answer.status) == (b"", status)
    assert peer.released


async def test_a_body_without_a_length_ends_with_the_connection(peer: Peer) -> None:
    answer = await ask(peer, OK + b"\r\nhel")
    await answer.head_is_there
    assert await answer.part() == b"hel"
    peer.says(b"lo")
    peer.hangs_up()
    assert await read(answer) == b"lo"
    assert (answer.is_complete, peer.released, peer.connection.is_usable) == (True, [], False)


async def test_what_is_left_can_be_had_at_once_when_its_end_is_there(peer: Peer) -> None:
    answer = await ask(peer, OK + b"Content-Length: 5\r\n\r\nhe")
    await answer.head_is_there
    assert answer.rest() is None
    assert await answer.part() == b"he"
    peer.says(b"llo")
    peer.hangs_up()
    await peer.closed.wait()
    assert (answer.rest(), answer.rest(), await answer.part()) == (b"llo", b"", b"")


async def test_of_an_answer_that_is_cut_nothing_is_left(peer: Peer) -> None:
    answer = await ask(peer, OK + b"Content-Length: 5\r\n\r\nhe")
    peer.hangs_up()
    await peer.closed.wait()
    assert answer.rest() is None


@pytest.mark.parametrize("how", [Peer.hangs_up, Peer.resets])
@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.", OK, OK + b"Content-Length: 5\r\n\r\nhel", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"],
)
async def test_an_answer_that_is_cut_is_broken(peer: Peer, said: bytes, how: Callable[[Peer], None]) -> None:
    answer = await ask(peer, said)
    await asyncio.sleep(0.01)  # A reset overtakes what has not been read.
    how(peer)
    with pytest.raises(ConnectionBrokenError):
        await read(answer)
    assert (answer.is_complete, peer.released) == (False, [])


async def test_what_came_before_the_cut_is_read_first(peer: Peer) -> None:
    answer = await ask(peer, OK + b"Content-Length: 9\r\n\r\nhello")
    peer.hangs_up()
    await peer.closed.wait()
    assert await answer.part() == b"hello"
    with pytest.raises(ConnectionBrokenError, match="closed the connection"):
        await answer.part()


MALFORMED = {
    "no HTTP": b"220 smtp.example ready\r\n",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length that is none": OK + b"Content-Length: five\r\n\r\n",
    "a folded header": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"X : a\r\nContent-Length: 0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "NUL in a header": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a chunk's size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is longer": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "too many headers": OK + b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "too large a head": OK + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "too many trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_what_is_no_http_breaks_and_is_not_quoted(peer: Peer, kind: str) -> None:
    answer = await ask(peer, MALFORMED[kind])
    peer.hangs_up()
    with pytest.raises(ConnectionBrokenError) as caught:
        await read(answer)
    assert "smtp" not in str(caught.value)
    assert peer.released == []


async def test_a_head_may_be_as_long_as_the_bounds(peer: Peer) -> None:
    many = b"x: y\r\n" * (MAX_HEADERS - 1)
    assert await read(await ask(peer, OK + many + b"Content-Length: 2\r\n\r\nhi")) == b"hi"
    large = b"x: " + b"y" * (MAX_HEAD_BYTES - len(b"xcontent-length2")) + b"\r\n"
    assert await read(await ask(peer, OK + large + b"Content-Length: 2\r\n\r\nhi")) == b"hi"
    assert len(peer.released) == 2


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

ENDLESS = {
    "a header's value": (OK + b"x: ", b"y" * 1024),
    "a header's name": (OK, b"y" * 1024),
    "a reason": (b"HTTP/1.1 200 ", b"y" * 1024),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    "interim answers with little in them": (b"", b"HTTP/1.1 100 \r\n\r\n"),
    "a chunk's extension": (CHUNKED + b"5;x=", b"y" * 1024),
    "a trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nx: ", b"y" * 1024),
    "empty lines": (b"", b"\r\n" * 512),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_does_not_end_and_is_no_body_breaks(peer: Peer, kind: str) -> None:
    start, more = ENDLESS[kind]
    answer = await ask(peer, start, more * (8 * MAX_HEAD_BYTES // len(more)))
    peer.hangs_up()
    with pytest.raises(ConnectionBrokenError, match="too large a head"):
        await read(answer)
    assert peer.released == []


async def test_what_was_long_before_does_not_count_against_what_comes(peer: Peer) -> None:
    large = b"x: " + b"y" * (MAX_HEAD_BYTES // 2) + b"\r\n"
    comes = peer.connection.data_received
    for _ in range(3):  # Heads without bodies.
        answer = await ask(peer)
        comes(b"HTTP/1.1 204 No Content\r\n")
        comes(large)
        comes(b"\r\n")
        assert (answer.status, answer.is_complete) == (204, True)
    answer = await ask(peer)
    comes(CHUNKED)
    comes(b"%x\r\n%s\r\n" % (2 * MAX_HEAD_BYTES, b"z" * 2 * MAX_HEAD_BYTES))
    for piece in (b"1", b"\r\n", b"z\r\n0\r\n", b"\r\n"):
        comes(piece)
    assert await read(answer) == b"z" * (2 * MAX_HEAD_BYTES + 1)
    assert len(peer.released) == 4


async def test_an_interim_answer_is_not_the_answer(peer: Peer) -> None:
    answer = await ask(peer)
    peer.connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    assert (answer.head_is_there.done(), answer.status, answer.headers) == (False, 0, [])
    peer.connection.data_received(OK + b"Content-Length: 0\r\n\r\n")
    assert (answer.head_is_there.done(), answer.status) == (True, 200)


async def test_not_even_a_line_end_may_come_unasked(peer: Peer) -> None:
    await read(await ask(peer, WHOLE["a length"]))
    peer.says(b"\r\n")
    async with asyncio.timeout(20):
        await peer.closed.wait()


async def test_large_bodies_are_no_heads(peer: Peer) -> None:
    body = b"y" * (3 * MAX_HEAD_BYTES)
    chunks = b"".join(b"%x;x=%s\r\n%s\r\n" % (1000, b"y" * 1000, b"z" * 1000) for _ in range(200))
    assert await read(await ask(peer, OK + b"Content-Length: %d\r\n\r\n" % len(body), body)) == body
    assert await read(await ask(peer, CHUNKED, chunks, b"0\r\n\r\n")) == b"z" * 200_000
    assert len(peer.released) == 2


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_who_wants_the_connection_closed_gets_no_second_request(peer: Peer, head: bytes) -> None:
    assert await read(await ask(peer, head)) == b"hello"
    assert (peer.released, peer.connection.is_usable) == ([], False)


async def test_a_second_answer_is_nobodys(peer: Peer) -> None:
    answer = await ask(peer, WHOLE["a length"] + OK + b"Content-Length: 4\r\n\r\nevil")
    assert await read(answer) == b"hello"
    assert not peer.connection.is_usable


@pytest.mark.parametrize("said", [b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b""])
async def test_an_idle_connection_on_which_something_happens_is_not_used(peer: Peer, said: bytes) -> None:
    await read(await ask(peer, WHOLE["a length"]))
    peer.says(said)
    peer.hangs_up()
    await peer.closed.wait()
    assert not peer.connection.is_usable


async def test_what_the_loop_has_not_seen_yet_is_looked_for(peer: Peer) -> None:
    await read(await ask(peer, WHOLE["a length"]))
    it: socket.socket = peer.writer.get_extra_info("socket")
    it.shutdown(socket.SHUT_WR)  # Without a turn of the loop in between.
    assert not peer.connection.is_closed
    assert not peer.connection.is_usable


async def test_an_answer_that_is_not_read_holds_its_provider_up(peer: Peer) -> None:
    size = 64 * 1024 * 1024
    answer = await ask(peer, OK + b"Content-Length: %d\r\n\r\n" % size)
    peer.writer.write(b"x" * size)
    await answer.head_is_there
    for _ in range(200):
        await asyncio.sleep(0)
    assert answer._size < UNREAD_BYTES + 512 * 1024
    assert peer.writer.transport.get_write_buffer_size() > size // 2
    assert len(await read(answer)) == size
    assert peer.released


async def test_who_leaves_costs_the_connection(peer: Peer) -> None:
    answer = await ask(peer, OK + b"Content-Length: 5\r\n\r\nhel")
    await answer.head_is_there
    answer.close()
    await peer.closed.wait()
    assert await peer.reader.read() == b""
    assert peer.released == []


async def test_who_leaves_once_all_has_come_costs_nothing(peer: Peer) -> None:
    answer = await ask(peer, WHOLE["a length"])
    await answer.head_is_there
    answer.close()
    assert peer.connection.is_usable


async def test_an_answer_may_come_before_the_request_is_out(peer: Peer) -> None:
    answer = peer.connection.send(HEAD, b"x" * 32 * 1024 * 1024)
    await peer.reader.readuntil(b"\r\n\r\n")
    peer.says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
    assert (await read(answer), answer.status) == (b"large", 413)
    assert (peer.released, peer.connection.is_usable) == ([], False)


Waiting = Callable[[Answer], Awaitable[object]]


@pytest.mark.parametrize("at", ["head", "body"])
async def test_a_wait_that_is_cancelled_leaves_nothing_behind(peer: Peer, at: str) -> None:
    answer = await ask(peer, *([OK + b"Content-Length: 5\r\n\r\n"] if at == "body" else []))
    if at == "body":
        await answer.head_is_there
        waiting = asyncio.create_task(answer.part())
    else:

        async def head() -> bytes:
            await answer.head_is_there
            return b""

        waiting = asyncio.create_task(head())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answer.close()
    await peer.closed.wait()


@pytest.mark.parametrize(
    ("value", "keep_s"),
    [
        (b"timeout=5", 5.0),
        (b"timeout=5, max=100", 5.0),
        (b"max=9,Timeout=60", 60.0),
        (b"timeout=9999999", 9_999_999.0),
        (b"timeout=10000000", None),
        (b"timeout=" + b"9" * 5000, None),
        (b"timeout=x", None),
        (b"", None),
    ],
)
async def test_how_long_a_provider_keeps_an_idle_connection_is_read(
    peer: Peer, value: bytes, keep_s: float | None
) -> None:
    await read(await ask(peer, OK + b"Keep-Alive: " + value + b"\r\nContent-Length: 0\r\n\r\n"))
    assert peer.connection.keep_s == keep_s


async def test_who_is_cancelled_while_parts_are_passed_on_is_handed_no_more(peer: Peer) -> None:
    answer = await ask(peer, CHUNKED)
    await answer.head_is_there
    taken: list[bytes] = []
    has_come = asyncio.Event()

    def take(part: bytes) -> bool:
        taken.append(part)
        has_come.set()
        return True

    passing = asyncio.create_task(answer.pass_on(take))
    await asyncio.sleep(0)
    peer.says(b"3\r\none\r\n")
    await has_come.wait()
    passing.cancel()
    peer.connection.data_received(b"3\r\ntwo\r\n")  # Before it has had a turn.
    with pytest.raises(asyncio.CancelledError):
        await passing
    assert (taken, await answer.part()) == ([b"one"], b"two")


async def test_who_has_had_enough_holds_its_provider_up(peer: Peer) -> None:
    size = 16 * 1024 * 1024
    answer = await ask(peer, OK + b"Content-Length: %d\r\n\r\n" % size)
    await answer.head_is_there
    passing = asyncio.create_task(answer.pass_on(lambda _: False))
    await asyncio.sleep(0)
    peer.writer.write(b"x" * size)
    assert not await passing
    for _ in range(200):
        await asyncio.sleep(0)
    assert answer._size < UNREAD_BYTES + 512 * 1024
    taken: list[bytes] = []
    assert await answer.pass_on(lambda part: taken.append(part) is None)
    assert size - 512 * 1024 < sum(map(len, taken)) < size
    assert peer.released
