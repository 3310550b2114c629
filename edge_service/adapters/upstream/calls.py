"""Provider calls over our own connections."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import NamedTuple

import httpx2

from edge_service.adapters.upstream.addresses import ConnectError, Warnings, shortage_words
from edge_service.adapters.upstream.answer import Answer, ConnectionBrokenError
from edge_service.adapters.upstream.pool import Origin, Pool
from edge_service.adapters.upstream.requests import headers_for, path_for
from edge_service.adapters.upstream.responses import Secret, encoding_of, passed_on, unpacked
from edge_service.adapters.upstream.trust import tls_words
from edge_service.app.ports import BrokenError, CredentialError, ShortageError, UnreachableError
from edge_service.domain.bodies import Body
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt

_PORTS = {"http": 80, "https": 443}
_SIMPLE = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*").fullmatch
"""A path that needs no quoting."""


class _Way(NamedTuple):
    """What requests with the same URL, headers of the provider and secret have in common."""

    origin: Origin
    beginning: bytes
    """The beginning of the head: the request line and the host."""
    own: bytes
    """The gateway's own headers, which stand last."""
    ends: int
    """The number of line ends between them."""
    hidden: Secret


class Calls:
    """An `Upstream`."""

    def __init__(self, pool: Pool, secret_of: Callable[[str], str]) -> None:
        self._pool = pool
        self._secret_of = secret_of
        self._warnings = Warnings()

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: Body, method: str = "POST") -> Response:
        """As the port says."""
        secret = self._secret_of(attempt.credential_ref) if attempt.credential_ref else ""
        url, behind, quirks = attempt.base_url, path_for(attempt, path), attempt.quirks
        try:
            way = _way(
                method, url, behind, attempt.allow_private, attempt.dialect, quirks.auth_header, quirks.headers, secret
            )
        except CredentialError as error:
            self._warnings.give("credential_unavailable", provider=attempt.provider, reason=str(error))
            raise
        head = _head(way, headers, len(body) if body or method == "POST" else None)
        try:
            answer = await self._pool.send(way.origin, head, body, attempt.timeouts.connect_s or None)
        except ConnectError as error:
            if shortage := shortage_words(error):
                self._warnings.give("connecting_failed", host=way.origin.host, reason=shortage)
                raise ShortageError(shortage) from error
            words = tls_words(error)
            if words:
                self._warnings.give("tls_failed", host=way.origin.host, reason=str(error))
            raise UnreachableError(words or f"ConnectError: {error}") from error
        except ConnectionBrokenError as error:
            raise BrokenError(str(error)) from error
        return Response(answer, way.hidden)


def _head(way: _Way, headers: Headers, length: int | None) -> bytes:
    """Raises `BrokenError`."""
    lines = b"\r\n".join([*map(b": ".join, headers), way.own])
    # Nothing that gets here has a line's end in it. Should it one day, it is no second request (RFC 9112, 11.2).
    if not _has_lines(lines, len(headers) + way.ends):
        raise BrokenError("the request cannot be written as HTTP")
    if length is None:
        return b"%b\r\n%b\r\n\r\n" % (way.beginning, lines)
    return b"%b\r\ncontent-length: %d\r\n%b\r\n\r\n" % (way.beginning, length, lines)


def _has_lines(lines: bytes, ends: int) -> bool:
    return lines.count(b"\n") == ends == lines.count(b"\r") and 0 not in lines


@lru_cache(maxsize=1024)
def _way(
    method: str,
    url: str,
    path: str,
    allow_private: bool,
    dialect: str,
    auth_header: str,
    always: tuple[tuple[bytes, bytes], ...],
    secret: str,
) -> _Way:
    """Raises `UnreachableError`, `CredentialError`, or `BrokenError` for what cannot be written as HTTP."""
    try:
        its = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise UnreachableError("the provider's base URL is not a URL") from error
    if its.scheme not in _PORTS:
        raise UnreachableError("the scheme of the provider's base URL is neither http nor https")
    origin = Origin(its.scheme == "https", its.raw_host.decode("ascii"), its.port or _PORTS[its.scheme], allow_private)
    below = path.encode() if _SIMPLE(path) else httpx2.URL(f"http://quoted{path}").raw_path
    line = b"%b %b HTTP/1.1" % (method.encode(), its.raw_path.rstrip(b"/") + below)
    beginning = b"%b\r\nhost: %b" % (line, its.netloc)
    if not _has_lines(beginning, 1):
        raise BrokenError("the request cannot be written as HTTP")
    own = headers_for(dialect, auth_header, secret.encode(), always)
    return _Way(origin, beginning, b"\r\n".join(map(b": ".join, own)), len(own) - 1, Secret(secret.encode()))


class Response:
    """An `UpstreamResponse`."""

    __slots__ = ("_answer", "_unpacked", "headers", "quotes_credential", "status")

    def __init__(self, answer: Answer, hidden: Secret) -> None:
        self._answer = answer
        self.quotes_credential = hidden.is_in
        self.status = answer.status
        self.headers = hidden.without(answer.headers)
        encoding = encoding_of(self.headers)
        self._unpacked = None if encoding is None else unpacked(_Parts(answer), encoding)

    def rest(self) -> bytes | None:
        """As the port says."""
        return self._answer.rest() if self._unpacked is None else None

    def chunks(self) -> AsyncIterator[bytes]:
        """As the port says. Every call continues where the last one was left."""
        return self._unpacked or _Parts(self._answer)

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        """As the port says."""
        if self._unpacked is not None:
            return await passed_on(self._unpacked, take)
        try:
            return await self._answer.pass_on(take)
        except ConnectionBrokenError as error:
            raise BrokenError(str(error)) from error

    async def aclose(self) -> None:
        """As the port says."""
        self._answer.close()


class _Parts:
    """The body's parts as they arrive. Not a generator, which would cost a microsecond a part."""

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
