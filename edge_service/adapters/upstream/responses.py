"""What is done to every provider's answer first: credentials are looked for, and compression is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable

from edge_service.app.ports import BrokenError
from edge_service.domain.decoding import Decoder, DecodingError
from edge_service.domain.headers import Headers, first

_PLAIN = (b"", b"identity")


class Secret:
    """A credential, to be found again where a provider quotes it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret.lower()

    def is_in(self, content: bytes) -> bool:
        return bool(self._secret) and self._secret in content.lower()

    def without(self, headers: Headers) -> Headers:
        """The headers that do not contain it. As hardly ever any does, all are searched at once."""
        if not self._secret or self._secret not in b"\n".join([*map(b"".join, headers)]).lower():
            return headers
        return [(name, value) for name, value in headers if not self.is_in(name + value)]


def encoding_of(headers: Headers) -> bytes | None:
    """The content encoding of the body, which was not asked for; None if there is none."""
    encoding = first(headers, b"content-encoding")
    return None if encoding is None or encoding.strip().lower() in _PLAIN else encoding


async def unpacked(parts: AsyncIterable[bytes], encoding: bytes) -> AsyncGenerator[bytes, None]:
    """The decompressed body in bounded steps, so that its reader's limits hold. Raises `BrokenError`."""
    try:
        decoder = Decoder(encoding)
        async for part in parts:
            for each in decoder.feed(part):
                yield each
                await asyncio.sleep(0)  # A small part can be much work: others have their turn.
        decoder.end()
    except DecodingError as error:
        raise BrokenError(str(error)) from error


async def passed_on(parts: AsyncIterable[bytes], take: Callable[[bytes], bool]) -> bool:
    """`UpstreamResponse.pass_on` for an iterator of parts."""
    async for part in parts:
        if not take(part):
            return False
    return True
