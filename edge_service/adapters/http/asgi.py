"""Requests and answers at the level of ASGI messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from edge_service.domain.errors import PayloadTooLargeError
from edge_service.domain.headers import Headers

MAX_BODY_BYTES = 20 * 1024 * 1024

UNASKED_BYTES = 64 * 1024
"""How much of a body is read before the client's key is checked, unless all of it arrives at once."""


HEADERS_BY_NAME = "forebay.headers_by_name"
"""The key in the scope under which `headers_by_name` keeps what it returns."""


def headers_by_name(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers; of several with one name, the first."""
    kept: dict[bytes, bytes] | None = scope.get(HEADERS_BY_NAME)
    if kept is None:
        kept = scope[HEADERS_BY_NAME] = dict(reversed(scope["headers"]))
    return kept


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


async def read_body(
    receive: Receive,
    limit_bytes: int = MAX_BODY_BYTES,
    before_more: Callable[[], Awaitable[None]] | None = None,
    said_bytes: int = 0,
) -> bytes:
    """Reads the whole body. If it is larger than `UNASKED_BYTES`, by its content-length (`said_bytes`) or by what has
    arrived, `before_more` is awaited once before the next part is read. Raises `ClientGoneError`,
    `PayloadTooLargeError`, or what `before_more` raises."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise PayloadTooLargeError(f"the body is larger than {limit_bytes} bytes")
        if not message.get("more_body", False):
            return b"".join([*parts, part]) if parts else part  # Nearly all come at once.
        parts.append(part)
        if before_more is not None and max(size, said_bytes) > UNASKED_BYTES:
            await before_more()
            before_more = None


def never(_: bytes) -> bool:
    """The `write` of a client whose server has none: every part is sent by `send`, which may wait."""
    return False


class AsgiClient:
    """A `Client` over ASGI's `send`."""

    def __init__(self, send: Send, write: Callable[[bytes], bool] = never) -> None:
        """`write` is the server's way of writing without waiting, if it has one."""
        self._send = send
        self.write = write
        self.has_begun = False
        """The head of the answer has been sent."""

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        """As the port says."""
        length = (b"content-length", b"%d" % len(content))
        await self.start(status, [*headers, length])
        await self._send({"type": "http.response.body", "body": content})

    async def start(self, status: int, headers: Headers, content: bytes = b"") -> None:
        """As the port says."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self.has_begun = True
        if content:
            await self.send(content)

    async def send(self, content: bytes) -> None:
        """As the port says."""
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self, content: bytes = b"") -> None:
        """As the port says."""
        await self._send({"type": "http.response.body", "body": content})
