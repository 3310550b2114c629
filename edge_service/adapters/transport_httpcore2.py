"""An httpx2 transport over httpcore2's pools that connects to no address the egress rule refuses.

The transport that httpx2 comes with lets nobody see the addresses it connects to. httpcore2 does: its pools take a
network backend, and the one here resolves names itself, looks at every address, and has the connection made to the very
address it has looked at. A name that is resolved twice, once for the rule and once for the connection, can answer
differently each time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpcore2
import httpx2
import structlog

from edge_service.app.ports import UnreachableError
from edge_service.domain import egress
from edge_service.domain.egress import Address, Kind

_log = structlog.get_logger("forebay.edge.egress")

STAGGER_S = 0.25
"""How long one address is waited for before the next is tried beside it (RFC 8305, 5)."""

MAX_WARNINGS = 1000

_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.PRIVATE: "the provider's address is private: set allow-private: true for it if that is meant",
        Kind.FORBIDDEN: "the provider's address is link-local or a cloud's metadata service: these are never called",
    }
)

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

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class TrustError(Exception):
    """The file of certificate authorities cannot be used."""


def ssl_context(extra_ca: Path | None = None) -> ssl.SSLContext:
    """Verifies with the system's certificate authorities and those of this file. Nothing in the environment changes
    what it does. Raises `TrustError`."""
    context = httpx2.create_ssl_context(trust_env=False)
    if extra_ca is not None:
        try:
            context.load_verify_locations(extra_ca)
        except OSError as error:  # Of which ssl.SSLError is one: there is no certificate in it.
            raise TrustError(f"{extra_ca} is no file of PEM certificates: {error.strerror or error}") from error
    return context


class Warnings:
    """Log lines about hosts: each once, not with each request."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str, str]] = set()

    def give(self, event: str, host: str, reason: str) -> None:
        warning = (event, host, reason)
        if warning not in self._given and len(self._given) < MAX_WARNINGS:
            self._given.add(warning)
            _log.warning(event, host=host, reason=reason)


class Transport(httpx2.AsyncBaseTransport):
    """Requests with `allow_private` among their extensions have connections of their own: one that was made for a
    provider which may be private is never used for another that may not."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._warnings = Warnings()
        self._public = _pool(context, GuardedBackend(allow_private=False))
        self._private = _pool(context, GuardedBackend(allow_private=True))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises `httpx2.TransportError`, or `UnreachableError` if no address of the host may be connected to."""
        url = request.url
        if url.raw_scheme not in (b"http", b"https"):
            raise httpx2.UnsupportedProtocol("the scheme is neither http nor https")
        pool = self._private if request.extensions.get("allow_private") else self._public
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
                self._warnings.give("tls_failed", url.host, str(error))
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


def _pool(context: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=None,
        max_keepalive_connections=256,
        keepalive_expiry=30.0,
        network_backend=backend,
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


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses that the system has for a name, best first. Raises `OSError` or `UnicodeError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=2)  # SOCK_STREAM
    # The zone that may follow a '%' belongs to link-local addresses alone.
    return list(dict.fromkeys(ip_address(str(where[0]).partition("%")[0]) for *_, where in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Makes TCP connections to addresses that the egress rule allows."""

    def __init__(
        self,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._backend = backend or httpcore2.AnyIOBackend()
        self._warnings = Warnings()

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
                return await _first(connect, self._allowed(host, await self._addresses(host, port)))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        if not host:
            raise httpcore2.ConnectError("the URL has no host")  # For which the system would answer: this machine.
        if egress.is_metadata_name(host):
            raise self._refused(host, Kind.FORBIDDEN)
        literal = egress.literal(host)
        if literal is not None:
            return [literal]
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"the name cannot be resolved: {error}") from error
        if not found:
            raise httpcore2.ConnectError("the name has no address")
        return found

    def _allowed(self, host: str, addresses: Sequence[Address]) -> list[Address]:
        kinds = {address: egress.refusal(address, allow_private=self._allow_private) for address in addresses}
        allowed = [address for address, kind in kinds.items() if kind is None]
        if not allowed:
            raise self._refused(host, max(kind for kind in kinds.values() if kind is not None))
        return allowed

    def _refused(self, host: str, kind: Kind) -> UnreachableError:
        self._warnings.give("egress_refused", host, _WORDS[kind])
        return UnreachableError(_WORDS[kind])

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("providers are called over TCP")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


Connect = Callable[[Address], Awaitable[httpcore2.AsyncNetworkStream]]


async def _first(connect: Connect, addresses: Sequence[Address]) -> httpcore2.AsyncNetworkStream:
    """The first connection that comes about; each address has a start on the next. Raises what the last one raised."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    tasks: list[asyncio.Future[httpcore2.AsyncNetworkStream]] = []
    chosen: asyncio.Future[httpcore2.AsyncNetworkStream] | None = None
    try:
        while True:
            if len(tasks) < len(addresses):
                tasks.append(asyncio.ensure_future(connect(addresses[len(tasks)])))
            under_way = [task for task in tasks if not task.done()]
            if under_way:
                more = len(tasks) < len(addresses)
                await asyncio.wait(under_way, timeout=STAGGER_S if more else None, return_when=asyncio.FIRST_COMPLETED)
            chosen = next((task for task in tasks if task.done() and task.exception() is None), None)
            if chosen is not None or (len(tasks) == len(addresses) and all(task.done() for task in tasks)):
                return await (chosen or tasks[-1])
    finally:
        for task in tasks:
            if task is not chosen:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await (await task).aclose()  # Came about as well, a moment later.
