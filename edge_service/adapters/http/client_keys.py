"""The API key in a client's request: in the header or the query parameter that the client's SDK uses."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.types import Scope

from edge_service.adapters.http.asgi import headers_by_name

_KEPT = "forebay.client_key"
_AS_BYTES = "latin-1"
"""Decodes and encodes any bytes without loss."""


def client_key(scope: Scope) -> bytes:
    """The SHA-256 of the client's key, which has not been checked; empty for none. It is kept in the scope, so that it
    is computed once per request."""
    kept: bytes | None = scope.get(_KEPT)
    if kept is not None:
        return kept
    head = headers_by_name(scope)
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
    """The query without the client's key, to be passed on to a provider."""
    pairs = parse_qsl(query.decode(_AS_BYTES), keep_blank_values=True, encoding=_AS_BYTES)
    return urlencode([pair for pair in pairs if pair[0] != "key"], encoding=_AS_BYTES)


def _in_query(query: bytes) -> bytes:
    for part in query.split(b"&"):
        if part.startswith(b"key="):
            return unquote_to_bytes(part[4:]).strip()
    return b""
