"""A connection that knows heads by their bytes does all that one does which has each of them parsed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from edge_service.adapters.http import known_heads
from edge_service.adapters.http.asgi import HEADERS_BY_NAME, ClientGoneError, headers_by_name, read_body
from edge_service.adapters.http.client_keys import _KEPT as KEPT
from edge_service.adapters.http.client_keys import client_key
from edge_service.adapters.http.connection import MOST_IN_VAIN
from edge_service.adapters.http.cycle import CYCLE, Cycle
from edge_service.adapters.http.known_heads import KnownHead
from edge_service.adapters.http.protocol import Bounds, ClientProtocol

_OWN_ID = re.compile(rb"(?<=x-forebay-request-id: )[0-9a-f]{32}")

_BOUNDS = Bounds(head_bytes=known_heads.MOST_BYTES)


class Knowing(ClientProtocol):
    """Counts what it was spared."""

    bounds = _BOUNDS
    spared = 0

    def _begin_known(self, known: KnownHead, data: bytes) -> bool:
        is_spared = super()._begin_known(known, data)
        self.spared += is_spared
        return is_spared


class Forgetful(ClientProtocol):
    """What it is held against."""

    bounds = _BOUNDS

    def _remember(self, data: bytes, scope: Scope) -> None: ...


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Notes all that there is to see of a request."""
    cycle: Cycle = scope[CYCLE]
    seen: list[object] = scope["state"]["seen"]
    seen.append({name: value for name, value in scope.items() if name not in (CYCLE, HEADERS_BY_NAME, KEPT, "state")})
    seen.append((headers_by_name(scope), client_key(scope)))
    if scope["path"] != "/early":
        body = cycle.take()
        seen.append(("taken", body))
        try:
            seen.append(await read_body(receive) if body is None else body)
        except ClientGoneError:
            seen.append("gone")
            return
    await asyncio.sleep(0)
    await cycle.respond(200, [(b"connection", b"close")] if scope["path"] == "/last" else [], b"an answer")


def _configured(made: type[ClientProtocol]) -> uvicorn.Config:
    config = uvicorn.Config(
        app, interface="asgi3", http=made, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    return config


_CONFIGS = {made: _configured(made) for made in (Knowing, Forgetful)}


class Transport(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 8000)})
        self.done: list[object] = []
        self.has_ended = False

    def write(self, data: Any) -> None:
        self.done.append(_OWN_ID.sub(b"", data))

    def write_eof(self) -> None:
        self.done.append("the end of what is written")

    def is_closing(self) -> bool:
        return self.has_ended

    def pause_reading(self) -> None:
        self.done.append("reads no more")

    def resume_reading(self) -> None:
        self.done.append("reads on")

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.has_ended = True

    def abort(self) -> None:
        self.done.append("aborted")
        self.has_ended = True


class Head(NamedTuple):
    first: bytes = b"POST /echo HTTP/1.1"
    lines: Sequence[bytes] = ()
    length: bytes = b"content-length: "
    """The line that tells it, up to its digits."""
    at: int = 0

    def said(self, length: bytes, extra: Sequence[bytes]) -> bytes:
        lines = [b"host: a", *self.lines, *extra]
        lines.insert(self.at, self.length + length)
        return b"\r\n".join([self.first, *lines, b"", b""])


class Request(NamedTuple):
    head: int
    """Which of those that this client has."""
    body: bytes
    is_split: bool
    """Its body comes by itself."""
    times: int = 1
    length: bytes = b"%d"
    extra: Sequence[bytes] = ()
    too_long: int = 0
    """By how much the length is greater than the body."""
    before: bytes = b""
    behind: bytes = b""
    cuts: Sequence[float] = ()
    rounds_between: int = 0
    """For which the loop goes on between its pieces."""
    rounds: int = 8
    """For which it does when all has been sent; 0 and the next one comes with it."""

    def pieces(self, heads: list[Head]) -> list[bytes]:
        """As they come, the last one with what follows it."""
        body = self.body * self.times
        length = self.length % max(0, len(body) + self.too_long)
        head = self.before + heads[self.head % len(heads)].said(length, self.extra)
        whole = head + body + self.behind
        at = sorted({int(cut * len(whole)) for cut in self.cuts} | ({len(head)} if self.is_split else set()))
        return [whole[begin:end] for begin, end in zip([0, *at], [*at, len(whole)], strict=True) if begin < end]


