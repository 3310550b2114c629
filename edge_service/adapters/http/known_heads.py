"""Heads of requests that are known by their bytes.

On a connection that stays, the next request mostly has the head of the last one, but for the digits of its length: the
same client, the same key, another text. After a parser has read a head and it has been let in, a request that repeats
it around these digits means the same but for its length, and is as valid as the first one was.
"""

from __future__ import annotations

from starlette.types import Scope

from edge_service.adapters.http.asgi import MAX_BODY_BYTES, SHOWN, shown
from edge_service.adapters.http.client_keys import client_key

MOST_BYTES = 4096
"""Of a head that is kept; fewer than any may have."""
MOST_DIGITS = 9

_POST = b"POST "
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
_LINE = b"\r\ncontent-length:"
_UNFIT = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""With one of these, it is not by its length alone where a request ends or whether it comes."""
_KEEP_ALIVE = b"keep-alive"


class KnownHead:
    """One that was let in, of a request with a length on a connection that stays."""

    __slots__ = ("_after", "_at", "_before", "_scope")

    def __init__(self, before: bytes, after: bytes, scope: Scope, at: int) -> None:
        """What is in front of and behind the digits of the length, what the head means, and which of its headers is the
        length."""
        self._before = before
        self._after = after
        self._scope = scope
        self._at = at

    def read(self, data: bytes) -> tuple[Scope, int, bytes] | None:
        """What the request means that data begins with, the length of its body, and what there is of this. None if it
        has another head or no body, or if data goes on behind it: that is for a parser to read."""
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
    """Of the request that data begins with. A parser has read it, it has been let in and keeps its connection, and this
    is its scope. None if it is not one to be known by its bytes."""
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
