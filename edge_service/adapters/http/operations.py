"""What operators' tools ask: on an address of its own, so that it is not published with the API."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.domain.headers import Headers


def operations_routes(registry: CollectorRegistry, is_ready: Callable[[], bool]) -> list[Route]:
    return [
        Route("/metrics", Metrics(registry), methods=["GET"]),
        Route("/healthz", Status(lambda: True), methods=["GET"]),
        Route("/readyz", Status(is_ready), methods=["GET"]),
    ]


class Metrics:
    """`GET /metrics`, in Prometheus' text format."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        await AsgiClient(send).respond(200, kind, generate_latest(self._registry))


_JSON: Headers = [(b"content-type", b"application/json")]


class Status:
    """`GET /healthz` and `GET /readyz`: 200 if so, else 503."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        good = self._holds()
        content = b'{"status":"ok"}' if good else b'{"status":"unavailable"}'
        await AsgiClient(send).respond(200 if good else 503, _JSON, content)
