"""How requests follow one another on a client's connection, where uvicorn's way loses something.

- An offer to upgrade is passed over (RFC 9110, 7.8). The parser takes the body that follows it for another protocol.
- One request at a time. uvicorn stops reading when a second one is there before the first has its answer, and so never
  learns that the client has left. Here what follows a request under way is thrown away, and its answer ends the
  connection, which tells the client to ask again (RFC 9112, 9.3.2).
- HTTP/1.0 knows no chunks (RFC 9112, 7.1): its streams end where the connection does. It gets no second request.
- An answer that ends the connection arrives even if the client is still sending.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from edge_service.adapters.http.cycle import LEAVING, WRITE, Cycle, Leaving

LINGER_S = 1.0
"""How long what a client still sends is read, and thrown away, after the last answer."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    cycle: Cycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._is_deaf = False
        """What comes is thrown away."""
        self._offers_upgrade = False
        self._lingering: asyncio.TimerHandle | None = None
        self._idle_from: float | None = None
        """Since its last answer; None while something else has come."""
        self._idling: asyncio.TimerHandle | None = None

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # All that an answer does with a transport.
        answering = SimpleNamespace(write=transport.write, is_closing=transport.is_closing, close=self._close)
        self._answering = cast(asyncio.Transport, answering)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
                self.send_400_response("this is not valid HTTP/1.1")
            else:
                self._is_deaf = True
                self.cycle.keep_alive = False

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # It has skipped the body. Another one reads the same head without the offer, and then what follows.
            self._offers_upgrade = False
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
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self._offers_upgrade = True
            return
        version = self.parser.get_http_version()
        expected = dict(self.headers).get(b"expect", b"")
        leaving = Leaving()
        scope = self._scope(version, leaving)
        self.cycle = Cycle(
            scope,
            self._answering,
            self.flow,
            self.logger,
            self.server_state.default_headers,
            leaving,
            self.on_response_complete,
            is_awaited=version != "1.0" and expected.lower() == b"100-continue",  # RFC 9110, 10.1.1
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
        )
        scope[WRITE] = self.cycle.write
        self._start_asgi_task(self.cycle, self.app)

    def _scope(self, version: str, leaving: Leaving) -> Scope:
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self.headers,
            "server": self.server,
            "client": self.client,
            "state": self.app_state.copy(),
            LEAVING: leaving,
        }

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.add(body)
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._offers_upgrade and not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._is_deaf:
            return
        self._idle_from = self.loop.time()
        if self._idling is None:
            self._idling = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_from = None

    def _look_whether_idle(self) -> None:
        """To set a timer and lift it costs as much as all else at the end of a small request: this one runs on while
        the connection is used."""
        self._idling = None
        if self._idle_from is None:
            return
        due = self._idle_from + self.timeout_keep_alive
        if due > self.loop.time():
            self._idling = self.loop.call_at(due, self._look_whether_idle)
        else:
            self.timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _CloseDelimited(app, cycle)
        super()._start_asgi_task(cycle, app)

    # The end.

    def _close(self) -> None:
        if self._is_deaf or self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """To close while bytes come in is to reset, and a reset may overtake the answer (RFC 9112, 9.6)."""
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


class _CloseDelimited:
    """The application for HTTP/1.0: a body without a length ends where the connection does."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle, is_unframed = self._cycle, False

        async def send_unframed(message: Message) -> None:
            nonlocal is_unframed
            if message["type"] == "http.response.start":
                is_unframed = not any(name.lower() == b"content-length" for name, _ in message["headers"])
                if is_unframed:
                    cycle.chunked_encoding = False
            elif is_unframed:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_unframed)
