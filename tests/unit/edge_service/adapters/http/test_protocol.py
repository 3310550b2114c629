"""What happens to a client's connection as time goes by, on a clock that the tests move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from edge_service.adapters.http.asgi import MAX_BODY_BYTES, AsgiClient, ClientGoneError, read_body
from edge_service.adapters.http.connection import LINGER_S
from edge_service.adapters.http.cycle import CYCLE
from edge_service.adapters.http.protocol import Bounds, ClientProtocol, protocol

BOUNDS = Bounds(head_s=10.0, body_idle_s=30.0, body_s=100.0, stall_s=60.0)
KEEP_ALIVE_S = 75.0
HEAD = b"POST /v1/c HTTP/1.1\r\nhost: a\r\n"
WHOLE = HEAD + b"content-length: 3\r\n\r\nabc"
PART = HEAD + b"content-length: 300000\r\n\r\nabc"
LARGE = b"x" * 65 * 1024
"""More than is read of a body before the application takes it."""


@dataclass
class Timer:
    due_at: float
    call: Callable[..., object]
    arguments: tuple[object, ...]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Clock:
    """What a connection uses of an event loop."""

    now: float = 1000.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, due_at: float, call: Callable[..., object], *arguments: object) -> Timer:
        self.timers.append(Timer(due_at, call, arguments))
        return self.timers[-1]

    def call_later(self, delay_s: float, call: Callable[..., object], *arguments: object) -> Timer:
        return self.call_at(self.now + delay_s, call, *arguments)

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(coroutine)

    @property
    def waiting(self) -> list[Timer]:
        return sorted((each for each in self.timers if not each.is_cancelled), key=lambda each: each.due_at)

    def goes_on(self, seconds: float) -> None:
        end = self.now + seconds
        while (waiting := self.waiting) and waiting[0].due_at <= end:
            self.timers.remove(waiting[0])
            self.now = max(self.now, waiting[0].due_at)
            waiting[0].call(*waiting[0].arguments)
        self.now = end


class Transport(asyncio.Transport):
    """Of a client that reads when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unread_bytes = 0
        self.is_reading = True
        self.end = ""
        self.is_full: Callable[[], None] = lambda: None
        """Called when something has been written: the client does not keep up."""

    def write(self, data: Any) -> None:
        self.written += data
        self.is_full()

    def write_eof(self) -> None:
        self.end = "half closed"

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def is_closing(self) -> bool:
        return self.end in ("closed", "aborted")

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes


class Server:
    """Reads each body, and answers with it when it may."""

    def __init__(self) -> None:
        self.may_read, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_read.set()
        self.may_answer.set()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.gone = 0
        self.clock, self.transport = Clock(), Transport()
        made = protocol(BOUNDS)
        config = uvicorn.Config(self, interface="asgi3", http=made, lifespan="off", log_config=None)
        config.timeout_keep_alive = int(KEEP_ALIVE_S)
        self.state = ServerState()
        self.connection: ClientProtocol = cast(Any, made)(config, self.state, {}, self.clock)
        self.connection.connection_made(self.transport)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_read.wait()
        try:
            body = await read_body(receive)
        except ClientGoneError:
            self.gone += 1
            return
        await self.may_answer.wait()
        client = AsgiClient(send, scope[CYCLE].write)
        await client.start(200, [(b"content-length", b"%d" % len(body))], body)
        await self.may_end.wait()
        await client.end()

    async def gets(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)
            await self.does_all()

    async def does_all(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def status(self) -> int:
        """Of the last answer; 0 for none."""
        return int(self.transport.written.rpartition(b"HTTP/1.1 ")[2][:3] or 0)


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    await scope[CYCLE].respond(200, [], b"all of it")


@pytest.fixture
async def it() -> AsyncIterator[Server]:
    server = Server()
    yield server
    server.connection.connection_lost(None)
    assert server.clock.waiting == []  # Whoever is gone is not waited for.
    for task in server.state.tasks:
        task.cancel()


# The head.


@pytest.mark.parametrize("said", [[], [b"\r\n"]])
async def test_who_asks_for_nothing_is_closed_without_a_word(it: Server, said: list[bytes]) -> None:
    await it.gets(*said)
    it.clock.goes_on(BOUNDS.head_s - 0.1)
    assert it.transport.end == ""
    it.clock.goes_on(0.2)
    assert (it.transport.end, it.transport.written) == ("closed", b"")


async def test_the_first_head_has_its_time_from_the_beginning_of_the_connection(it: Server) -> None:
    it.clock.goes_on(BOUNDS.head_s - 1)
    await it.gets(HEAD)
    it.clock.goes_on(0.9)
    assert it.status == 0
    it.clock.goes_on(0.2)
    assert (it.status, it.transport.end) == (408, "half closed")


async def test_a_later_one_has_it_from_its_first_byte(it: Server) -> None:
    await it.gets(WHOLE)
    it.clock.goes_on(KEEP_ALIVE_S - 1)
    await it.gets(HEAD)
    it.clock.goes_on(BOUNDS.head_s - 0.1)
    assert (it.status, it.transport.end) == (200, "")
    it.clock.goes_on(0.2)
    assert (it.status, it.transport.end) == (408, "half closed")


async def test_drops_of_a_head_give_it_no_more_time(it: Server) -> None:
    await it.gets(HEAD)
    for _ in range(5):
        it.clock.goes_on(1.9)
        await it.gets(b"x: y\r\n")
    assert it.status == 0
    it.clock.goes_on(1.0)
    assert it.status == 408


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"garbage\r\n\r\n", 400, "invalid_request"),
        (HEAD + b"x: " + b"y" * BOUNDS.head_bytes + b"\r\n\r\n", 431, "headers_too_large"),
        (HEAD + b"content-length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413, "request_too_large"),
    ],
)
async def test_a_refusal_is_a_whole_answer_and_the_last_one(
    it: Server, request_: bytes, status: int, code: str
) -> None:
    await it.gets(request_, WHOLE)
    said, _, content = it.transport.written.partition(b"\r\n\r\n")
    head = dict(line.split(b": ") for line in said.split(b"\r\n")[1:])
    assert (it.status, json.loads(content)["error"]["code"]) == (status, code)
    assert (head[b"content-length"], head[b"connection"]) == (b"%d" % len(content), b"close")
    assert head[b"content-type"] == b"application/json"
    assert head[b"x-forebay-request-id"]
    assert it.transport.written.count(b"HTTP/1.1 ") == 1


