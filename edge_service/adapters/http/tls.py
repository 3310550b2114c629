"""HTTPS: a layer between the socket's transport and a client's connection.

The event loops' own TLS would do for a server that trusts its clients. What it cannot do, and this does:

- The bounds of `protocol` measure what has not been sent. Here that is what the socket's transport has, and nothing is
  hidden in a buffer above it.
- To close takes as long as the client reads on. Theirs is cut off after a fixed time, whatever was still to be sent.
- One direction can be closed by itself, so that what is refused while the client still sends gets its answer.
- A handshake is a connection like any other: it is counted, it has a time, and it ends when the edge does.
- A certificate that is renewed is for the handshakes from then on, and no other connection notices.
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
    """The server's certificate. After `renew`, new connections get the new one."""

    def __init__(self, certificates: Certificates) -> None:
        self.context = certificates.context
        self.renew(certificates)

    def renew(self, certificates: Certificates) -> None:
        context = certificates.context
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        self.context = context


def over_tls(inner: type[Connection], certificate: Certificate, handshake_s: float) -> type[asyncio.Protocol]:
    """The protocol over TLS, for uvicorn to make one of per connection."""
    return type("TlsProtocol", (Tls,), {"inner": inner, "certificate": certificate, "handshake_s": handshake_s})


class Tls(asyncio.Protocol):
    """The socket's side: what comes is decrypted, and handed to the connection."""

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
                self.transport.close()  # It may have said why.
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
        """Whether or not it is announced, the transport closes itself: every request tells its own length."""

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

    # From the server, while hands are shaken: afterwards it has the connection itself.

    def shutdown(self) -> None:
        """The server stops: there is no request yet that could be finished."""
        self.transport.abort()

    def _shake_hands(self) -> Connection:
        """Goes on with the handshake; the connection, once it is done. Raises `ssl.SSLError`."""
        self._tls.do_handshake()
        self._too_late.cancel()
        self._connections.discard(self)
        self._connection = self._make()
        self._connection.connection_made(self.transport)
        return self._connection

    def _decrypt(self) -> tuple[bytes, bool]:
        """What has come, and whether the client has said that no more will."""
        parts: list[bytes] = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._incoming.pending or self._tls.pending():
                part = self._tls.read(READ_BYTES)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts), False


class TlsTransport(asyncio.Transport):
    """The connection's side: what it writes is encrypted, and handed to the socket's transport at once."""

    def __init__(self, transport: asyncio.Transport, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        self._transport = transport
        self._tls = tls
        self._outgoing = outgoing
        self.has_said_goodbye = False
        """`close_notify` has been sent: nothing more is, and what comes is thrown away."""

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
        # It wants to read the client's own, which is not waited for (RFC 8446, 6.1).
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self.flush()
