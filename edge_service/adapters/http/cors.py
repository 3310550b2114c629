"""Lets pages of other origins call the APIs of models from browsers (https://fetch.spec.whatwg.org/#http-cors-protocol).

Keys travel in headers that pages set themselves, so nothing here is about cookies. What is no API of models, and the
management API above all, is not for pages of others.
"""

from __future__ import annotations

import re
from collections.abc import Container

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_service.domain import headers
from edge_service.domain.headers import Headers

_PATHS = ("/v1/", "/v1beta/")
_SHOWN = frozenset({b"retry-after", b"x-should-retry", b"request-id", b"x-request-id"})
_SHOWN_PREFIXES = (b"x-forebay-", b"x-ratelimit-", b"anthropic-ratelimit-")
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]+")
_VARY = (b"vary", b"origin")
_MAX_AGE = (b"access-control-max-age", b"600")


class Cors:
    """ASGI middleware. Preflights are answered here; answers to pages tell the browser which headers these may see."""

    def __init__(self, app: ASGIApp, origins: Container[str]) -> None:
        """Exact origins, or `*` for all of them."""
        self._app = app
        self._is_everyone = "*" in origins
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_PATHS):
            await self._app(scope, receive, send)
            return
        origin = headers.first(scope["headers"], b"origin")
        is_allowed = origin is not None and (self._is_everyone or origin.decode("latin-1") in self._origins)
        own: Headers = [] if self._is_everyone else [_VARY]
        if origin is not None and is_allowed:
            own.append((b"access-control-allow-origin", b"*" if self._is_everyone else origin))
        if is_allowed and scope["method"] == "OPTIONS" and _is_preflight(scope["headers"]):
            await send({"type": "http.response.start", "status": 204, "headers": [*own, *_may(scope["headers"])]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_shown(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent: Headers = message["headers"]
                shown = [name for name, _ in sent if name in _SHOWN or name.startswith(_SHOWN_PREFIXES)]
                exposed = [(b"access-control-expose-headers", b", ".join(shown))] if is_allowed and shown else []
                message = {**message, "headers": [*sent, *own, *exposed]}
            await send(message)

        await self._app(scope, receive, send_shown if own else send)


def _is_preflight(head: Headers) -> bool:
    return headers.first(head, b"access-control-request-method") is not None


def _may(head: Headers) -> Headers:
    """What the page may send: whatever it asks for, since keys and dialects come with headers of all names."""
    asked = headers.first(head, b"access-control-request-headers")
    named = [(b"access-control-allow-headers", asked)] if asked and _NAMES.fullmatch(asked) else []
    return [(b"access-control-allow-methods", b"GET, POST, DELETE"), *named, _MAX_AGE]