async def test_the_largest_body_is_waited_for(it: Server) -> None:
    await it.gets(HEAD + b"content-length: %d\r\n\r\n" % MAX_BODY_BYTES)
    assert (it.status, it.transport.end) == (0, "")


# The body.


async def test_a_body_may_pause_so_long_and_no_longer(it: Server) -> None:
    await it.gets(PART)
    it.clock.goes_on(BOUNDS.body_idle_s - 0.1)
    await it.gets(b"more")
    it.clock.goes_on(BOUNDS.body_idle_s - 0.1)
    assert it.status == 0
    it.clock.goes_on(0.2)
    await it.does_all()
    assert (it.status, it.transport.end, it.gone) == (408, "half closed", 1)


async def test_all_of_it_may_take_so_long_and_no_longer(it: Server) -> None:
    await it.gets(PART)
    for _ in range(5):
        it.clock.goes_on(19.9)
        await it.gets(b"more")
    assert it.status == 0
    it.clock.goes_on(1.0)
    assert it.status == 408


async def test_a_request_that_is_whole_may_be_served_for_hours(it: Server) -> None:
    it.may_answer.clear()
    await it.gets(PART[:-3].replace(b"300000", b"6"), b"abc", b"def")
    it.clock.goes_on(7200.0)
    assert (it.status, it.transport.end) == (0, "")
    it.may_answer.set()
    await it.does_all()
    assert (it.status, it.transport.end) == (200, "")


async def test_a_client_that_is_not_read_is_not_late(it: Server) -> None:
    it.may_read.clear()
    await it.gets(PART, LARGE)
    assert not it.transport.is_reading
    it.clock.goes_on(BOUNDS.body_s + 10 * BOUNDS.body_idle_s)
    assert it.status == 0
    it.may_read.set()
    await it.does_all()
    assert it.transport.is_reading
    it.clock.goes_on(BOUNDS.body_idle_s + 0.1)
    assert it.status == 408


async def test_a_late_one_that_is_being_answered_is_cut_off(it: Server) -> None:
    """A second status line would be part of the first answer, or pass for it."""

    async def answers_early(scope: Scope, receive: Receive, send: Send) -> None:
        await AsgiClient(send).start(200, [], b"early")
        await asyncio.Event().wait()

    it.connection.app = answers_early
    await it.gets(PART)
    written = it.transport.written
    it.clock.goes_on(BOUNDS.body_idle_s + 0.1)
    assert (it.transport.end, it.transport.written) == ("aborted", written)


# Between requests.


async def test_an_idle_connection_is_kept_so_long_from_its_last_answer_and_no_longer(it: Server) -> None:
    await it.gets(WHOLE)
    it.clock.goes_on(KEEP_ALIVE_S - 1)
    await it.gets(WHOLE)
    it.clock.goes_on(KEEP_ALIVE_S - 1)
    assert it.transport.end == ""
    it.clock.goes_on(2)
    assert (it.transport.written.count(b"HTTP/1.1 200"), it.transport.end) == (2, "closed")


