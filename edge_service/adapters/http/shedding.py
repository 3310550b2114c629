"""Turns requests away while too many are under way, in all or of one client key: before any work, and in a few
words."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.adapters.http.client_keys import client_key
from edge_service.adapters.http.refusals import error_body, is_management
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, OverloadedError, TooManyConcurrentError

EXEMPT = frozenset({"/healthz", "/readyz"})
"""A health check must not take a busy edge for a dead one."""

MOST_MANAGING = 32
"""Requests of the management API at a time. They have a bound of their own: while models are asked for more than can be
served, an operator has to be able to do something about it, and whoever guesses keys must not keep models from being
served."""

RETRY_AFTER_S = 1.0

_BUSY = "the gateway is serving as many requests as it can"


class Shedding:
    """ASGI middleware: at most so many requests at a time, from the first byte of each to the last of its answer."""

    def __init__(self, app: ASGIApp, most: int, most_per_key: int, tell: Callable[[str], None]) -> None:
        """`most_per_key` is the bound for one client key, and for all requests without one; 0 for no bound. `tell` is
        called with the code of each refusal."""
        self._app = app
        self._tell = tell
        self._most = most
        self._most_per_key = most_per_key
        self._under_way = 0
        self._managing = 0
        self._of_key: dict[bytes, int] = {}
        """Requests under way, by the key's SHA-256; never 0."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
        elif is_management(scope):
            await self._serve_managing(scope, receive, send)
        else:
            await self.serve(self._app, scope, receive, send)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request to a model with this application, unless it is turned away."""
        if self._under_way >= self._most:
            await self._refuse(scope, send, OverloadedError(_BUSY, retry_after_s=RETRY_AFTER_S))
            return
        self._under_way += 1
        try:
            if self._most_per_key:
                await self._serve_in_turn(app, scope, receive, send)
            else:
                await app(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _serve_managing(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._managing >= MOST_MANAGING:
            await self._refuse(scope, send, OverloadedError(_BUSY, retry_after_s=RETRY_AFTER_S))
            return
        self._managing += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._managing -= 1

    async def _serve_in_turn(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        key = client_key(scope)
        count = self._of_key.get(key, 0)
        if count >= self._most_per_key:
            whose = "this API key has" if key else "those without an API key have"
            message = f"{whose} as many requests under way as may be at a time ({self._most_per_key})"
            await self._refuse(scope, send, TooManyConcurrentError(message, retry_after_s=RETRY_AFTER_S))
            return
        self._of_key[key] = count + 1
        try:
            await app(scope, receive, send)
        finally:
            left = self._of_key[key] - 1
            if left:
                self._of_key[key] = left
            else:
                del self._of_key[key]

    async def _refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        self._tell(error.code)
        request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
        own = (headers.REQUEST_ID, request_id.encode())
        await AsgiClient(send).respond(error.status, [*error.headers, own], error_body(scope, error))
