"""Provider calls through an httpx2 transport, called directly: the client above it would cost four times as much."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import MappingProxyType

import httpx2

from edge_service.adapters.upstream.addresses import Warnings, shortage_words
from edge_service.adapters.upstream.requests import headers_for, path_for
from edge_service.adapters.upstream.responses import Secret, encoding_of, passed_on, unpacked
from edge_service.adapters.upstream.trust import tls_words
from edge_service.app.ports import (
    BrokenError,
    CredentialError,
    ShortageError,
    SilentError,
    UnreachableError,
    UpstreamFailure,
)
from edge_service.domain.bodies import Body
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt

FAILURES: Mapping[type[httpx2.TransportError], type[UpstreamFailure]] = MappingProxyType(
    {
        httpx2.ConnectTimeout: UnreachableError,
        httpx2.ConnectError: UnreachableError,
        httpx2.PoolTimeout: UnreachableError,
        httpx2.ProxyError: UnreachableError,
        httpx2.UnsupportedProtocol: UnreachableError,
        httpx2.ReadTimeout: SilentError,
        httpx2.WriteTimeout: SilentError,
        httpx2.ReadError: BrokenError,
        httpx2.WriteError: BrokenError,
        httpx2.CloseError: BrokenError,
        httpx2.LocalProtocolError: BrokenError,
        httpx2.RemoteProtocolError: BrokenError,
        httpx2.SSEError: BrokenError,
    }
)
"""What each of the transport's errors says about whether the provider has seen the request."""


class Httpx2Upstream:
    """An `Upstream`."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, secret_of: Callable[[str], str]) -> None:
        self._transport = transport
        self._secret_of = secret_of
        self._warnings = Warnings()

    async def send(
        self, attempt: Attempt, path: str, headers: Headers, body: Body, method: str = "POST"
    ) -> Httpx2Response:
        """As the port says."""
        secret = self._secret_of(attempt.credential_ref).encode() if attempt.credential_ref else b""
        try:
            own = headers_for(attempt.dialect, attempt.quirks.auth_header, secret, attempt.quirks.headers)
            request = httpx2.Request(
                method,
                attempt.base_url + path_for(attempt, path),
                headers=[*headers, *own],
                content=bytes(body),
                # Only connecting is bounded here: the gateway bounds the rest, and knows pings from content.
                extensions={
                    "timeout": {"connect": attempt.timeouts.connect_s or None},
                    "allow_private": attempt.allow_private,
                },
            )
            return Httpx2Response(await self._transport.handle_async_request(request), secret)
        except CredentialError as error:
            self._warnings.give("credential_unavailable", provider=attempt.provider, reason=str(error))
            raise
        except httpx2.InvalidURL as error:
            raise UnreachableError("the provider's base URL is not a URL") from error
        except httpx2.TransportError as error:
            failure = _failure(error)
            if isinstance(failure, ShortageError):
                self._warnings.give("connecting_failed", host=request.url.host, reason=str(failure))
            raise failure from error


class Httpx2Response:
    """An `UpstreamResponse`."""

    def __init__(self, response: httpx2.Response, secret: bytes = b"") -> None:
        self._response = response
        self._secret = Secret(secret)
        self.quotes_credential = self._secret.is_in
        self.status = response.status_code
        self.headers = self._secret.without([(name.lower(), value) for name, value in response.headers.raw])
        encoding = encoding_of(self.headers)
        self._chunks = self._read() if encoding is None else unpacked(self._read(), encoding)

    def rest(self) -> bytes | None:
        """As the port says: the transport does not tell."""
        return None

    def chunks(self) -> AsyncIterator[bytes]:
        """As the port says. Every call continues where the last one was left."""
        return self._chunks

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        """As the port says."""
        return await passed_on(self._chunks, take)

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await self._response.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport's are
        try:
            async for chunk in self._response.stream:
                yield chunk
        except httpx2.TransportError as error:
            raise _failure(error) from error


def _failure(error: httpx2.TransportError) -> UpstreamFailure:
    kind = FAILURES.get(type(error), BrokenError)
    if kind is UnreachableError and (shortage := shortage_words(error)):
        return ShortageError(shortage)
    name = type(error).__name__
    if kind is BrokenError or not str(error):
        return kind(tls_words(error) or name)  # What is no HTTP is quoted in these errors, and quotes in its turn.
    return kind(tls_words(error) or f"{name}: {error}")
