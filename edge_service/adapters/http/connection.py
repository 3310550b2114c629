"""How requests follow one another on a client's connection, where uvicorn's way loses something.

- An offer to upgrade is passed over (RFC 9110, 7.8). The parser takes the body that follows it for another protocol.
- One request at a time. uvicorn stops reading when a second one is there before the first has its answer, and so never
  learns that the client has left. Here what follows a request under way is thrown away, and its answer ends the
  connection, which tells the client to ask again (RFC 9112, 9.3.2).
- HTTP/1.0 knows no chunks (RFC 9112, 7.1): its streams end where the connection does. It gets no second request.
- An answer that ends the connection arrives even if the client is still sending.
- A head that comes again is not parsed again (`known_heads`). Of that the parser sees nothing: it stays between two
  requests.
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

from edge_service.adapters.http.asgi import SHOWN
from edge_service.adapters.http.cycle import CYCLE, Cycle, Line
from edge_service.adapters.http.known_heads import KnownHead, known_head

LINGER_S = 1.0
"""How long what a client still sends is read, and thrown away, after the last answer."""

MOST_IN_VAIN = 8
"""After so many different heads in a row a connection's heads are not kept any more: each is a loss."""


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
        """Bytes since the last part of a body, or since the head before it."""
        self._is_deaf = False
        """What arrives is thrown away."""
        self._offers_upgrade = False
        self._asked: tuple[bytes, bytes, str] | None = None
        """Method, target and version of the last request; mostly the next one's, too."""
        self._scope: Scope = {}
        """The scope for these, with what is the same for each such request. It is copied, never changed."""
        self._first = b""
        """The piece that is being parsed, if it is the first since the last answer."""
        self._known: KnownHead | None = None
        self._in_vain = 0
        """Different heads since one was repeated."""
        self._owed_bytes = 0
        """Bytes still to come of a body whose head was known, and not parsed."""
        self._lingering: asyncio.TimerHandle | None = None
        self._idle_from: float | None = self.loop.time()
        """Since when the connection has been idle; None while a request is arriving or under way."""
        self._idling: asyncio.TimerHandle | None = None

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
        self.parser = None  # type: ignore[assignment] # It holds on to this.

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        is_next = self._idle_from is not None and not self._in_body
        self._idle_from = None
        if is_next and self._known is not None and self._has_begun(self._known, data):
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

    def _has_begun(self, known: KnownHead, data: bytes) -> bool:
        """Begins a request without the parser, if `data` begins with the known head."""
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
        """Continues a body whose head the parser has not seen."""
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
            # It has skipped the body. Another one reads the same head without the offer, and then what follows.
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
        shown = dict(reversed(headers))
        self._admit(method, version, shown)
        asked = method, self.url, version
        if asked != self._asked:
            self._scope = self._scope_of(*asked)
            self._asked = asked
        is_old = version == "1.0"
        cycle = Cycle(
            self._line,
            is_head=method == b"HEAD",
            knows_chunks=not is_old,
            is_awaited=b"expect" in shown and shown[b"expect"].lower() == b"100-continue" and not is_old,
            keep_alive=not is_old and parser.should_keep_alive(),
        )
        scope = {**self._scope, "headers": headers, SHOWN: shown}
        if self._first and self._in_vain < MOST_IN_VAIN and cycle.keep_alive:
            self._remember(self._first, scope)
        self._begin(scope, cycle)
        # Trailers would be added to the list that the application has (RFC 9110, 6.5.1: they are to be kept apart).
        self.headers = []

    def _begin(self, scope: Scope, cycle: Cycle) -> None:
        """Begins a request whose head has been admitted."""
        self.cycle = scope[CYCLE] = cycle
        self._in_head, self._in_body, self._idle_bytes = False, True, 0
        task = self.loop.create_task(cycle.run(self.app, scope))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _remember(self, data: bytes, scope: Scope) -> None:
        """Keeps the head that `data` begins with, if it can be recognised by its bytes."""
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

    def _admit(self, method: bytes, version: str, shown: dict[bytes, bytes]) -> None:
        """Raises `ApiError`, which stops the parser, if a request with such a head is not to be served."""

    def _reject(self, why: BaseException | None) -> None:
        """The parser has stopped; `why` is what stopped it, if it was one of our checks."""
        raise NotImplementedError

    def _expect_more(self) -> None:
        """Something was read, and more is expected: of this request, or the next one."""

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
        """Closes the connection if it has been idle for long enough. One timer runs on while the connection is used: to
        set and cancel one for each request would cost as much as all else at its end."""
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
        """Closes the connection slowly: to close it while bytes arrive resets it, and a reset may overtake the answer
        (RFC 9112, 9.6)."""
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
