from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.adapters.http.cycle import Cycle, Line
from edge_service.app.ports import Client


class Flow:
    """Of a connection."""

    is_reading = True
    write_paused = False

    def __init__(self) -> None:
        self.keeps_up = asyncio.Event()

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    async def drain(self) -> None:
        await self.keeps_up.wait()


class Peer:
    """What a cycle does to its connection."""

    def __init__(self, **options: bool) -> None:
        self.flow: Any = Flow()
        self.server = ServerState()
        self.writes: list[bytes] = []
        self.closed = 0
        self.answered = 0
        line = Line(self.writes.append, lambda: False, self._close, self._answer, self.flow, self.server)
        given = {"is_head": False, "knows_chunks": True, "expects_continue": False, "keep_alive": True, **options}
        self.cycle = Cycle(line, **given)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def _close(self) -> None:
        self.closed += 1

    def _answer(self) -> None:
        self.answered += 1


WAYS: dict[str, Callable[[Cycle], Client]] = {"straight": lambda cycle: cycle, "by messages": AsgiClient}
"""To a client; both of them say the same."""
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())

Way = Callable[[Cycle], Client]


# The request.


async def test_a_body_that_is_there_is_not_waited_for() -> None:
    it = Peer().cycle
    it.add(b"whole")
    it.complete()
    assert await it.receive() == {"type": "http.request", "body": b"whole", "more_body": False}


async def test_all_that_is_there_is_taken_at_once_and_then_nothing_more_is_received_but_the_end() -> None:
    it = Peer().cycle
    it.add(b"a")
    assert it.take() is None
    it.add(b"b")
    it.complete()
    assert it.take() == b"ab"
    ends = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    assert not ends.done()
    await it.respond(204, [], b"")
    assert await ends == {"type": "http.disconnect"}


async def test_there_may_be_none() -> None:
    it = Peer().cycle
    it.complete()
    assert it.take() == b""


async def test_nothing_is_taken_of_who_has_left_or_waits_for_a_sign() -> None:
    left, waits = Peer().cycle, Peer(expects_continue=True).cycle
    for it in (left, waits):
        it.add(b"whole")
        it.complete()
    left.leave()
    assert (left.take(), waits.take()) == (None, None)


@pytest.mark.parametrize("taken", [True, False])
async def test_behind_a_large_one_the_client_is_read_on_so_that_its_leaving_is_heard(*, taken: bool) -> None:
    peer = Peer()
    it = peer.cycle
    it.add(b" " * 64 * 1024)
    assert peer.flow.is_reading
    it.add(b" ")
    it.complete()
    assert not peer.flow.is_reading
    if taken:
        it.take()
    else:
        await it.receive()
    assert peer.flow.is_reading
    leaves = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    assert not leaves.done()
    it.leave()
    assert await leaves == {"type": "http.disconnect"}


async def test_a_body_is_received_as_it_comes() -> None:
    it = Peer().cycle
    coming = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    it.add(b"one")
    assert await coming == {"type": "http.request", "body": b"one", "more_body": True}
    coming = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    it.complete()
    assert await coming == {"type": "http.request", "body": b"", "more_body": False}


async def test_after_the_answer_nobody_is_there() -> None:
    it = Peer().cycle
    it.add(b"unread")
    it.complete()
    await it.respond(204, [], b"")
    assert await it.receive() == {"type": "http.disconnect"}


async def test_a_client_that_waits_for_a_sign_gets_one() -> None:
    peer = Peer(expects_continue=True)
    it = peer.cycle
    coming = asyncio.create_task(it.receive())
    await asyncio.sleep(0)
    assert peer.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    it.add(b"part")
    assert await coming == {"type": "http.request", "body": b"part", "more_body": True}
    it.complete()
    assert await it.receive() == {"type": "http.request", "body": b"", "more_body": False}
    assert peer.written == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_behind_an_answer_there_is_no_sign() -> None:
    peer = Peer(expects_continue=True)
    it = peer.cycle
    await it.start(413, [(b"content-length", b"0")])
    written = peer.written
    it.complete()
    await it.receive()
    assert peer.written == written


