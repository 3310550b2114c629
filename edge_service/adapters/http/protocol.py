"""Guards connections against slow clients, endless requests and request smuggling, which uvicorn leaves open.

llhttp, in its strict mode, refuses most of what two parsers could understand differently (RFC 9112, 11.2): both
content-length and transfer-encoding, two lengths, bare CR or LF, folded lines, control characters. `_admit` refuses the
rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios
from dataclasses import dataclass
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from edge_service.adapters.http.asgi import MAX_BODY_BYTES
from edge_service.adapters.http.connection import Connection
from edge_service.dialects import openai_chat
from edge_service.domain import headers
from edge_service.domain.errors import (
    ApiError,
    HeadersTooLargeError,
    InvalidRequestError,
    PayloadTooLargeError,
    RequestTimeoutError,
)
from edge_service.domain.headers import Headers

_log = structlog.get_logger("forebay.edge.http")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a client may take, and how much it may send."""

    head_s: float = 10.0
    """Until the head of a request is complete: of the first one from the beginning of the connection, of a later one
    from its first byte."""
    head_bytes: int = 32 * 1024
    """The size of a head, and of anything else that is not part of a body: trailers, chunk extensions."""
    body_idle_s: float = 30.0
    """Between two parts of a body."""
    body_s: float = 300.0
    """For a whole body."""
    stall_s: float = 60.0
    """How long a client may read nothing while there is something for it to read."""


def protocol(bounds: Bounds) -> type[Connection]:
    """The protocol class with these bounds, of which uvicorn makes one object for each connection."""
    return type("BoundedProtocol", (ClientProtocol,), {"bounds": bounds})


