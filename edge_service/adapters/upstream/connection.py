"""One HTTP/1.1 connection to a provider: bytes of a request out, an answer in, and whether another may follow.

    connecting -> idle -> busy --answer complete, request sent, both sides willing--> idle
                            |
                            +------ anything else ------> closed

The parser is llhttp's (httptools), in its strict mode. What it does not know is kept here: that a body without a length
ends with the connection, that interim answers (1xx) are none, that an answer may come before the request is out, and
that nothing may come on a connection on which nothing was asked.

Nothing is ever sent twice. A connection that the provider has closed while it was idle is found out before it is used;
whoever loses the race that remains cannot know whether the provider has read the request.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import TypeAlias, cast

import httptools

from edge_service.adapters.upstream.answer import Answer, ConnectionBrokenError
from edge_service.adapters.upstream.presence import SOCKET_OPTIONS
from edge_service.domain.bodies import Body, Pieces
from edge_service.domain.headers import Headers

MAX_HEAD_BYTES = 64 * 1024
"""The most of a head, and of anything else between two pieces of a body: interim answers, a line without an end (of
which the parser copies all with each piece), a chunk's extensions, trailers."""
MAX_HEADERS = 256
JOINED_BYTES = 64 * 1024
"""A request up to this size goes out in one piece."""

_NO_BODY = frozenset({204, 304})
_SWITCHING = 101


