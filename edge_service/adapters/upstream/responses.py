"""What becomes of every provider's answer before anyone else sees it."""

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
        """The headers that do not have it in them. Hardly ever does any: all of them are looked through together."""
        if not self._secret or self._secret not in b"\n".join([*map(b"".join, headers)]).lower():
            return headers
        return [(name, value) for name, value in headers if not self.is_in(name + value)]


def encoding_of(headers: Headers) -> bytes | None:
    """How the body is packed, which nobody has asked for; None if it is not."""
    encoding = first(headers, b"content-encoding")
    return None if encoding is None or encoding.strip().lower() in _PLAIN else encoding


async def unpacked(parts: AsyncIterable[bytes], encoding: bytes) -> AsyncGenerator[bytes, None]:
    """Each step is yielded by itself, so that the caps of who reads are caps on it too. Raises `BrokenError`."""
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
    """`UpstreamResponse.pass_on`, of parts that have to be asked for."""
    async for part in parts:
        if not take(part):
            return False
    return True
