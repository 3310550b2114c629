"""Provider calls through an httpx2 transport, called directly: the client above it would cost four times as much."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import MappingProxyType
from urllib.parse import quote

import httpx2

from edge_service.app.ports import BrokenError, SilentError, UnreachableError, UpstreamFailure
from edge_service.domain.decoding import Decoder, DecodingError
from edge_service.domain.headers import Headers, first
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


_BEARER = (b"authorization", b"Bearer ")
_SHOWN: Mapping[str, tuple[bytes, bytes]] = MappingProxyType(
    {
        "openai": _BEARER,
        "anthropic": (b"x-api-key", b""),
        "gemini": (b"x-goog-api-key", b""),
        "bearer": _BEARER,
        "x-api-key": (b"x-api-key", b""),
        "x-goog-api-key": (b"x-goog-api-key", b""),
        "api-key": (b"api-key", b""),
    }
)
"""The header that a credential is shown in, and what stands before it: as the dialect has it, or the provider."""


class Httpx2Upstream:
    """An `Upstream`."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, secret_of: Callable[[str], str]) -> None:
        self._transport = transport
        self._secret_of = secret_of

    async def send(
        self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST"
    ) -> Httpx2Response:
        """As the port says."""
        secret = self._secret_of(attempt.credential_ref) if attempt.credential_ref else ""
        own: Headers = [(b"accept-encoding", b"identity"), (b"user-agent", b"forebay")]
        if secret:
            name, before = _SHOWN[attempt.quirks.auth_header or attempt.dialect]
            own.append((name, before + secret.encode()))
        own += attempt.quirks.headers
        try:
            request = httpx2.Request(
                method,
                _url(attempt, path),
                headers=[*headers, *own],
                content=body,
                # Only connecting is bounded here: the gateway bounds the rest, and knows pings from content.
                extensions={
                    "timeout": {"connect": attempt.timeouts.connect_s or None},
                    "allow_private": attempt.allow_private,
                },
            )
            return Httpx2Response(await self._transport.handle_async_request(request), secret.encode())
        except httpx2.InvalidURL as error:
            raise UnreachableError("the provider's base URL is not a URL") from error
        except httpx2.TransportError as error:
            raise _failure(error) from error


def _url(attempt: Attempt, path: str) -> str:
    quirks = attempt.quirks
    if quirks.deployment_paths:
        # https://learn.microsoft.com/azure/ai-foundry/openai/reference; of responses the body alone says the model.
        deployment = "" if path.startswith("/responses") else f"/deployments/{quote(attempt.upstream_model, safe='')}"
        path = f"/openai{deployment}{path}"
    if quirks.api_version:
        path += ("&" if "?" in path else "?") + "api-version=" + quote(quirks.api_version, safe="")
    return attempt.base_url + path


class Httpx2Response:
    """An `UpstreamResponse`."""

    def __init__(self, response: httpx2.Response, secret: bytes = b"") -> None:
        self._response = response
        self._secret = secret.lower()
        self._chunks = self._read()
        self.status = response.status_code
        self.headers: Headers = [
            (name.lower(), value) for name, value in response.headers.raw if not self.quotes_credential(name + value)
        ]

    def chunks(self) -> AsyncIterator[bytes]:
        """As the port says. Every call continues where the last one was left."""
        return self._chunks

    def quotes_credential(self, content: bytes) -> bool:
        """As the port says."""
        return bool(self._secret) and self._secret in content.lower()

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await self._response.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport's are
        try:
            encoding = first(self.headers, b"content-encoding")
            if encoding is None or encoding.strip().lower() in (b"", b"identity"):
                async for chunk in self._response.stream:
                    yield chunk
                return
            # Nobody has asked for it. Each step is yielded by itself, so that the caps of who reads are caps on it too.
            decoder = Decoder(encoding)
            async for chunk in self._response.stream:
                for unpacked in decoder.feed(chunk):
                    yield unpacked
                    await asyncio.sleep(0)  # A small chunk can be much work: others have their turn.
            decoder.end()
        except DecodingError as error:
            raise BrokenError(str(error)) from error
        except httpx2.TransportError as error:
            raise _failure(error) from error


def _failure(error: httpx2.TransportError) -> UpstreamFailure:
    kind = FAILURES.get(type(error), BrokenError)
    name = type(error).__name__
    if kind is BrokenError or not str(error):
        return kind(_tls_words(error) or name)  # What is no HTTP is quoted in these errors, and quotes in its turn.
    return kind(_tls_words(error) or f"{name}: {error}")


def _tls_words(error: BaseException) -> str:
    """What went wrong if it was TLS, which an operator mends elsewhere than a network; else nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the provider's certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            return f"TLS: {cause.reason or type(cause).__name__}"
        cause = cause.__cause__ or cause.__context__
    return ""