Release: TypeAlias = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """The callbacks of the parser and of the transport."""

    __slots__ = (
        "_answer",
        "_beside_bytes",
        "_came",
        "_fd",
        "_forget",
        "_framed",
        "_headers",
        "_is_interim",
        "_is_paused",
        "_is_sending",
        "_loop",
        "_parser",
        "_poll",
        "_release",
        "_transport",
        "expires_at",
        "is_closed",
        "keep_s",
        "on_body",
        "opened_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, release: Release, forget: Release) -> None:
        """`release` takes the connection back when another request may be sent on it, `forget` when it is closed."""
        self._loop = loop
        self._release = release
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._came: list[bytes] = []
        """Pieces of the body from the present read, which may bring hundreds."""
        self.on_body = self._came.append
        self._parser = httptools.HttpResponseParser(self)  # It looks for its callbacks now.
        self._answer: Answer | None = None
        self._headers: Headers = []
        self._beside_bytes = 0
        """Bytes since the last read that brought a piece of a body."""
        self._framed = False
        """The head says where the body ends."""
        self._is_interim = False
        self._is_paused = False
        self._is_sending = False
        """The transport has not sent all of the request yet."""
        self._poll: select.poll | None = None
        self._fd = -1
        self.is_closed = False
        self.opened_at = loop.time()
        self.expires_at = 0.0
        """While idle."""
        self.keep_s: float | None = None
        """How long the provider says that it keeps an idle connection."""

    # --- For the pool -------------------------------------------------------------------------------------------------

    def send(self, head: bytes, body: Body) -> Answer:
        """Sends a request. The connection must be idle."""
        assert self._transport is not None and self._answer is None  # noqa: S101, PT018 - the pool sees to it
        answer = self._answer = Answer(self, self._loop)
        self._beside_bytes = 0
        if isinstance(body, Pieces):
            self._transport.writelines((head, *body.pieces))
        elif len(body) < JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return answer

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open, as far as can be told now: there must be nothing to read, not even its
        end."""
        if self.is_closed or self._transport is None or self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Closes the connection at once, whatever is under way."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()

    # --- From the transport -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        its_socket = transport.get_extra_info("socket")
        self._fd = its_socket.fileno()
        for option in SOCKET_OPTIONS:
            its_socket.setsockopt(*option)

    def pause_writing(self) -> None:
        self._is_sending = True

    def resume_writing(self) -> None:
        self._is_sending = False

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()  # Nothing was asked.
            return
        self._beside_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._answer is not None:
                self._break(f"the answer is not HTTP ({type(error).__name__})")
            self.abort()
            return
        came = self._came
        if came:  # All that one read has brought of the body goes on at once.
            self._beside_bytes = 0
            if not self._answer.add(came):
                self._pause()
            came.clear()
        elif self._beside_bytes > MAX_HEAD_BYTES and self._answer is not None:
            self._break("too large a head, or too much beside the body")
            self.abort()

    def eof_received(self) -> bool:
        """The provider sends no more: all of a body that ends with the connection, too little of any other."""
        self._end_with_the_connection()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._forget(self)
        if exc is None:
            self._end_with_the_connection()
        if self._answer is not None:
            how = "the provider closed the connection" if exc is None else f"the connection broke: {_name(exc)}"
            self._break(how)

    # --- From the parser ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise ConnectionBrokenError("a second answer")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # In lower case. The parser takes off the white space before a value, and RFC 9112, 5.1 what is behind it.
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        answer = self._answer
        assert answer is not None  # noqa: S101 - a message has begun
        headers, self._headers = self._headers, []  # For trailers, which nobody reads, but which have a bound as well.
        # A head that came with less than it may be long has the room.
        if self._beside_bytes > MAX_HEAD_BYTES or len(headers) > MAX_HEADERS:
            _bound(headers)
        status = self._parser.get_status_code()
        self._is_interim = status < 200
        if self._is_interim:
            if status == _SWITCHING:
                raise ConnectionBrokenError("an answer in another protocol")
            return
        named = dict(headers)
        self._framed = b"content-length" in named or b"transfer-encoding" in named or status in _NO_BODY
        self.keep_s = _keep_s(named[b"keep-alive"]) if b"keep-alive" in named else None
        answer.status, answer.headers = status, headers
        if not answer.head_is_there.done():
            answer.head_is_there.set_result(None)

    def on_message_complete(self) -> None:
        answer = self._answer
        assert answer is not None  # noqa: S101 - a message has begun
        if self._is_interim:
            self._is_interim = False
            return
        if self._headers:
            _bound(self._headers)
        self._answer = None
        answer.complete(self._came)
        self._came.clear()
        if not self._framed or not self._parser.should_keep_alive() or self._is_sent_in_part():
            self._close()
            return
        self.resume()
        self._release(self)

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            assert self._transport is not None  # noqa: S101 - it has just brought something
            self._transport.pause_reading()

    # --- Endings ------------------------------------------------------------------------------------------------------

    def _is_sent_in_part(self) -> bool:
        """The answer came before all of the request was out: nobody knows where the next one would begin."""
        assert self._transport is not None  # noqa: S101 - it has just brought something
        return self._is_sending or self._transport.get_write_buffer_size() > 0

    def _close(self) -> None:
        self.is_closed = True
        assert self._transport is not None  # noqa: S101 - it has just brought something
        self._transport.abort()

    def _end_with_the_connection(self) -> None:
        answer = self._answer
        if answer is not None and answer.status and not self._framed:
            self.is_closed = True
            self._answer = None
            answer.complete([])

    def _break(self, how: str) -> None:
        self.is_closed = True
        answer, self._answer = self._answer, None
        if answer is not None:
            if self._came:
                answer.add(self._came)
                self._came.clear()
            answer.break_off(ConnectionBrokenError(how))


def _bound(headers: Headers) -> None:
    """Raises `ConnectionBrokenError`."""
    if len(headers) > MAX_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MAX_HEAD_BYTES:
        raise ConnectionBrokenError("too large a head")


def _keep_s(value: bytes) -> float | None:
    """`Keep-Alive: timeout=5`: https://datatracker.ietf.org/doc/html/draft-thomson-hybi-http-timeout-01#section-2"""
    for parameter in value.split(b","):
        key, _, seconds = parameter.strip().partition(b"=")
        if key.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 8:
            return float(seconds)
    return None


def _name(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
