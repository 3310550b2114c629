"""Recognises the head of a request by its bytes.

On a connection that is kept, the next request mostly has the same head as the last one, but for the digits of its
length. Once a parser has read a head and the request has been let in, a request with the same bytes around these digits
means the same, and is not parsed again.
"""

from __future__ import annotations

from starlette.types import Scope

from edge_service.adapters.http.asgi import MAX_BODY_BYTES, SHOWN, shown
from edge_service.adapters.http.client_keys import client_key

MOST_BYTES = 4096
"""The longest head that is kept; shorter than a head may be."""
MOST_DIGITS = 9

_POST = b"POST "
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
_LINE = b"\r\ncontent-length:"
_UNFIT = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""With one of these headers the length alone does not tell where a request ends, or whether its body comes."""
_KEEP_ALIVE = b"keep-alive"


class KnownHead:
    """The head of a request that was let in, had a length, and kept its connection."""

    __slots__ = ("_after", "_at", "_before", "_scope")

    def __init__(self, before: bytes, after: bytes, scope: Scope, at: int) -> None:
        """The bytes before and after the digits of the length, the scope that the head was parsed to, and the index of
        the length among its headers."""
        self._before = before
        self._after = after
        self._scope = scope
        self._at = at

    def read(self, data: bytes) -> tuple[Scope, int, bytes] | None:
        """The scope of the request that `data` begins with, the length of its body, and what there is of the body. None
        if the head is another one, there is no body, or something follows it: then a parser has to read it."""
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
        scope[SHOWN] = {**scope[SHOWN], _LENGTH: digits}
        return scope, length, body


def known_head(data: bytes, scope: Scope) -> KnownHead | None:
    """The head of the request that `data` begins with, which was parsed to this scope and let in, and keeps its
    connection. None if it cannot be recognised by its bytes."""
    end = data.find(_END, 0, MOST_BYTES)
    if end < 0 or not data.startswith(_POST):
        return None
    names = shown(scope)
    digits = names.get(_LENGTH, b"")
    if not digits.isdigit() or not _UNFIT.isdisjoint(names):
        return None
    if names.get(b"connection", _KEEP_ALIVE).lower() != _KEEP_ALIVE:
        return None
    head = data[: end + len(_END)]
    begin = head.index(digits, head.lower().index(_LINE))
    client_key(scope)  # It is kept in the scope, and is the same for all of them.
    at = scope["headers"].index((_LENGTH, digits))
    return KnownHead(head[:begin], head[begin + len(digits) :], {**scope}, at)
