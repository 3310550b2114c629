"""The routes to models, and the answers to requests that have none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_service.adapters.http.listings import GetModel, ListModels
from edge_service.adapters.http.operations import Status, is_alive
from edge_service.adapters.http.refusals import error_body, is_management
from edge_service.adapters.http.serving import Conversations, Generations, Serving, StoredResponses
from edge_service.adapters.http.shedding import Shedding
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.ports import Resolver
from edge_service.dialects import asked, asked_plain, asked_responses, counting, openai_plain
from edge_service.dialects.anthropic.wire import COUNT_PATH
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, MistakeError

MODELS = ("/v1/models/", "/v1beta/models/")
"""A model's name stands behind these, and with Gemini what is asked of it."""

NOTHING_HERE = (
    "there is nothing at this path: the base URL of OpenAI's SDKs ends in /v1, that of Anthropic's and Google's does "
    "not"
)


def routes(
    gateway: Gateway, resolver: Resolver, under_way: UnderWay, is_ready: Callable[[], Awaitable[bool]]
) -> list[Route]:
    serving = Serving(gateway, under_way)
    model = ByMethod({"GET": GetModel(resolver), "POST": Generations(serving)})
    return [
        Route("/v1/chat/completions", Conversations(serving, asked.chat_completion, asked.OPENAI), methods=["POST"]),
        Route("/v1/responses", Conversations(serving, asked_responses.response, asked.OPENAI), methods=["POST"]),
        Route("/v1/responses/{id}", StoredResponses(serving), methods=["GET", "DELETE"]),
        Route("/v1/responses/{id}/cancel", StoredResponses(serving, "/cancel"), methods=["POST"]),
        Route("/v1/responses/{id}/input_items", StoredResponses(serving, "/input_items"), methods=["GET"]),
        Route("/v1/messages", Conversations(serving, asked.message, asked.ANTHROPIC), methods=["POST"]),
        Route(COUNT_PATH, Conversations(serving, counting.of_message, asked.ANTHROPIC), methods=["POST"]),
        *(Route(f"/{version}/models", ListModels(resolver), methods=["GET"]) for version in ("v1", "v1beta")),
        *(Route(f"{before}{{id:path}}", model, methods=["GET", "POST"]) for before in MODELS),
        Route("/v1/completions", Conversations(serving, asked_plain.text_completion, asked.OPENAI), methods=["POST"]),
        Route("/v1/embeddings", Conversations(serving, asked_plain.embeddings, asked.OPENAI), methods=["POST"]),
        *(
            Route(
                f"/v1{api.path}",
                Conversations(serving, partial(asked_plain.passed_on, api), asked.OPENAI),
                methods=["POST"],
            )
            for api in openai_plain.APIS
        ),
        Route("/healthz", Status(is_alive), methods=["GET"]),
        Route("/readyz", Status(is_ready), methods=["GET"]),
    ]


class Direct:
    """ASGI application. It bypasses Starlette's routing for requests to models, since that costs more than the
    gateway's own reading of a request; all others go through Starlette."""

    def __init__(self, shedding: Shedding, routes: Iterable[Route]) -> None:
        endpoints = {route.path: route.endpoint for route in routes}
        self._shedding = shedding
        self._conversations = {path: app for path, app in endpoints.items() if isinstance(app, Conversations)}
        self._generations = next(app for app in endpoints.values() if isinstance(app, ByMethod))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            app = self._conversations.get(path) or (self._generations if path.startswith(MODELS) else None)
            if app is not None:
                return self._shedding.serve(app, scope, receive, send)
        return self._shedding(scope, receive, send)


class ByMethod:
    """Dispatches by method a path that two APIs share: GET reads a model, POST is Gemini's call of one."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = {**apps, "HEAD": apps["GET"]}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._apps[scope["method"]](scope, receive, send)


async def http_error(request: Request, error: Exception) -> Response:
    """Answers Starlette's own errors: there is no such route, or it does not have this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    nothing_here = error.status_code == 404 and not is_management(request.scope)
    told = _HttpError(error, NOTHING_HERE if nothing_here else error.detail)
    return _error_response(request, told, error.headers)


async def internal_error(request: Request, error: Exception) -> Response:
    """Answers a defect of the gateway with a 500. The server logs it."""
    return _error_response(request, MistakeError())


class _HttpError(ApiError):
    def __init__(self, error: HTTPException, message: str) -> None:
        super().__init__(message)
        self.status = error.status_code
        self.code = error.detail.lower().replace(" ", "_")


def _error_response(request: Request, error: ApiError, extra: Mapping[str, str] | None = None) -> Response:
    request_id = headers.request_id(headers.first(request.scope["headers"], headers.REQUEST_ID))
    own = {headers.REQUEST_ID.decode(): request_id, **(extra or {})}
    return Response(error_body(request.scope, error), error.status, own, media_type="application/json")