async def test_who_asks_is_told_once_that_the_client_has_left() -> None:
    told: list[str] = []
    it = Peer().cycle
    it.on_leaving(lambda: told.append("later"))
    it.leave()
    it.leave()
    it.on_leaving(lambda: told.append("at once"))
    assert told == ["later", "at once"]


async def test_nobody_is_told_after_the_answer() -> None:
    told: list[str] = []
    it = Peer().cycle
    it.on_leaving(lambda: told.append("left"))
    await it.respond(200, [], b"")
    it.leave()
    assert not told


# The answer.


@each_way
async def test_a_whole_answer_says_how_long_it_is(way: Way) -> None:
    peer = Peer()
    await way(peer.cycle).respond(200, [(b"a", b"b")], b"whole")
    assert peer.written == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\nwhole"
    assert (peer.answered, peer.closed) == (1, 0)


async def test_straight_it_is_one_write() -> None:
    peer = Peer()
    await peer.cycle.respond(200, [], b"whole")
    assert len(peer.writes) == 1


@each_way
async def test_parts_are_chunks(way: Way) -> None:
    peer = Peer()
    client = way(peer.cycle)
    await client.start(200, [])
    await client.send(b"one")
    await client.send(b"")  # It would be the end.
    await client.send(b"two")
    await client.end()
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert peer.written == head + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert peer.answered == 1


@each_way
async def test_the_first_part_may_come_with_the_head_and_the_last_with_the_end(way: Way) -> None:
    peer = Peer()
    client = way(peer.cycle)
    await client.start(200, [], b"one")
    await client.end(b"two")
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert peer.written == head + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert peer.answered == 1
    if way is WAYS["straight"]:
        assert len(peer.writes) == 2


async def test_what_can_be_written_at_once_goes_past_what_waits() -> None:
    peer = Peer()
    it = peer.cycle
    assert not it.write(b"before the head")
    await it.start(200, [])
    head = peer.written
    assert not it.write(b"")  # It would be the end.
    assert it.write(b"part")
    assert peer.written == head + b"4\r\npart\r\n"
    peer.flow.write_paused = True
    assert not it.write(b"while the client does not keep up")
    peer.flow.write_paused = False
    it.leave()
    assert not it.write(b"when it has left")
    assert peer.written == head + b"4\r\npart\r\n"


async def test_a_body_with_a_length_waits() -> None:
    it = Peer().cycle
    await it.start(200, [(b"content-length", b"4")])
    assert not it.write(b"part")


@each_way
async def test_for_who_knows_no_chunks_they_end_with_the_connection(way: Way) -> None:
    peer = Peer(knows_chunks=False, keep_alive=False)
    client = way(peer.cycle)
    await client.start(200, [])
    await client.send(b"one")
    await client.end()
    assert peer.written == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none"
    assert peer.closed == 1


@each_way
@pytest.mark.parametrize("whole", [True, False])
async def test_who_asks_for_the_head_gets_no_body(way: Way, *, whole: bool) -> None:
    peer = Peer(is_head=True)
    client = way(peer.cycle)
    if whole:
        await client.respond(200, [], b"whole")
        assert peer.written == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    else:
        await client.start(200, [])
        await client.send(b"one")
        await client.end()
        assert peer.written == b"HTTP/1.1 200 OK\r\n\r\n"
    assert peer.answered == 1


@each_way
@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_says_nothing_of_one(way: Way, status: int) -> None:
    peer = Peer()
    client = way(peer.cycle)
    await client.start(status, [])
    await client.end()
    assert peer.written.endswith(b"\r\n\r\n")
    assert (peer.written.count(b"\r\n"), peer.answered) == (2, 1)


@each_way
async def test_an_answer_may_end_the_connection(way: Way) -> None:
    peer = Peer()
    await way(peer.cycle).respond(200, [(b"connection", b"close")], b"")
    assert peer.written.count(b"connection: close") == 1
    assert peer.closed == 1


