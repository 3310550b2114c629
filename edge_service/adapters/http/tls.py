"""TLS: a layer between the socket's transport and a client's connection.

It takes the place of the event loop's own TLS, and differs in this:

- All that has not been sent is in the buffer of the socket's transport, where `protocol` looks for clients that do not
  read. asyncio and uvloop have another buffer above it.
- Closing takes as long as the client goes on reading. Theirs is cut off after a fixed time, whatever is left to send.
- One direction can be closed by itself (`write_eof`), so that a refusal reaches a client that is still sending.
- A connection counts from the beginning of its handshake, which has a time limit and ends when the edge stops.
- A renewed certificate is used for new handshakes; existing connections do not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from edge_service.adapters.http.connection import Connection
from edge_service.app.ports import Certificates

READ_BYTES = 256 * 1024


class Certificate:
    """The server's certificate; after `renew`, another one for new connections."""

    def __init__(self, certificates: Certificates) -> None:
        self.renew(certificates)

    def renew(self, certificates: Certificates) -> None:
        context = certificates.context
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        self.context = context


def over_tls(inner: type[Connection], certificate: Certificate, handshake_s: float) -> type[asyncio.Protocol]:
    """The protocol class `inner` over TLS, of which uvicorn makes one object for each connection."""
    return type("TlsProtocol", (Tls,), {"inner": inner, "certificate": certificate, "handshake_s": handshake_s})


class Tls(asyncio.Protocol):
    """The protocol at the socket's transport: decrypts what arrives, and hands it to the connection."""

    inner: type[Connection]
    certificate: Certificate
    handshake_s: float

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = _loop or asyncio.get_running_loop()
        self._connections: set[Any] = server_state.connections
        self._make = functools.partial(self.inner, config, server_state, app_state, _loop)
        self._connection: Connection | None = None
        """Set once the handshake is done."""
        self._incoming = ssl.MemoryBIO()
        self._too_late: asyncio.TimerHandle
        self.transport: TlsTransport

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        outgoing = ssl.MemoryBIO()
        self._tls = self.certificate.context.wrap_bio(self._incoming, outgoing, server_side=True)
        self.transport = TlsTransport(transport, self._tls, outgoing)
        self._too_late = self._loop.call_later(self.handshake_s, transport.abort)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.has_said_goodbye:
            return
        self._incoming.write(data)
        try:
            connection = self._connection or self._shake_hands()
            content, is_over = self._decrypt()
        except ssl.SSLWantReadError:  # The handshake goes on.
            self.transport.flush()
            return
        except ssl.SSLError:
            if self._connection is None:
                self.transport.close()  # Not aborted: an alert that tells why may be waiting to be sent.
            else:
                self.transport.abort()
            return
        self.transport.flush()
        if content:
            connection.data_received(content)
        if is_over:
            connection.eof_received()
            self.transport.close()

    def eof_received(self) -> None:
        """Lets the transport close itself, even without `close_notify`: a forged end cannot pass for the end of a
        request, since each tells its own length."""

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._too_late.cancel()
        if self._connection is not None:
            self._connection.connection_lost(exc)

    # From the server, during the handshake: afterwards it knows the connection itself.

    def shutdown(self) -> None:
        """Called when the server stops. There is no request yet that could be finished."""
        self.transport.abort()

    def _shake_hands(self) -> Connection:
        """Continues the handshake. Returns the connection once it is done; raises `ssl.SSLWantReadError` until then,
        and `ssl.SSLError` if it fails."""
        self._tls.do_handshake()
        self._too_late.cancel()
        self._connections.discard(self)
        self._connection = self._make()
        self._connection.connection_made(self.transport)
        return self._connection

    def _decrypt(self) -> tuple[bytes, bool]:
        """What has arrived, and whether the client has announced its end (`close_notify`)."""
        parts: list[bytes] = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._incoming.pending or self._tls.pending():
                part = self._tls.read(READ_BYTES)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts), False


class TlsTransport(asyncio.Transport):
    """The transport of the connection: encrypts what it writes, and hands it to the socket's transport at once."""

    def __init__(self, transport: asyncio.Transport, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        self._transport = transport
        self._tls = tls
        self._outgoing = outgoing
        self.has_said_goodbye = False
        """`close_notify` has been sent: nothing is sent after it, and what arrives is discarded."""

    def flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.has_said_goodbye or self._transport.is_closing():
            return
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError:
            self.abort()
        self.flush()

    def write_eof(self) -> None:
        self._say_goodbye()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._say_goodbye()
        self._transport.close()

    def abort(self) -> None:
        self.has_said_goodbye = True
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._tls.context
        return self._transport.get_extra_info(name, default)

    def _say_goodbye(self) -> None:
        if self.has_said_goodbye:
            return
        self.has_said_goodbye = True
        # It raises because the client's `close_notify` has not come, which need not be waited for (RFC 8446, 6.1).
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self.flush()
