"""One request and its answer on a client's connection: what uvicorn has for it, in fewer steps.

It takes for granted that names of headers are valid, and in lower case: they are our own, or a parser has read them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import cast

from starlette.types import Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

LEAVING = "forebay.leaving"
"""In the scope: the request's `Leaving`."""
WRITE = "forebay.write"
"""In the scope, until somebody takes it: the cycle's `write`, which would keep the scope alive."""

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})


class Leaving:
    """Tells whoever serves a request that the client has left. A task that waits for `http.disconnect` would tell the
    same, at the cost of a task for each request."""

    __slots__ = ("_has_left", "_tell")

    def __init__(self) -> None:
        self._has_left = False
        self._tell: Callable[[], None] | None = None

    def call(self, tell: Callable[[], None]) -> None:
        """If the client leaves before it has its answer; at once if it has left already."""
        if self._has_left:
            tell()
        else:
            self._tell = tell

    def left(self) -> None:
        tell, self._tell, self._has_left = self._tell, None, True
        if tell is not None:
            tell()

    def over(self) -> None:
        """The answer is complete."""
        self._tell = None


class Cycle(RequestResponseCycle):
    """As `Connection` makes it."""

    # As each of them begins.
    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    body: bytes | bytearray = b""  # type: ignore[assignment]
    """What has come of the request's, and has not been received."""

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        logger: logging.Logger,
        default_headers: list[tuple[bytes, bytes]],
        leaving: Leaving,
        on_response: Callable[..., None],
        *,
        is_awaited: bool,
        keep_alive: bool,
    ) -> None:
        """`is_awaited`: the client sends the body when it is told to go on."""
        self.scope = scope  # type: ignore[assignment]
        self.transport = transport
        self.flow = flow
        self.logger = logger
        self.default_headers = default_headers
        self.leaving = leaving
        self.on_response = on_response
        self.waiting_for_100_continue = is_awaited
        self.keep_alive = keep_alive
        self.message_event = asyncio.Event()

    def add(self, body: bytes) -> None:
        """A piece of the request's body. The first one is kept as it is: mostly it is all."""
        if not self.body:
            self.body = body
            return
        if not isinstance(self.body, bytearray):
            self.body = bytearray(self.body)
        self.body += body

    def leave(self) -> None:
        """The client has left: whoever reads or serves is told, and nothing more is sent."""
        self.disconnected = True
        self.message_event.set()
        self.leaving.left()

    async def receive(self) -> Message:  # type: ignore[override]
        """As uvicorn does, but that nothing is waited for if all of the body is there, as it mostly is."""
        is_over = self.disconnected or self.response_complete
        if is_over or not self.body or self.more_body or self.waiting_for_100_continue:
            return cast(Message, await super().receive())
        self.flow.resume_reading()  # Or nobody would hear of it if the client leaves.
        self.message_event.clear()
        body, self.body = bytes(self.body), b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Waits while the client does not keep up."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        is_head = message["type"] == "http.response.start"
        if self.response_complete or is_head is self.response_started:
            raise RuntimeError("an answer has one head, then a body, and nothing behind that")
        if is_head:
            self._begin(message["status"], message["headers"])
        else:
            self._go_on(message["body"], is_last=not message.get("more_body", False))

    def write(self, body: bytes) -> bool:
        """Part of the body of an answer that has begun, if it can be written at once; else it is for `send`."""
        if not self.chunked_encoding or self.flow.write_paused or self.disconnected:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        headers = [*self.default_headers, *headers]
        named = dict(headers)
        length, connection = named.get(b"content-length"), named.get(b"connection")
        if length is not None:
            self.expected_content_length = int(length)
            self.chunked_encoding = False
        elif self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        if connection is not None and connection.lower() == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [*map(b": ".join, headers)]
        if _CONTROL.search(b"\t".join(lines)):
            raise RuntimeError("a header with a control character in it")
        self.transport.write(STATUS_LINE[status] + b"\r\n".join([*lines, b"", b""]))

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.transport.write(framed + b"0\r\n\r\n" if is_last else framed)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("an answer that is longer than it says")
            self.transport.write(body)
        if is_last:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("an answer that is shorter than it says")
        self.response_complete = True
        self.message_event.set()
        self.leaving.over()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
