"""Turns requests away while as many as can be served well are being served: before any work, and in a few words."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.dialects import openai_chat
from edge_service.domain import headers
from edge_service.domain.errors import OverloadedError

EXEMPT = frozenset({"/healthz", "/readyz"})
"""Who watches over the edge must not take its being busy for its being dead."""

RETRY_AFTER_S = 1.0


class Shedding:
    """ASGI middleware: at most so many requests at a time, from the first byte of each to the last of its answer."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            await _refuse(scope, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


async def _refuse(scope: Scope, send: Send) -> None:
    error = OverloadedError("the gateway is serving as many requests as it can", retry_after_s=RETRY_AFTER_S)
    request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
    own = (headers.REQUEST_ID, request_id.encode())
    await AsgiClient(send).respond(error.status, [*error.headers, own], openai_chat.error_body(error))
