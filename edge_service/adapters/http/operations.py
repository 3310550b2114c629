"""Metrics and health checks, at an address of their own (`--ops-listen`), so that they are not published with the
API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.domain.headers import Headers


def operations_routes(
    exposition: Callable[[], Awaitable[bytes]], is_ready: Callable[[], Awaitable[bool]]
) -> list[Route]:
    return [
        Route("/metrics", Metrics(exposition), methods=["GET"]),
        Route("/healthz", Status(is_alive), methods=["GET"]),
        Route("/readyz", Status(is_ready), methods=["GET"]),
    ]


class Metrics:
    """`GET /metrics`, in Prometheus' text format."""

    def __init__(self, exposition: Callable[[], Awaitable[bytes]]) -> None:
        self._exposition = exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        await AsgiClient(send).respond(200, kind, await self._exposition())


async def is_alive() -> bool:
    """True: a process that can answer is alive."""
    return True


_JSON: Headers = [(b"content-type", b"application/json")]


class Status:
    """`GET /healthz` and `GET /readyz`: 200 if the condition holds, else 503."""

    def __init__(self, holds: Callable[[], Awaitable[bool]]) -> None:
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        good = await self._holds()
        content = b'{"status":"ok"}' if good else b'{"status":"unavailable"}'
        await AsgiClient(send).respond(200 if good else 503, _JSON, content)