_PLAIN_LINES = [b"accept: */*", b"Authorization: Bearer one", b"x-api-key: another", b"Connection: Keep-Alive", b"X: 1"]
_LINES = [
    b"connection: keep-alive, x",
    b"connection: close",
    b"connection: upgrade",
    b"connection: upgrade\r\nupgrade: h2c",
    b"connection: keep-alive\r\nconnection: upgrade\r\nupgrade: h2c",
    b"upgrade: h2c",
    b"transfer-encoding: chunked",
    b"Transfer-Encoding: identity",
    b"expect: 100-continue",
    b"host: another",
    b"content-length: 3",
    b"x: a\nb: c",
    b"x:\r\n folded",
    b"x: \0",
    b"x: " + b"y" * 2_000,
    b"x: " + b"y" * known_heads.MOST_BYTES,
]
_heads = st.builds(
    lambda **drawn: Head(**drawn),
    lines=st.lists(st.sampled_from(_PLAIN_LINES), max_size=3),
    length=st.sampled_from([b"content-length: ", b"Content-Length: ", b"CONTENT-LENGTH:", b"content-length:  \t"]),
    at=st.integers(0, 4),
)
_odd_heads = st.builds(
    lambda *drawn: Head(*drawn),
    st.sampled_from(
        [
            b"POST /echo HTTP/1.1",
            b"POST /early HTTP/1.1",
            b"POST /last HTTP/1.1",
            b"POST /echo?key=a%20key HTTP/1.1",
            b"POST /echo HTTP/1.0",
            b"PUT /echo HTTP/1.1",
            b"GET /echo HTTP/1.1",
            b"post /echo HTTP/1.1",
            b"CONNECT a:443 HTTP/1.1",
        ]
    ),
    st.lists(st.sampled_from(_LINES), max_size=1),
    st.sampled_from(
        [
            b"content-length: ",
            b"content-length : ",
            b"x-content-length: ",
            b"x: \r content-length: ",
            b"x: 1\ncontent-length: ",
            b"transfer-encoding: chunked\r\nx: ",
            b"transfer-encoding: chunked\r\ncontent-length: ",
        ]
    ),
)
_LENGTHS = [
    *[b"0%d", b"00000000%d", b"0000000000%d", b"%d00000000", b"9999999999999999999%d"],
    *[b"+%d", b"-%d", b" %d", b"%d ", b"%d_0", b"%d.", b"%d, 3", b"0x%d", b"%d\n", b"%d\r", b"%d\0", b"\r\n %d"],
    *[b"%d\r\ncontent-length: 3", b"%d\r\nx: 1", b"%d\r\ntransfer-encoding: chunked", b"%d\r\n\r\n"],
]
_requests = st.builds(
    lambda *drawn: Request(*drawn),
    st.integers(0, 1),
    st.binary(max_size=12) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"]),
    st.booleans(),
)
_MUTATIONS: list[tuple[str, Any]] = [
    *(("length", length) for length in _LENGTHS),
    *(("extra", [line]) for line in _LINES),
    *(("too_long", more) for more in (1, -1, 5)),
    *(("before", said) for said in (b"\r\n", b"\r", b"\n", b" ", b"\0")),
    *(("behind", said) for said in (b"\r\n", b"\r", b"x", b"POST /echo HTTP/1.1\r\n", b"0\r\n\r\n")),
    *(("cuts", [cut]) for cut in (0.01, 0.5, 0.9, 0.99)),
    *(("rounds_between", rounds) for rounds in (1, 3)),
    *(("rounds", rounds) for rounds in (0, 1, 3)),
    ("times", 9_000),
]
_mutations = st.sampled_from(_MUTATIONS) | st.tuples(st.just("cuts"), st.lists(st.floats(0.0, 0.99), max_size=4))
_mutated = st.builds(
    lambda request, mutations: request._replace(**dict(mutations)), _requests, st.lists(_mutations, max_size=3)
)