async def test_one_that_is_in_use_is_not_idle(it: Server) -> None:
    await it.gets(WHOLE)
    it.may_answer.clear()
    await it.gets(WHOLE)
    it.clock.goes_on(2 * KEEP_ALIVE_S)
    assert it.transport.end == ""
    it.may_answer.set()
    await it.does_all()
    it.clock.goes_on(KEEP_ALIVE_S - 1)
    assert it.transport.end == ""
    it.clock.goes_on(2)
    assert it.transport.end == "closed"


async def test_an_idle_client_that_leaves_its_answer_unread_is_cut_off(it: Server) -> None:
    await it.gets(WHOLE)
    it.transport.unread_bytes = 1
    it.clock.goes_on(KEEP_ALIVE_S + 1)
    assert it.transport.end == "aborted"


# The answer.


async def test_a_client_that_reads_nothing_is_given_up(it: Server) -> None:
    it.may_end.clear()
    await it.gets(WHOLE)
    it.transport.unread_bytes = 100_000
    it.connection.pause_writing()
    it.clock.goes_on(BOUNDS.stall_s - 0.1)
    assert it.transport.end == ""
    it.clock.goes_on(0.2)
    assert it.transport.end == "aborted"


async def test_one_that_reads_a_little_is_not(it: Server) -> None:
    it.may_end.clear()
    await it.gets(WHOLE)
    it.transport.unread_bytes = 100_000
    it.connection.pause_writing()
    for _ in range(10):
        it.clock.goes_on(BOUNDS.stall_s - 1)
        it.transport.unread_bytes -= 1
        it.clock.goes_on(1)
    assert it.transport.end == ""
    it.clock.goes_on(BOUNDS.stall_s + 1)
    assert it.transport.end == "aborted"


async def test_one_that_has_caught_up_has_all_its_time_again(it: Server) -> None:
    it.may_end.clear()
    await it.gets(WHOLE)
    it.transport.unread_bytes = 100_000
    it.connection.pause_writing()
    it.clock.goes_on(BOUNDS.stall_s - 1)
    it.connection.resume_writing()
    it.clock.goes_on(BOUNDS.stall_s)
    assert it.transport.end == ""
    it.connection.pause_writing()
    it.clock.goes_on(BOUNDS.stall_s - 1)
    assert it.transport.end == ""


async def test_a_last_answer_that_is_not_read_keeps_the_connection_no_longer(it: Server) -> None:
    it.may_answer.clear()
    await it.gets(WHOLE.replace(b"host", b"connection: close\r\nhost"))
    it.transport.unread_bytes = 100
    it.may_answer.set()
    await it.does_all()
    assert it.transport.end == "closed"
    it.connection.resume_writing()  # What is left is less than the transport's mark, and still unread.
    it.clock.goes_on(BOUNDS.stall_s + 0.1)
    assert it.transport.end == "aborted"


async def test_nor_one_that_it_cannot_keep_up_with(it: Server) -> None:
    it.transport.unread_bytes = 100_000
    it.transport.is_full = it.connection.pause_writing
    it.connection.app = whole
    await it.gets(WHOLE.replace(b"host", b"connection: close\r\nhost"))
    assert it.transport.end == "closed"
    assert len(it.clock.waiting) == 1
    it.clock.goes_on(BOUNDS.stall_s + 0.1)
    assert it.transport.end == "aborted"


async def test_a_client_that_is_refused_is_heard_out_for_a_moment(it: Server) -> None:
    await it.gets(b"garbage\r\n\r\n")
    assert (it.status, it.transport.end) == (400, "half closed")
    written = it.transport.written
    await it.gets(WHOLE)
    it.transport.unread_bytes = 1
    it.clock.goes_on(LINGER_S + 0.1)
    assert it.transport.end == "half closed"  # It has not read yet why.
    it.transport.unread_bytes = 0
    it.clock.goes_on(LINGER_S)
    assert (it.transport.end, it.transport.written) == ("aborted", written)


async def test_so_is_one_that_has_sent_more_than_it_may(it: Server) -> None:
    it.may_answer.clear()
    await it.gets(WHOLE, WHOLE)
    it.may_answer.set()
    await it.does_all()
    assert (it.status, it.transport.end) == (200, "half closed")
    await it.gets(WHOLE)
    it.clock.goes_on(LINGER_S + 0.1)
    assert it.transport.end == "aborted"
    assert it.transport.written.count(b"HTTP/1.1 ") == 1
