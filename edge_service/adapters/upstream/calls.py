"""Provider calls over our own connections."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache

import httpx2

from edge_service.adapters.upstream.addresses import ConnectError, Warnings
from edge_service.adapters.upstream.connection import Answer, ConnectionBrokenError
from edge_service.adapters.upstream.pool import Origin, Pool
from edge_service.adapters.upstream.requests import headers_for, path_for
from edge_service.adapters.upstream.responses import Secret, encoding_of, passed_on, unpacked
from edge_service.adapters.upstream.trust import tls_words
from edge_service.app.ports import BrokenError, UnreachableError
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt

_PORTS = {"http": 80, "https": 443}
_SIMPLE = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*").fullmatch
"""A path that needs no quoting."""


@dataclass(frozen=True, slots=True)
class _Base:
    """A provider's base URL, taken apart."""

    origin: Origin
    path: bytes
    host: bytes
    """As the header has it."""


class Calls:
    """An `Upstream`."""

    def __init__(self, pool: Pool, secret_of: Callable[[str], str]) -> None:
        self._pool = pool
        self._secret_of = secret_of
        self._warnings = Warnings()

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST") -> Response:
        """As the port says."""
        secret = self._secret_of(attempt.credential_ref).encode() if attempt.credential_ref else b""
        base = _base(attempt.base_url, attempt.allow_private)
        head = _head(method, base, path_for(attempt, path), [*headers, *headers_for(attempt, secret)], len(body))
        try:
            answer = await self._pool.send(base.origin, head, body, attempt.timeouts.connect_s or None)
        except ConnectError as error:
            words = tls_words(error)
            if words:
                self._warnings.give("tls_failed", base.origin.host, str(error))
            raise UnreachableError(words or f"ConnectError: {error}") from error
        except ConnectionBrokenError as error:
            raise BrokenError(str(error)) from error
        return Response(answer, secret)


def _head(method: str, base: _Base, path: str, headers: Headers, length: int) -> bytes:
    """Raises `BrokenError`."""
    target = base.path + path.encode() if _SIMPLE(path) else httpx2.URL(f"http://quoted{path}").raw_path
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"host: " + base.host]
    if length or method == "POST":
        lines.append(b"content-length: %d" % length)
    lines += map(b": ".join, headers)
    head = b"\r\n".join(lines)
    # Nothing that gets here has a line's end in it. Should it one day, it is no second request (RFC 9112, 11.2).
    ends = len(lines) - 1
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise BrokenError("the request cannot be written as HTTP")
    return head + b"\r\n\r\n"


@lru_cache(maxsize=4096)
def _base(url: str, allow_private: bool) -> _Base:
    """Raises `UnreachableError`."""
    try:
        its = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise UnreachableError("the provider's base URL is not a URL") from error
    if its.scheme not in _PORTS:
        raise UnreachableError("the scheme of the provider's base URL is neither http nor https")
    origin = Origin(its.scheme == "https", its.raw_host.decode("ascii"), its.port or _PORTS[its.scheme], allow_private)
    return _Base(origin, its.raw_path.rstrip(b"/"), its.netloc)


class Response:
    """An `UpstreamResponse`."""

    __slots__ = ("_answer", "_chunks", "headers", "quotes_credential", "status")

    def __init__(self, answer: Answer, secret: bytes) -> None:
        self._answer = answer
        hidden = Secret(secret)
        self.quotes_credential = hidden.is_in
        self.status = answer.status
        self.headers = hidden.without(answer.headers)
        parts = _Parts(answer)
        encoding = encoding_of(self.headers)
        self._chunks = parts if encoding is None else unpacked(parts, encoding)

    @property
    def has_ended(self) -> bool:
        """As the port says."""
        return self._answer.is_complete

    def chunks(self) -> AsyncIterator[bytes]:
        """As the port says. Every call continues where the last one was left."""
        return self._chunks

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        """As the port says."""
        if not isinstance(self._chunks, _Parts):
            return await passed_on(self._chunks, take)
        try:
            return await self._answer.pass_on(take)
        except ConnectionBrokenError as error:
            raise BrokenError(str(error)) from error

    async def aclose(self) -> None:
        """As the port says."""
        self._answer.close()


class _Parts:
    """A body as it comes. It is no generator, which would cost a microsecond a part."""

    __slots__ = ("_part",)

    def __init__(self, answer: Answer) -> None:
        self._part = answer.part

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            part = await self._part()
        except ConnectionBrokenError as error:
            raise BrokenError(str(error)) from error
        if not part:
            raise StopAsyncIteration
        return part
