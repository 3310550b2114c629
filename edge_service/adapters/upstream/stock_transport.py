"""An httpx2 transport over httpcore2's pools, for providers behind a proxy, that connects to no address the egress rule
refuses.

The transport that httpx2 comes with lets nobody see the addresses it connects to. httpcore2 does: its pools take a
network backend, and the one here resolves names itself, looks at every address, and has the connection made to the very
address it has looked at. A name that is resolved twice, once for the rule and once for the connection, can answer
differently each time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import httpcore2
import httpx2

from edge_service.adapters.upstream.addresses import ConnectError, Guard, Warnings, first_of
from edge_service.adapters.upstream.presence import SOCKET_OPTIONS
from edge_service.domain.egress import Address

ERRORS: Mapping[type[Exception], type[httpx2.TransportError]] = MappingProxyType(
    {
        httpcore2.ConnectTimeout: httpx2.ConnectTimeout,
        httpcore2.ReadTimeout: httpx2.ReadTimeout,
        httpcore2.WriteTimeout: httpx2.WriteTimeout,
        httpcore2.PoolTimeout: httpx2.PoolTimeout,
        httpcore2.ConnectError: httpx2.ConnectError,
        httpcore2.ReadError: httpx2.ReadError,
        httpcore2.WriteError: httpx2.WriteError,
        httpcore2.ProxyError: httpx2.ProxyError,
        httpcore2.UnsupportedProtocol: httpx2.UnsupportedProtocol,
        httpcore2.LocalProtocolError: httpx2.LocalProtocolError,
        httpcore2.RemoteProtocolError: httpx2.RemoteProtocolError,
    }
)
_RAISED = tuple(ERRORS)


class Transport(httpx2.AsyncBaseTransport):
    """Requests with `allow_private` among their extensions have connections of their own: one that was made for a
    provider which may be private is never used for another that may not."""

    def __init__(self, context: ssl.SSLContext, proxy: str = "") -> None:
        """`proxy` is the URL of an HTTP proxy, which may be anywhere; empty for none. It resolves names itself, so that
        no more is looked at than their spelling."""
        self._warnings = Warnings()
        self._guard = Guard() if proxy else None
        through = _proxy(proxy) if proxy else None
        self._public = _pool(context, GuardedBackend(allow_private=bool(proxy)), through)
        self._private = _pool(context, GuardedBackend(allow_private=True), through)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises `httpx2.TransportError`, or `UnreachableError` if no address of the host may be connected to."""
        url = request.url
        if url.raw_scheme not in (b"http", b"https"):
            raise httpx2.UnsupportedProtocol("the scheme is neither http nor https")
        allow_private = bool(request.extensions.get("allow_private"))
        if self._guard is not None:
            self._guard.check(url.host, allow_private=allow_private)
        pool = self._private if allow_private else self._public
        try:
            response = await pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except _RAISED as error:
            # The pool raises without a cause. What it was made of is an argument.
            if any(isinstance(part, ssl.SSLError) for part in error.args):
                self._warnings.give("tls_failed", host=url.host, reason=str(error))
            raise _mapped(error) from error
        assert isinstance(response.stream, AsyncIterable)  # noqa: S101 - an async pool's are
        return httpx2.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._public.aclose()
        await self._private.aclose()


def _proxy(url: str) -> httpcore2.Proxy:
    its = httpx2.URL(url)
    auth = (its.username, its.password) if its.username else None
    return httpcore2.Proxy(str(its.copy_with(username=None, password=None)), auth=auth)


def _pool(
    context: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend, proxy: httpcore2.Proxy | None
) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        proxy=proxy,
        max_connections=None,
        max_keepalive_connections=256,
        keepalive_expiry=30.0,
        network_backend=backend,
        socket_options=SOCKET_OPTIONS,
    )


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except _RAISED as error:
            raise _mapped(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined] # httpcore2 has the method, its types do not


def _mapped(error: Exception) -> httpx2.TransportError:
    kind = next(ERRORS[each] for each in type(error).__mro__ if each in ERRORS)
    return kind(str(error))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Makes TCP connections to addresses that the egress rule allows."""

    def __init__(
        self,
        *,
        allow_private: bool,
        guard: Guard | None = None,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._guard = guard or Guard()
        self._backend = backend or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises `httpcore2.ConnectError` or `ConnectTimeout`, or `UnreachableError` if the rule refuses them all."""

        async def connect(address: Address) -> httpcore2.AsyncNetworkStream:
            return await self._backend.connect_tcp(
                str(address), port, local_address=local_address, socket_options=socket_options
            )

        try:
            async with asyncio.timeout(timeout):
                addresses = await self._guard.allowed(host, port, allow_private=self._allow_private)
                return await first_of(connect, httpcore2.AsyncNetworkStream.aclose, addresses)
        except ConnectError as error:
            raise httpcore2.ConnectError(str(error)) from error
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("providers are called over TCP")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
