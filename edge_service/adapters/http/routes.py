"""The routes, and what is common to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient, ClientGoneError, disconnected, read_body
from edge_service.app.draining import UnderWay
from edge_service.app.gateway import Gateway
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import Model, Resolver
from edge_service.app.walk import Incoming
from edge_service.dialects import asked, gemini, openai_chat
from edge_service.dialects.exchange import Asked, Voice
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, ModelNotFoundError, NoSuchMethodError, UnavailableError
from edge_service.domain.headers import Headers


def routes(gateway: Gateway, resolver: Resolver, under_way: UnderWay, is_ready: Callable[[], bool]) -> list[Route]:
    serving = Serving(gateway, under_way)
    return [
        Route("/v1/chat/completions", Conversations(serving, asked.chat_completion, asked.OPENAI), methods=["POST"]),
        Route("/v1/messages", Conversations(serving, asked.message, asked.ANTHROPIC), methods=["POST"]),
        *(Route(f"/{v}/models/{{behind:path}}", Generations(serving), methods=["POST"]) for v in ("v1beta", "v1")),
        Route("/v1/models", ListModels(resolver), methods=["GET"]),
        Route("/v1/models/{id:path}", GetModel(resolver), methods=["GET"]),
        Route("/healthz", Status(lambda: True), methods=["GET"]),
        Route("/readyz", Status(is_ready), methods=["GET"]),
    ]


async def http_error(request: Request, error: Exception) -> Response:
    """What Starlette has found out: no such route, or not with this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    return _error_response(request, _HttpError(error.status_code, error.detail), error.headers)


async def internal_error(request: Request, error: Exception) -> Response:
    """A mistake of the gateway's own. The server logs it; the client learns that it was not its own."""
    return _error_response(request, ApiError("the gateway made a mistake"))


class _HttpError(ApiError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = message.lower().replace(" ", "_")


def _error_response(request: Request, error: ApiError, extra: Mapping[str, str] | None = None) -> Response:
    request_id = headers.request_id(headers.first(request.scope["headers"], headers.REQUEST_ID))
    own = {headers.REQUEST_ID.decode(): request_id, **(extra or {})}
    return Response(openai_chat.error_body(error), error.status, own, media_type="application/json")


class Conversations:
    """A route whose request says all in its body, as a plain ASGI application: it is on the data path."""

    def __init__(self, serving: Serving, read: Callable[[bytes, Headers], Asked], voice: Voice) -> None:
        self._serving = serving
        self._read = read
        self._voice = voice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["headers"]
        await self._serving.serve(scope, receive, send, lambda body: self._read(body, head), self._voice)


class Generations:
    """`POST /v1beta/models/{model}:{method}`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        behind = scope["path_params"]["behind"]
        called = gemini.paths.read(behind)
        stream = called is not None and called.method is gemini.paths.Method.STREAM
        array = stream and parse_qs(scope["query_string"]).get(b"alt") != [b"sse"]

        def read(body: bytes) -> Asked:
            if called is None or called.method not in (gemini.paths.Method.GENERATE, gemini.paths.Method.STREAM):
                raise NoSuchMethodError(f"there is nothing to be called as '{behind[:200]}'")
            return asked.generation(body, called.model, stream=stream, array=array)

        await self._serving.serve(scope, receive, send, read, asked.GEMINI)


class Serving:
    """What all routes of requests have in common: from the first byte of one to the last of its answer."""

    def __init__(self, gateway: Gateway, under_way: UnderWay) -> None:
        self._gateway = gateway
        self._under_way = under_way

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, read: Callable[[bytes], Asked], voice: Voice
    ) -> None:
        client = AsgiClient(send)
        request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
        interrupts = Interrupts()
        self._under_way.enter(interrupts)
        try:
            await self._serve(scope["headers"], receive, client, request_id, interrupts, read, voice)
        finally:
            self._under_way.leave(interrupts)
            interrupts.close()

    async def _serve(
        self,
        head: Headers,
        receive: Receive,
        client: AsgiClient,
        request_id: str,
        interrupts: Interrupts,
        read: Callable[[bytes], Asked],
        voice: Voice,
    ) -> None:
        try:
            body = await _body(receive, interrupts)
        except ClientGoneError:
            return
        except ApiError as error:
            # What is left of the body stays unread, so the connection is of no more use.
            extra = [*error.headers, (headers.REQUEST_ID, request_id.encode()), (b"connection", b"close")]
            await client.respond(error.status, extra, voice.error_body(error))
            return
        watch = asyncio.create_task(_watch(receive, interrupts))
        try:
            # It has arrived when all of it is here: how long the client takes to send it is not ours to answer for.
            incoming = Incoming(request_id, head, body, arrived_at=self._gateway.clock())
            await self._gateway.serve(incoming, client, interrupts, lambda: read(body), voice)
        finally:
            interrupts.close()
            watch.cancel()


async def _body(receive: Receive, interrupts: Interrupts) -> bytes:
    """Raises what `read_body` does, and `UnavailableError` if the gateway ends before the body does."""
    try:
        return await read_body(receive)
    except asyncio.CancelledError:
        if interrupts.take() is not Reason.DRAINING:
            raise
        raise UnavailableError("the gateway is shutting down") from None


async def _watch(receive: Receive, interrupts: Interrupts) -> None:
    """A server tells a handler that streams of a disconnect, at best, by swallowing what it sends."""
    await disconnected(receive)
    interrupts.fire(Reason.CLIENT_GONE)


class ListModels:
    """`GET /v1/models`: everything that can be called, virtual models first."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> object:
            return {"object": "list", "data": [_model(model) for model in await self._resolver.models()]}

        await _respond(scope, send, answer)


class GetModel:
    """`GET /v1/models/{id}`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> object:
            wanted = Request(scope).path_params["id"]
            for model in await self._resolver.models():
                if model.id.casefold() == wanted.strip().casefold():
                    return _model(model)
            raise ModelNotFoundError(f"the model '{wanted[:200]}' does not exist", param="model")

        await _respond(scope, send, answer)


class Status:
    """`GET /healthz` and `GET /readyz`: 200 if so, else 503."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        good = self._holds()
        content = b'{"status":"ok"}' if good else b'{"status":"unavailable"}'
        await AsgiClient(send).respond(200 if good else 503, _JSON, content)


_JSON: Headers = [(b"content-type", b"application/json")]


async def _respond(scope: Scope, send: Send, answer: Callable[[], Awaitable[object]]) -> None:
    client = AsgiClient(send)
    request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
    own = (headers.REQUEST_ID, request_id.encode())
    try:
        content = msgspec.json.encode(await answer())
    except ApiError as error:
        await client.respond(error.status, [*error.headers, own], openai_chat.error_body(error))
    else:
        await client.respond(200, [*_JSON, own], content)


_OWNERS = {"pool": "forebay-pool", "cluster": "forebay-cluster"}


def _model(model: Model) -> dict[str, object]:
    """OpenAI's shape: https://platform.openai.com/docs/api-reference/models/object"""
    entry: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": _OWNERS.get(model.kind, model.provider),
    }
    if model.kind in _OWNERS:
        entry["description"] = model.description
    return entry