class ClientProtocol(Connection):
    """A client's connection within `bounds`.

    A request that arrives in one piece sets no timer, and nearly all do.
    """

    bounds = Bounds()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reading: asyncio.TimerHandle | None = None
        """The timer for the head or the body that is arriving."""
        self._body_began_at = 0.0
        self._body_moved_at = 0.0
        """When the last part of the body arrived."""
        self._is_over = False
        """The last answer has been written, though it may wait to be sent."""
        self._stall: asyncio.TimerHandle | None = None
        """The timer for a client that does not read."""
        self._unread_bytes = 0
        """How much it had not read when that timer was set."""

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading = self.loop.call_later(self.bounds.head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lift_reading()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_client()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None and not self._is_over:
            self._stall.cancel()
            self._stall = None

    # From the connection.

    def _admit(self, method: bytes, version: str, by_name: dict[bytes, bytes]) -> None:
        if self._reading is not None:
            self._lift_reading()
        if version not in ("1.1", "1.0"):
            raise InvalidRequestError("the versions of HTTP that are served are 1.1 and 1.0")
        if method == b"CONNECT":
            raise InvalidRequestError("this is no proxy: it does not CONNECT")
        if self._idle_bytes > self.bounds.head_bytes:  # The head is a part of these bytes, and seldom needs counting.
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.head_bytes:
                raise HeadersTooLargeError(f"the headers are larger than {self.bounds.head_bytes} bytes")
        if len(by_name) < len(self.headers):
            names = [name for name, _ in self.headers]
            for name in (b"host", b"transfer-encoding"):
                if names.count(name) > 1:
                    raise InvalidRequestError(f"there is more than one header '{name.decode()}'")
        if b"host" not in by_name and version == "1.1":
            raise InvalidRequestError("there is no Host header")
        coding = by_name.get(b"transfer-encoding")
        if coding is not None and (version != "1.1" or coding.strip().lower() != b"chunked"):
            raise InvalidRequestError("the only transfer coding is 'chunked', and HTTP/1.0 has none")
        # Before any of the body is read: the client learns of it as early as can be.
        if int(by_name.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")

    def _expect_more(self) -> None:
        if self._is_deaf or self.transport.is_closing():
            return
        is_begun = self._in_head or self._in_body
        if is_begun and self._idle_bytes > self.bounds.head_bytes:
            self._refuse(HeadersTooLargeError(f"the headers are larger than {self.bounds.head_bytes} bytes"))
        elif self._reading is None:
            if self._in_body:
                self._body_began_at = self._body_moved_at = self.loop.time()
                self._reading = self.loop.call_later(self.bounds.body_idle_s, self._look_at_body)
            else:
                # Any byte ends the time of an idle connection, even if it begins no request: a line end, or the rest of
                # a body whose request has been answered.
                self._reading = self.loop.call_later(self.bounds.head_s, self._head_is_late)
        elif not self._idle_bytes:
            self._body_moved_at = self.loop.time()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._reading is not None and not self._offers_upgrade:
            self._lift_reading()

    # When time is up.

    def _head_is_late(self) -> None:
        self._reading = None
        if self._in_head:
            self._refuse(RequestTimeoutError("the headers took too long"))
        else:
            self.transport.close()  # It has asked for nothing; an answer would be taken for the next request's.

    def _look_at_body(self) -> None:
        now = self.loop.time()
        due = min(self._body_moved_at + self.bounds.body_idle_s, self._body_began_at + self.bounds.body_s)
        if now < due:
            self._reading = self.loop.call_at(due, self._look_at_body)
        elif self.flow.read_paused:
            # The client is not late: reading is paused, since the application has not taken what came before.
            self._body_moved_at = now
            self._reading = self.loop.call_later(self.bounds.body_idle_s, self._look_at_body)
        else:
            self._reading = None
            self._refuse(RequestTimeoutError("the body took too long"))

    def _watch_client(self) -> None:
        self._unread_bytes = _unread_bytes(self.transport)
        self._stall = self.loop.call_later(self.bounds.stall_s, self._look_at_client)

    def _look_at_client(self) -> None:
        unread = _unread_bytes(self.transport)
        if unread < self._unread_bytes:
            self._unread_bytes = unread
            self._stall = self.loop.call_later(self.bounds.stall_s, self._look_at_client)
        else:
            self._stall = None
            _log.warning("client_stalled", unread_bytes=unread)
            self.transport.abort()  # Closing would wait for the client to read.

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _close(self) -> None:
        self._is_over = True
        super()._close()
        # Closing waits until all has been sent, which is for ever if the client does not read.
        if self._stall is None and self.transport.get_write_buffer_size():
            self._watch_client()

    def _linger(self) -> None:
        self._lift_reading()
        super()._linger()

    def _lift_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    # What is said.

    def _reject(self, why: BaseException | None) -> None:
        self._refuse(why if isinstance(why, ApiError) else InvalidRequestError("this is not valid HTTP/1.1"))

    def _refuse(self, error: ApiError) -> None:
        self._is_deaf = True
        self._unset_keepalive_if_required()
        request_id = headers.request_id(None)
        _log.warning("request_refused", request_id=request_id, status=error.status, code=error.code)
        cycle = self.cycle
        if self._in_body:
            if cycle.response_complete:
                self._linger()  # It has its answer.
                return
            if cycle.has_begun:
                self.transport.abort()  # A status line here would be part of the answer, or pass for it.
                return
            cycle.leave()
        content = openai_chat.error_body(error)
        own: Headers = [
            (headers.REQUEST_ID, request_id.encode()),
            (b"content-length", b"%d" % len(content)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % pair for pair in (*error.headers, *own))
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + content)
        self._linger()


def _unread_bytes(transport: asyncio.Transport) -> int:
    """The bytes that wait to be read by the client, in the transport's buffer and in the kernel's. The kernel's holds
    megabytes, and takes more only after much of it has been sent. So by the transport's alone, a client that reads
    slowly would look like one that does not read at all."""
    waiting = transport.get_write_buffer_size()
    with contextlib.suppress(OSError, AttributeError):  # Not every system tells.
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        waiting += int.from_bytes(answer, sys.byteorder)
    return waiting
