"""Recognises request heads by their bytes, so that they need not be parsed.

On a connection that is kept alive, the next request mostly has the same head as the last one, except for the digits of
its content-length. Once a head has been parsed and its request admitted, a head with the same bytes around these digits
means the same.
"""

from __future__ import annotations

from starlette.types import Scope

from edge_service.adapters.http.asgi import HEADERS_BY_NAME, MAX_BODY_BYTES, headers_by_name
from edge_service.adapters.http.client_keys import client_key

MOST_BYTES = 4096
"""The longest head that is kept."""
MOST_DIGITS = 9
"""Of a content-length."""

_POST = b"POST "
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
_LINE = b"\r\ncontent-length:"
_UNFIT = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""A head with one of these is not kept: its content-length alone does not tell where the request ends, or the body is
only sent after an answer to the head."""
_KEEP_ALIVE = b"keep-alive"


class KnownHead:
    """The head of a POST request that was admitted, has a content-length and keeps the connection alive."""

    __slots__ = ("_after", "_at", "_before", "_scope")

    def __init__(self, before: bytes, after: bytes, scope: Scope, at: int) -> None:
        """The bytes before and after the digits of the content-length, the scope that was made from the head, and the
        index of content-length among its headers."""
        self._before = before
        self._after = after
        self._scope = scope
        self._at = at

    def read(self, data: bytes) -> tuple[Scope, int, bytes] | None:
        """The scope of the request that `data` begins with, the length of its body, and the part of the body in `data`.
        None if the head is another one, or if the request has no body or is followed by more: then `data` has to be
        parsed."""
        if not data.startswith(self._before):
            return None
        begin = len(self._before)
        end = data.find(b"\r", begin, begin + MOST_DIGITS + 1)
        digits = data[begin:end]
        if not digits.isdigit() or not data.startswith(self._after, end):
            return None
        length, body = int(digits), data[end + len(self._after) :]
        if not length or not len(body) <= length <= MAX_BODY_BYTES:
            return None
        scope = {**self._scope}
        scope["headers"] = headers = scope["headers"].copy()
        headers[self._at] = _LENGTH, digits
        scope[HEADERS_BY_NAME] = {**scope[HEADERS_BY_NAME], _LENGTH: digits}
        return scope, length, body


def known_head(data: bytes, scope: Scope) -> KnownHead | None:
    """The head of the request that `data` begins with, for which a parser made this scope, and which was admitted and
    keeps the connection alive. None if such a head cannot be recognised."""
    end = data.find(_END, 0, MOST_BYTES)
    if end < 0 or not data.startswith(_POST):
        return None
    names = headers_by_name(scope)
    digits = names.get(_LENGTH, b"")
    if not digits.isdigit() or not _UNFIT.isdisjoint(names):
        return None
    if names.get(b"connection", _KEEP_ALIVE).lower() != _KEEP_ALIVE:
        return None
    head = data[: end + len(_END)]
    begin = head.index(digits, head.lower().index(_LINE))
    client_key(scope)  # Keeps it in the scope, for all requests with this head.
    at = scope["headers"].index((_LENGTH, digits))
    return KnownHead(head[:begin], head[begin + len(digits) :], {**scope}, at)
