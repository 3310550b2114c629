"""Whose API a listing speaks, and what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
from starlette.types import Message

from edge_service.adapters.http.listings import GetModel, ListModels, voice_of
from edge_service.app.ports import Model
from edge_service.dialects import asked
from edge_service.dialects.exchange import Voice
from edge_service.domain.errors import ClientKeyError
from edge_service.domain.headers import Headers

POOL = Model("Sonnet", "pool", "tried at two", 1_700_000_000, "")
CLUSTER = Model("coding", "cluster", "", 1_700_000_001, "")
RAW = Model("gpt-4.1", "model", "", 1_700_000_002, "openai")

VERSION = (b"anthropic-version", b"2023-06-01")
GOOGLES = (b"x-goog-api-client", b"genai/1")


class Resolver:
    def __init__(self, *models: Model) -> None:
        self._models = models
        self.keys: list[bytes] = []

    async def models(self, client_key: bytes) -> Sequence[Model]:
        self.keys.append(client_key)
        if not client_key:
            raise ClientKeyError("an API key is required")
        return self._models


async def ask(
    *models: Model, path: str = "/v1/models", head: Headers | None = None, query: bytes = b"", wanted: str | None = None
) -> tuple[int, Any]:
    """Status and body; with a client's key."""
    resolver, sent = Resolver(*models), list[Message]()

    async def receive() -> Message:
        raise AssertionError("there is no body")

    async def send(message: Message) -> None:
        sent.append(message)

    own = [(b"authorization", b"Bearer fb-1"), *(head or [])]
    scope = {"type": "http", "path": path, "headers": own, "query_string": query, "path_params": {"id": wanted}}
    app = (ListModels if wanted is None else GetModel)(cast(Any, resolver))
    await app(scope, receive, send)
    assert resolver.keys == [hashlib.sha256(b"fb-1").digest()]
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/json"
    return sent[0]["status"], json.loads(sent[1]["body"])


async def test_openais() -> None:
    assert await ask(POOL, CLUSTER, RAW) == (
        200,
        {
            "object": "list",
            "data": [
                {
                    "id": "Sonnet",
                    "object": "model",
                    "created": 1_700_000_000,
                    "owned_by": "forebay-pool",
                    "description": "tried at two",
                },
                {
                    "id": "coding",
                    "object": "model",
                    "created": 1_700_000_001,
                    "owned_by": "forebay-cluster",
                    "description": "",
                },
                {"id": "gpt-4.1", "object": "model", "created": 1_700_000_002, "owned_by": "openai"},
            ],
        },
    )


async def test_anthropics() -> None:
    status, said = await ask(POOL, RAW, head=[VERSION])
    assert (status, said["first_id"], said["last_id"], said["has_more"]) == (200, "Sonnet", "gpt-4.1", False)
    assert said["data"][0] == {
        "type": "model",
        "id": "Sonnet",
        "display_name": "Sonnet",
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
    }
    _, said = await ask(head=[VERSION])
    assert (said["data"], said["first_id"], said["last_id"]) == ([], None, None)


async def test_geminis() -> None:
    _, said = await ask(POOL, path="/v1beta/models")
    assert said == {
        "models": [
            {
                "name": "models/Sonnet",
                "displayName": "Sonnet",
                "description": "tried at two",
                "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
            }
        ]
    }


@pytest.mark.parametrize(
    ("path", "head", "query", "has"),
    [
        ("/v1/models", [], b"", "object"),
        ("/v1/models", [], b"monkey=1", "object"),
        ("/v1/models", [VERSION], b"", "has_more"),
        ("/v1/models", [VERSION, GOOGLES], b"key=k", "has_more"),
        ("/v1/models", [GOOGLES], b"", "models"),
        ("/v1/models", [(b"x-goog-api-key", b"k")], b"", "models"),
        ("/v1/models", [], b"a=b&key=k", "models"),
        ("/v1beta/models", [VERSION], b"", "models"),
    ],
)
async def test_the_path_says_whose_api_it_is_or_else_what_its_sdk_sends(
    path: str, head: Headers, query: bytes, has: str
) -> None:
    _, said = await ask(POOL, path=path, head=head, query=query)
    assert has in said


@pytest.mark.parametrize("wanted", ["Sonnet", "sonnet", " SONNET "])
async def test_one_is_found_in_any_case_and_shown_in_its_own(wanted: str) -> None:
    status, said = await ask(RAW, POOL, wanted=wanted)
    assert (status, said["id"]) == (200, "Sonnet")


async def test_one_that_is_not_there_is_a_404_in_the_words_of_the_api() -> None:
    status, said = await ask(POOL, wanted="sonne")
    assert (status, said["error"]["code"], said["error"]["param"]) == (404, "model_not_found", "model")
    status, said = await ask(POOL, wanted="sonne", head=[VERSION])
    assert (status, said["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("path", "voice"),
    [
        ("/v1/messages", asked.ANTHROPIC),
        ("/v1/messages/count_tokens", asked.ANTHROPIC),
        ("/v1beta/models/m:generateContent", asked.GEMINI),
        ("/v1/chat/completions", asked.OPENAI),
    ],
)
def test_who_is_turned_away_is_told_in_the_words_of_the_api(path: str, voice: Voice) -> None:
    assert voice_of({"path": path, "headers": [], "query_string": b""}) is voice
