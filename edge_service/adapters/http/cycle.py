"""One request and its answer on a client's connection.

The gateway takes a request body that has arrived completely without waiting (`take`), and writes a complete answer in
one piece (`respond`). ASGI messages are made only for applications that use them. Header names are not checked, and
must be in lower case: they are our own, or come from a parser.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from edge_service.domain.headers import Headers

CYCLE = "forebay.cycle"
"""In the scope: the request's `Cycle`."""

_log = logging.getLogger("uvicorn.error")

_CONTROL = bytes([*range(9), *range(10, 32), 127])
_BODILESS = frozenset({204, 304})
_CLOSE = (b"connection", b"close")
_CHUNKED = (b"transfer-encoding", b"chunked")
_STATUS = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}
_MISTAKE = b"Internal Server Error"


@dataclass(frozen=True, slots=True)
class Line:
    """What a `Cycle` uses of its connection."""

    write: Callable[[bytes], None]
    is_closing: Callable[[], bool]
    close: Callable[[], None]
    """To be called when nothing more will be written."""
    answered: Callable[[], None]
    """To be called when an answer is complete."""
    flow: FlowControl
    server: ServerState


class Cycle:
    """One request and its answer. It is a `Client` for the gateway; its `receive`, and the object itself as `send`, are
    for ASGI applications."""

    __slots__ = (
        "_expects_continue",
        "_is_chunked",
        "_is_head",
        "_is_taken",
        "_knows_chunks",
        "_left_bytes",
        "_line",
        "_news",
        "_parts",
        "_tell",
        "_unread_bytes",
        "disconnected",
        "has_begun",
        "is_whole",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self,
        line: Line,
        *,
        is_head: bool = False,
        knows_chunks: bool = True,
        expects_continue: bool = False,
        keep_alive: bool = True,
    ) -> None:
        """`is_head`: a HEAD request, whose answer has no body. `expects_continue`: the client waits for `100 Continue`
        before it sends its body."""
        self._line = line
        self._is_head = is_head
        self._knows_chunks = knows_chunks
        self._expects_continue = expects_continue
        self.keep_alive = keep_alive
        self.disconnected = False
        """The client has left."""
        self.is_whole = False
        """The request has arrived completely."""
        self.has_begun = False
        """The head of the answer has been written."""
        self.response_complete = False
        self._parts: list[bytes] = []
        """What has arrived of the body, and has not been read by the application."""
        self._unread_bytes = 0
        """The size of these parts."""
        self._is_taken = False
        """The application has read all of the body."""
        self._is_chunked = False
        self._left_bytes: int | None = None
        """Bytes of the answer that its content-length still promises; None without one."""
        self._tell: Callable[[], None] | None = None
        """To be called when the client leaves."""
        self._news: asyncio.Event | None = None
        """Set when `receive` has something new to return; made when it first has to wait."""

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Has the application serve the request. If it fails, the client gets a 500; or the connection is closed, if
        the answer has begun."""
        try:
            await app(scope, self.receive, self)
            if self.response_complete or self.disconnected:
                return
            _log.error("ASGI callable returned without completing response.")
        except BaseException as error:  # noqa: BLE001 - also of a task that is cancelled when the server ends
            _log.error("Exception in ASGI application\n", exc_info=error)
        if self.has_begun:
            self._line.close()
        else:
            await self.respond(500, [(b"content-type", b"text/plain; charset=utf-8"), _CLOSE], _MISTAKE)

    # From the connection.

    def add(self, part: bytes) -> None:
        """A part of the body has arrived."""
        if self.response_complete:
            return
        self._parts.append(part)
        self._unread_bytes += len(part)
        if self._unread_bytes > HIGH_WATER_LIMIT:
            self._line.flow.pause_reading()
        if self._news is not None:
            self._news.set()

    def complete(self) -> None:
        """The body is complete."""
        self.is_whole = True
        if self._news is not None:
            self._news.set()

    def leave(self) -> None:
        """The client has left: the application is told, and nothing more is written."""
        self.disconnected = True
        if self._news is not None:
            self._news.set()
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    # The request.

    def on_leaving(self, tell: Callable[[], None]) -> None:
        """Has `tell` called if the client leaves before its answer is complete; at once if it has left already. To wait
        for `http.disconnect` instead would take a task for each request."""
        if self.disconnected:
            tell()
        else:
            self._tell = tell

    def take(self) -> bytes | None:
        """The body, if it has arrived completely; else None, and `receive` gives it."""
        if not self.is_whole or self._expects_continue or self.disconnected:
            return None
        return self._taken()

    async def receive(self) -> Message:
        if self._expects_continue and not self._line.is_closing():
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects_continue = False
        while not self.disconnected and not self.response_complete and not self._has_more():
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._taken(), "more_body": not self.is_whole}

    def _has_more(self) -> bool:
        return bool(self._parts) or (self.is_whole and not self._is_taken)

    def _taken(self) -> bytes:
        body = b"".join(self._parts)
        if self._unread_bytes > HIGH_WATER_LIMIT:
            # Even if the body is complete: while reading is paused, nobody notices that the client leaves.
            self._line.flow.resume_reading()
        self._parts, self._unread_bytes, self._is_taken = [], 0, self.is_whole
        return body

    # The answer. The coroutines wait while the client does not keep up.

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
            await self.start(status, headers)
        elif message.get("more_body", False):
            await self.send(message["body"])
        else:
            await self.end(message["body"])

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        """As the port says."""
        if self._line.flow.write_paused:
            await self._line.flow.drain()
        if self.disconnected:
            return
        head = self._head(status, [*headers, (b"content-length", b"%d" % len(content))])
        self._line.write(head if self._is_head else head + content)
        self._end()

    async def start(self, status: int, headers: Headers, content: bytes = b"") -> None:
        """As the port says. A body without content-length is sent in chunks, unless the client speaks HTTP/1.0."""
        if self._line.flow.write_paused:
            await self._line.flow.drain()
        if self.disconnected:
            return
        length = dict(headers).get(b"content-length")
        if self._is_head or status in _BODILESS:
            pass
        elif length is not None:
            self._left_bytes = int(length)
        elif self._knows_chunks:
            self._is_chunked = True
            headers = [*headers, _CHUNKED]
        head = self._head(status, headers)
        self._line.write(head + self._framed(content))

    async def send(self, content: bytes) -> None:
        """As the port says."""
        if self._line.flow.write_paused:
            await self._line.flow.drain()
        if not self.disconnected:
            framed = self._framed(content)
            if framed:
                self._line.write(framed)

    def write(self, content: bytes) -> bool:
        """As the port says."""
        if not content or not self._is_chunked or self._line.flow.write_paused or self.disconnected:
            return False
        self._line.write(b"%x\r\n%b\r\n" % (len(content), content))
        return True

    async def end(self, content: bytes = b"") -> None:
        """As the port says."""
        if self._line.flow.write_paused:
            await self._line.flow.drain()
        if self.disconnected:
            return
        last = self._framed(content)
        if self._left_bytes:
            raise RuntimeError("an answer that is shorter than it says")
        if self._is_chunked:
            last += b"0\r\n\r\n"
        if last:
            self._line.write(last)
        self._end()

    def _head(self, status: int, headers: Headers) -> bytes:
        if self.has_begun:
            raise RuntimeError("an answer has one head")
        headers = [*self._line.server.default_headers, *headers]
        if _CLOSE in headers:
            self.keep_alive = False
            while headers.count(_CLOSE) > 1:  # The server has said it too, since it drains.
                headers.remove(_CLOSE)
        elif not self.keep_alive:
            headers.append(_CLOSE)
        head = b"\r\n".join([_STATUS[status], *map(b": ".join, headers), b"", b""])
        # CR and LF end each line, the status line too, and once more the head: any other control character is one too
        # many, and would let a header's value begin a line of its own.
        if len(head) - len(head.translate(None, _CONTROL)) != 2 * len(headers) + 4:
            raise RuntimeError("a header with a control character in it")
        self.has_begun = True
        self._expects_continue = False
        return head

    def _framed(self, content: bytes) -> bytes:
        """The bytes that send this part of the body: a chunk, or the part itself."""
        if not self.has_begun or self.response_complete:
            raise RuntimeError("a body is behind a head, and ends once")
        if not content or self._is_head:
            return b""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(content), content)
        if self._left_bytes is not None:
            self._left_bytes -= len(content)
            if self._left_bytes < 0:
                raise RuntimeError("an answer that is longer than it says")
        return content

    def _end(self) -> None:
        self.response_complete = True
        self._tell = None
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self._line.close()
        self._line.answered()
