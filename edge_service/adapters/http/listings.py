"""Lists the names that can be called, in the shape of OpenAI's, Anthropic's or Gemini's API. Their paths are the same,
so the client's headers tell which one is meant.

Sources: https://platform.openai.com/docs/api-reference/models, https://platform.claude.com/docs/en/api/models-list,
https://ai.google.dev/api/models
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.adapters.http.client_keys import client_key
from edge_service.app.ports import Model, Resolver
from edge_service.dialects import asked
from edge_service.dialects.exchange import Voice
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, ModelNotFoundError

_JSON = (b"content-type", b"application/json")
_OWNERS = {"pool": "forebay-pool", "cluster": "forebay-cluster"}


def _openai(model: Model) -> dict[str, object]:
    entry: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": _OWNERS.get(model.kind, model.provider),
    }
    if model.kind in _OWNERS:
        entry["description"] = model.description
    return entry


def _anthropic(model: Model) -> dict[str, object]:
    created_at = datetime.fromtimestamp(model.created_at, UTC).isoformat().replace("+00:00", "Z")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": created_at,
        "lifecycle": "active",
    }


def _anthropic_list(entries: list[dict[str, object]]) -> dict[str, object]:
    ends = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
    return {"data": entries, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


def _gemini(model: Model) -> dict[str, object]:
    return {
        "name": f"models/{model.id}",
        "displayName": model.id,
        "description": model.description,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }


@dataclass(frozen=True, slots=True)
class Shape:
    """How one API writes an entry, a list of entries, and errors."""

    entry: Callable[[Model], dict[str, object]]
    listing: Callable[[list[dict[str, object]]], dict[str, object]]
    voice: Voice


_OPENAI = Shape(_openai, lambda entries: {"object": "list", "data": entries}, asked.OPENAI)
_ANTHROPIC = Shape(_anthropic, _anthropic_list, asked.ANTHROPIC)
_GEMINI = Shape(_gemini, lambda entries: {"models": entries}, asked.GEMINI)
_GOOGLE_HEADERS = (b"x-goog-api-key", b"x-goog-api-client")


def shape_of(scope: Scope) -> Shape:
    """The shape of the client's API: by a path that only one API has, else by the headers that its SDKs send."""
    named = {name for name, _ in scope["headers"]}
    if scope["path"].startswith("/v1beta/"):
        return _GEMINI
    if b"anthropic-version" in named:
        return _ANTHROPIC
    if not named.isdisjoint(_GOOGLE_HEADERS) or b"key" in parse_qs(scope["query_string"]):
        return _GEMINI
    return _OPENAI


def voice_of(scope: Scope) -> Voice:
    """The voice for a request that has no route's own: its path and headers tell the API."""
    return asked.ANTHROPIC if scope["path"].startswith("/v1/messages") else shape_of(scope).voice


class ListModels:
    """`GET /v1/models`: everything that can be called, virtual models first."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shape = shape_of(scope)

        async def answer() -> object:
            return shape.listing([shape.entry(model) for model in await self._resolver.models(client_key(scope))])

        await _respond(scope, send, answer, shape.voice)


class GetModel:
    """`GET /v1/models/{id}`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shape = shape_of(scope)

        async def answer() -> object:
            return shape.entry(_find(await self._resolver.models(client_key(scope)), scope["path_params"]["id"]))

        await _respond(scope, send, answer, shape.voice)


def _find(models: Sequence[Model], wanted: str) -> Model:
    for model in models:
        if model.id.casefold() == wanted.strip().casefold():
            return model
    raise ModelNotFoundError(f"the model '{wanted[:200]}' does not exist", param="model")


async def _respond(scope: Scope, send: Send, answer: Callable[[], Awaitable[object]], voice: Voice) -> None:
    client = AsgiClient(send)
    request_id = headers.request_id(headers.first(scope["headers"], headers.REQUEST_ID))
    own = (headers.REQUEST_ID, request_id.encode())
    try:
        content = msgspec.json.encode(await answer())
    except ApiError as error:
        await client.respond(error.status, [*error.headers, own], voice.error_body(error))
    else:
        await client.respond(200, [_JSON, own], content)
