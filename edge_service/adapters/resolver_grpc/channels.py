"""Ways to resolvers: plaintext, or TLS by certificates that may be renewed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

import grpc
import grpc.aio

from edge_service.adapters.resolver_grpc.streaming_call import KEEPALIVE_S, KEEPALIVE_TIMEOUT_S, StreamingCall
from edge_service.app.ports import Certificates

CONNECT_S = 1.0
"""How long a connection to one address may take to be made, TLS included."""

LookUp: TypeAlias = Callable[[str, int], Awaitable[Iterable[object]]]
"""Has the addresses of a name, best first. Raises `OSError` or `UnicodeError`."""

_OPTIONS = (
    # The default waits for seconds before it notices that a resolver is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long a connection may take to be made, despite its name: a busy machine needs more than the back-off.
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A resolver in a new container has a new address; the default looks the name up again after 30 s at the earliest.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Nor does a proxy that the environment names for other things stand in between.
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", int(KEEPALIVE_S * 1000)),
    ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),  # For what was sent to be acknowledged.
    ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),  # For an answer; the other is not for that.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


class Channels:
    """Makes gRPC channels, and connections for one call each."""

    def __init__(self, certificates: Certificates | None = None, name: str = "", look_up: LookUp | None = None) -> None:
        """Without certificates they are plaintext. `name` is what the resolvers' certificates are for, if it is not the
        host of their address. `look_up` is the way to look names up for calls; None for the event loop's."""
        self._look_up = look_up or _by_the_loop
        self._certificates = certificates
        self._name = name
        self._options = (*_OPTIONS, ("grpc.ssl_target_name_override", name)) if name else _OPTIONS

    def renew(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def open(self, address: str) -> grpc.aio.Channel:
        if self._certificates is None:
            return grpc.aio.insecure_channel(address, options=self._options)
        it = self._certificates
        credentials = grpc.ssl_channel_credentials(it.authorities, it.key or None, it.chain or None)
        return grpc.aio.secure_channel(address, credentials, options=self._options)

    async def call(
        self, address: str, method: str, metadata: Sequence[tuple[str, str]], receive: Callable[[bytes], None]
    ) -> StreamingCall:
        """Connects for one call, whose parameters are those of `StreamingCall`. Raises `OSError`: `TimeoutError` and
        those of TLS are some."""
        its = self._certificates
        host, _, port = address.rpartition(":")
        host = "localhost" if address.startswith("unix:") else host.removeprefix("[").removesuffix("]")
        tls: dict[str, Any] = {} if its is None else {"ssl": its.context, "server_hostname": self._name or host}
        if its is not None:
            its.context.set_alpn_protocols(["h2"])

        def begin() -> StreamingCall:
            return StreamingCall(method, host, metadata, receive, scheme="http" if its is None else "https")

        loop = asyncio.get_running_loop()
        if address.startswith("unix:"):
            async with asyncio.timeout(CONNECT_S):
                _, call = await loop.create_unix_connection(begin, address.removeprefix("unix:"), **tls)
            return call
        failure = OSError(f"{host} has no address")
        for there in await self._addresses(host, int(port)):
            try:
                async with asyncio.timeout(CONNECT_S):
                    _, call = await loop.create_connection(begin, str(there), int(port), **tls)
                return call
            except OSError as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> Iterable[object]:
        """Raises `OSError`."""
        try:
            return [ip_address(host)]
        except ValueError:
            pass  # It is a name.
        try:
            return await self._look_up(host, port)
        except UnicodeError as error:
            raise OSError(f"{host} can be no host's name") from error


async def _by_the_loop(host: str, port: int) -> Iterable[object]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [there[0] for *_, there in found]
