"""The key that a client shows, wherever its API has it."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.types import Scope

from edge_service.adapters.http.asgi import shown

_KEPT = "forebay.client_key"
_AS_BYTES = "latin-1"
"""A character for each byte, whatever they mean."""


def client_key(scope: Scope) -> bytes:
    """The SHA-256 of the key that the client shows; empty for none. The key has not been checked. It is computed once
    for each request, so that limits and access go by the same key."""
    kept: bytes | None = scope.get(_KEPT)
    if kept is not None:
        return kept
    head = shown(scope)
    scheme, _, token = head.get(b"authorization", b"").partition(b" ")
    key = (
        (token.strip() if scheme.lower() == b"bearer" else b"")
        or head.get(b"x-api-key", b"").strip()
        or head.get(b"x-goog-api-key", b"").strip()
        or _in_query(scope["query_string"])
    )
    scope[_KEPT] = digest = hashlib.sha256(key).digest() if key else b""
    return digest


def without_key(query: bytes) -> str:
    """A query for a provider: all of it but the client's key."""
    pairs = parse_qsl(query.decode(_AS_BYTES), keep_blank_values=True, encoding=_AS_BYTES)
    return urlencode([pair for pair in pairs if pair[0] != "key"], encoding=_AS_BYTES)


def _in_query(query: bytes) -> bytes:
    for part in query.split(b"&"):
        if part.startswith(b"key="):
            return unquote_to_bytes(part[4:]).strip()
    return b""