@each_way
async def test_what_the_server_says_in_all_answers_is_what_it_says_by_then(way: Way) -> None:
    peer = Peer()
    peer.server.default_headers = [(b"connection", b"close")]
    await way(peer.cycle).respond(200, [], b"")
    assert peer.written == b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    assert peer.closed == 1


@each_way
async def test_that_the_connection_ends_is_said_once(way: Way) -> None:
    peer = Peer()
    peer.server.default_headers = [(b"connection", b"close")]
    await way(peer.cycle).respond(503, [(b"connection", b"close"), (b"retry-after", b"1")], b"")
    assert peer.written.count(b"connection: close") == 1
    assert peer.written.count(b"retry-after: 1") == 1
    assert peer.closed == 1


@each_way
async def test_nothing_is_sent_to_who_has_left(way: Way) -> None:
    peer = Peer()
    client = way(peer.cycle)
    peer.cycle.leave()
    await client.start(200, [])
    await client.send(b"one")
    await client.end()
    await client.respond(200, [], b"")
    assert (peer.written, peer.answered) == (b"", 0)


@each_way
@pytest.mark.parametrize("before", ["respond", "start", "send", "end"])
async def test_a_client_that_does_not_keep_up_is_waited_for(way: Way, before: str) -> None:
    peer = Peer()
    client = way(peer.cycle)
    steps: dict[str, Callable[[], Awaitable[None]]] = {
        "start": lambda: client.start(200, []),
        "send": lambda: client.send(b"one"),
        "end": client.end,
    }
    if before == "respond":
        steps = {"respond": lambda: client.respond(200, [], b"whole")}
    for name, step in steps.items():
        if name != before:
            await step()
            continue
        peer.flow.write_paused = True
        written = peer.written
        waits = asyncio.ensure_future(step())
        await asyncio.sleep(0)
        assert peer.written == written
        peer.flow.write_paused = False
        peer.flow.keeps_up.set()
        await waits
        assert peer.written != written


@each_way
async def test_there_is_one_answer_and_nothing_behind_it(way: Way) -> None:
    peer = Peer()
    client = way(peer.cycle)
    with pytest.raises(RuntimeError):
        await client.send(b"before the head")
    await client.respond(200, [], b"whole")
    written = peer.written
    for again in (client.respond(200, [], b""), client.start(200, []), client.send(b"x"), client.end()):
        with pytest.raises(RuntimeError):
            await again
    assert peer.written == written


@each_way
@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"\0", b"\x7f"])
async def test_no_header_has_a_line_of_its_own(way: Way, value: bytes) -> None:
    peer = Peer()
    client = way(peer.cycle)
    with pytest.raises(RuntimeError):
        await client.start(200, [(b"a", value)])
    assert not peer.writes
    await client.respond(500, [], b"")
    assert peer.written.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize(("content", "more"), [(b"too long", False), (b"too long", True), (b"to", False)])
async def test_an_answer_is_as_long_as_it_says(content: bytes, *, more: bool) -> None:
    peer = Peer()
    await peer.cycle({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    written = peer.written
    with pytest.raises(RuntimeError):
        await peer.cycle({"type": "http.response.body", "body": content, "more_body": more})
    assert (peer.written, peer.answered) == (written, 0)


# An application that fails.


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError


async def _fails_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError


async def _says_nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


async def _does_not_end(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize("app", [_fails, _says_nothing])
async def test_without_an_answer_there_is_one_that_says_so(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    await peer.cycle.run(app, {})
    assert peer.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert (peer.answered, peer.closed) == (1, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("app", [_fails_midway, _does_not_end])
async def test_one_that_has_begun_breaks_off(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    await peer.cycle.run(app, {})
    assert peer.written == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (peer.answered, peer.closed) == (0, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_when_the_client_has_left_none_is_expected(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.cycle.leave()
    await peer.cycle.run(_says_nothing, {})
    assert (peer.writes, caplog.records) == ([], [])