def _sent(heads: list[Head], requests: list[Request]) -> list[tuple[bytes, int]]:
    """What comes in one piece each, and for how many rounds the loop then goes on."""
    sent: list[tuple[bytes, int]] = []
    held = b""
    for request in requests:
        *before, last = request.pieces(heads)
        for piece in before:
            sent.append((held + piece, request.rounds_between))
            held = b""
        held += last
        if request.rounds:
            sent.append((held, request.rounds))
            held = b""
    return [*sent, (held, 8)] if held else sent


async def _told(connection: ClientProtocol, seen: list[object], sent: list[tuple[bytes, int]]) -> list[object]:
    """All that shows of a connection meanwhile."""
    transport = Transport()
    connection.connection_made(transport)
    told: list[object] = []
    for piece, rounds in sent:
        if transport.has_ended:
            break
        connection.data_received(piece)
        told.append(
            (
                connection._in_head,
                connection._in_body,
                connection._idle_bytes,
                connection._is_deaf,
                connection._idle_from is None,
                connection._reading is None,
                connection._lingering is None,
                connection.flow.read_paused,
                connection.cycle is not None and (connection.cycle.is_whole, connection.cycle.keep_alive),
                len(connection.tasks),
            )
        )
        for _ in range(rounds):
            await asyncio.sleep(0)
        told.append((len(seen), len(transport.done), transport.has_ended))
    connection.connection_lost(None)
    await asyncio.gather(*connection.tasks)
    return [told, seen, transport.done]


_Made = TypeVar("_Made", bound=ClientProtocol)


def _talk(made: type[_Made], sent: list[tuple[bytes, int]]) -> tuple[list[Any], _Made]:
    async def talk() -> tuple[list[Any], _Made]:
        seen: list[object] = []
        connection = made(_CONFIGS[made], ServerState(), {"seen": seen}, asyncio.get_running_loop())
        return await _told(connection, seen, sent), connection

    return asyncio.run(talk())


def _compare(sent: list[tuple[bytes, int]]) -> None:
    known, _ = _talk(Knowing, sent)
    parsed, _ = _talk(Forgetful, sent)
    assert known == parsed


@given(
    st.lists(_heads, min_size=1, max_size=2) | st.tuples(_heads, _odd_heads).map(list),
    st.lists(_requests, min_size=2, max_size=4),
    st.lists(_requests | _mutated, max_size=4),
)
def test_it_is_as_if_each_head_were_parsed(heads: list[Head], before: list[Request], requests: list[Request]) -> None:
    _compare(_sent(heads, [*before, *requests]))


@pytest.mark.parametrize("mutation", _MUTATIONS, ids=lambda mutation: str(mutation)[:40])
def test_so_it_is_for_each_way_to_differ(mutation: tuple[str, Any]) -> None:
    for is_split in (False, True):
        plain = Request(0, b"a body", is_split)
        other = plain._replace(**dict([mutation]))
        for requests in ([plain, plain, other, plain, plain], [other] * 4):
            _compare(_sent([Head(lines=[b"accept: */*"])], requests))


def test_a_body_that_looks_like_a_request_is_none() -> None:
    """Nor if its request has been answered when it comes."""
    for path in (b"/early", b"/echo"):
        head = Head(b"POST %b HTTP/1.1" % path)
        whole = head.said(b"4", []) + b"body"
        _compare([(whole, 8), (whole, 8), (head.said(b"%d" % len(whole), []), 8), (whole, 8), (whole, 8)])


def _asked(name: bytes, body: bytes) -> tuple[bytes, int]:
    return b"POST /echo HTTP/1.1\r\nhost: a\r\nx: %b\r\ncontent-length: %d\r\n\r\n%b" % (name, len(body), body), 8


def test_the_parser_is_spared_what_comes_again() -> None:
    (_, seen, _), connection = _talk(Knowing, [_asked(b"y", body) for body in (b"one", b"three", b"two")])
    assert connection.spared == 2
    assert [body for body in seen if isinstance(body, bytes)] == [b"one", b"three", b"two"]


def test_where_no_head_is_like_the_one_before_none_is_kept() -> None:
    different = [_asked(b"%d" % number, b"body") for number in range(MOST_IN_VAIN)]
    last = different[-1]
    _, connection = _talk(Knowing, [*different, last, last])
    assert connection.spared == 0
    _, connection = _talk(Knowing, [*different[1:], last, last, *different[1:], last, last])
    assert connection.spared == 4
