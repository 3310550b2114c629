"""A client's connection: how requests follow one another on it. It extends uvicorn's protocol, and differs in this:

- An offer to upgrade is ignored (RFC 9110, 7.8). The parser takes the body behind such a head for the other protocol.
- No pipelining. uvicorn stops reading when a second request arrives before the first one is answered, and so does not
  notice that the client has left. Here whatever arrives behind the request under way is discarded, and the connection
  is closed after its answer, so that the client sends again what was not answered (RFC 9112, 9.3.2).
- HTTP/1.0 has no chunked coding (RFC 9112, 7.1): its streams end with the connection, which serves one request.
- An answer that ends the connection reaches the client even if the client is still sending.
- A head that is the same as the one before is not parsed again (`known_heads`). The parser sees nothing of such a
  request, and so waits for the beginning of the next one all the while.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from edge_service.adapters.http.asgi import HEADERS_BY_NAME
from edge_service.adapters.http.cycle import CYCLE, Cycle, Line
from edge_service.adapters.http.known_heads import KnownHead, known_head

LINGER_S = 1.0
"""How long what a client still sends is read, and discarded, after the last answer."""

MOST_IN_VAIN = 8
"""After so many different heads in a row no more of this connection's heads are kept: to keep one takes time, which
only its repetition saves."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    cycle: Cycle  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = False
        """Part of a head has arrived."""
        self._in_body = False
        self._idle_bytes = 0
        """Bytes that have arrived since the last byte of a body, or since the head before it: those of a head, of
        trailers or of chunk extensions."""
        self._is_deaf = False
        """Whatever arrives is discarded."""
        self._offers_upgrade = False
        """The head that is being parsed offers another protocol."""
        self._asked: tuple[bytes, bytes, str] | None = None
        """Method, target and version of the last request; the next one mostly has the same."""
        self._scope: Scope = {}
        """The part of the scope that depends on these alone. It is copied, never changed."""
        self._first = b""
        """The piece that is being parsed, if it begins with a request."""
        self._known: KnownHead | None = None
        """The head of the last request that was parsed, if it can be recognised."""
        self._in_vain = 0
        """How many different heads have been kept since one was repeated."""
        self._owed_bytes = 0
        """Bytes still to come of a body whose head was recognised, and not parsed."""
        self._lingering: asyncio.TimerHandle | None = None
        """The timer of `_linger`."""
        self._idle_from: float | None = self.loop.time()
        """Since when the connection has been idle; None while a request is arriving or under way."""
        self._idling: asyncio.TimerHandle | None = None
        """The timer that closes an idle connection."""

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._line = Line(
            transport.write, transport.is_closing, self._close, self._answered, self.flow, self.server_state
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None
        self.connections.discard(self)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.leave()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment] # It refers to this object, which would be freed late.

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        is_next = self._idle_from is not None and not self._in_body
        self._idle_from = None
        if is_next and self._known is not None and self._begin_known(self._known, data):
            return
        self._idle_bytes += len(data)
        self._first = data if is_next else b""
        try:
            if self._owed_bytes:
                self._go_on(data)
            else:
                self._feed(data)
        except httptools.HttpParserError as error:
            if self.cycle is None or self.cycle.response_complete or not self.cycle.is_whole:
                self._reject(error.__context__)
            else:
                self._is_deaf = True
                self.cycle.keep_alive = False
        self._first = b""
        if self._in_head or self._in_body or self.cycle is None or self.cycle.response_complete:
            self._expect_more()

    def _begin_known(self, known: KnownHead, data: bytes) -> bool:
        """Begins a request without the parser if `data` begins with the known head; else returns False."""
        read = known.read(data)
        if read is None:
            return False
        self._in_vain = 0
        scope, length, body = read
        cycle = Cycle(self._line)
        self._begin(scope, cycle)
        if body:
            cycle.add(body)
        if len(body) == length:
            self._in_body = False
            cycle.complete()
        else:
            self._owed_bytes = length - len(body)
            self._expect_more()
        return True

    def _go_on(self, data: bytes) -> None:
        """Takes more of a body whose head the parser has not seen."""
        owed = self._owed_bytes
        self.on_body(data[:owed])
        if len(data) < owed:
            self._owed_bytes -= len(data)
            return
        self._owed_bytes = 0
        self.on_message_complete()
        if len(data) > owed:
            self._feed(data[owed:])

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser is done for. Another one reads the same head without the offer, and then what follows it.
            self._offers_upgrade = False
            self._first = b""
            version = self.parser.get_http_version().encode()
            head = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)]
            head += [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(b"".join(head) + b"\r\n")
            self._feed(data[upgrade.args[0] :])

    # From the parser.

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            raise ValueError  # Stops the parser.
        self._in_head = True
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self.parser, self.headers
        method, version = parser.get_method(), parser.get_http_version()
        if parser.should_upgrade() and method != b"CONNECT":
            self._offers_upgrade = True
            return
        by_name = dict(reversed(headers))
        self._admit(method, version, by_name)
        asked = method, self.url, version
        if asked != self._asked:
            self._scope = self._scope_of(*asked)
            self._asked = asked
        is_old = version == "1.0"
        cycle = Cycle(
            self._line,
            is_head=method == b"HEAD",
            knows_chunks=not is_old,
            expects_continue=b"expect" in by_name and by_name[b"expect"].lower() == b"100-continue" and not is_old,
            keep_alive=not is_old and parser.should_keep_alive(),
        )
        scope = {**self._scope, "headers": headers, HEADERS_BY_NAME: by_name}
        if self._first and self._in_vain < MOST_IN_VAIN and cycle.keep_alive:
            self._remember(self._first, scope)
        self._begin(scope, cycle)
        # A list of its own for trailers, which must not be merged with the headers (RFC 9110, 6.5.1).
        self.headers = []

    def _begin(self, scope: Scope, cycle: Cycle) -> None:
        """Has the application serve a request whose head has been admitted."""
        self.cycle = scope[CYCLE] = cycle
        self._in_head, self._in_body, self._idle_bytes = False, True, 0
        task = self.loop.create_task(cycle.run(self.app, scope))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _remember(self, data: bytes, scope: Scope) -> None:
        """Keeps the head that `data` begins with, if it can be recognised when it comes again."""
        known = known_head(data, scope)
        if known is not None:
            self._in_vain += 1
            self._known = known if self._in_vain < MOST_IN_VAIN else None

    def _scope_of(self, method: bytes, target: bytes, version: str) -> Scope:
        url = httptools.parse_url(target)
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "server": self.server,
            "client": self.client,
            "state": self.app_state,
        }

    def _admit(self, method: bytes, version: str, by_name: dict[bytes, bytes]) -> None:
        """Raises `ApiError`, which stops the parser, if a request with such a head is not served. `by_name` are its
        headers; of several with one name, the first."""

    def _reject(self, why: BaseException | None) -> None:
        """Refuses what the parser has stopped at; `why` is the exception of `_admit`, if it was that."""
        raise NotImplementedError

    def _expect_more(self) -> None:
        """Called when something has arrived and more is expected: of this request or the next one."""

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        self.cycle.add(body)

    def on_message_complete(self) -> None:
        if not self._offers_upgrade:
            self._in_body, self._idle_bytes = False, 0
            self.cycle.complete()

    def _answered(self) -> None:
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._is_deaf:
            return
        self._idle_from = self.loop.time()
        if self._idling is None:
            self._idling = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_from = None

    def _look_whether_idle(self) -> None:
        """Closes the connection if it has been idle for long enough. The timer goes on while the connection is in use:
        to set and cancel one for each request would double the cost of a request's end."""
        self._idling = None
        if self._idle_from is None:
            return
        due = self._idle_from + self.timeout_keep_alive
        if due > self.loop.time():
            self._idling = self.loop.call_at(due, self._look_whether_idle)
        else:
            self.timeout_keep_alive_handler()

    # The end.

    def _close(self) -> None:
        if self._is_deaf or not self.cycle.is_whole:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Closes this direction, and goes on reading for a while. To close a connection at which bytes still arrive
        resets it, and the reset may destroy the answer before the client has read it (RFC 9112, 9.6)."""
        self._is_deaf = True
        if self._lingering is None:
            self.transport.write_eof()
            self.flow.resume_reading()
            self._lingering = self.loop.call_later(LINGER_S, self._has_lingered)

    def _has_lingered(self) -> None:
        if self.transport.get_write_buffer_size():
            self._lingering = self.loop.call_later(LINGER_S, self._has_lingered)
        else:
            self.transport.abort()
