"""Load shedding: refuses requests, before any work is done for them, while too many are under way in total or with one
client key."""

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
"""Concurrent requests of the management API. They have a limit of their own, so that operators can act while the edge
is overloaded, and whoever guesses management keys cannot take the place of requests to models."""

RETRY_AFTER_S = 1.0

_BUSY = "the gateway is serving as many requests as it can"


class Shedding:
    """ASGI middleware that limits concurrent requests. One counts from its head to the last byte of its answer."""

    def __init__(self, app: ASGIApp, most: int, most_per_key: int, tell: Callable[[str], None]) -> None:
        """`most` is the limit in total, `most_per_key` that for each client key, and for all requests without a key
        together; 0 for none. `tell` is called with the code of each refusal."""
        self._app = app
        self._tell = tell
        self._most = most
        self._most_per_key = most_per_key
        self._under_way = 0
        self._managing = 0
        self._of_key: dict[bytes, int] = {}
        """How many requests are under way, by the key's SHA-256; without zeros."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
        elif is_management(scope):
            await self._serve_managing(scope, receive, send)
        else:
            await self.serve(self._app, scope, receive, send)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Has this application serve a request to a model, unless there are too many."""
        if self._under_way >= self._most:
            await self._refuse(scope, send, OverloadedError(_BUSY, retry_after_s=RETRY_AFTER_S))
            return
        self._under_way += 1
        try:
            if self._most_per_key:
                await self._serve_by_key(app, scope, receive, send)
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

    async def _serve_by_key(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
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
