"""What a request needs decides who is asked, over real processes: of two models the first can do little."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.support.faulty_upstream import Provider, provider, says
from tests.support.processes import PLAIN, forebay

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
providers:
  - {{id: plain, dialect: openai, base-url: '{plain}', allow-private: true,
      models: [{{id: little, context: 4000, max-output: 500, capabilities: []}}]}}
  - {{id: rich, dialect: openai, base-url: '{rich}', allow-private: true,
      models: [{{id: much, context: 100000, max-output: 9000, capabilities: [tools, vision, reasoning, json-schema]}}]}}
model-pools:
  clusters:
    - {{id: chat, members: [{{model: little}}, {{model: much, priority: 1}}]}}
"""

LITTLE, MUCH = "plain/little#0", "rich/much#0"
TEXT = "Describe an image_url, an inlineData and an image."
LONG = "word " * 20_000
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    directory = tmp_path_factory.mktemp("needs")
    async with contextlib.AsyncExitStack() as stack:
        plain, rich = [await _running(stack) for _ in range(2)]
        config = directory / "forebay.yaml"
        config.write_text(CONFIG.format(plain=plain.url, rich=rich.url))
        services = await stack.enter_async_context(forebay(config, directory))
        yield await stack.enter_async_context(httpx2.AsyncClient(base_url=services.url, timeout=20, verify=PLAIN))


async def _running(stack: contextlib.AsyncExitStack) -> Provider:
    return await stack.enter_async_context(provider(says("well met")))


def openai(content: Any = TEXT, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": content}], **fields}


def responses(content: Any = TEXT, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"input": [{"role": "user", "content": content}], **fields}


def anthropic(content: Any = TEXT, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": content}], **fields}


def gemini(*parts: Any, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1beta/models/{}:generateContent", {"contents": [{"parts": [{"text": TEXT}, *parts]}], **fields}


FUNCTION = {"name": "f", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
IMAGES = {
    "openai": openai([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]),
    "responses": responses([{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]),
    "anthropic": anthropic([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]),
    "gemini": gemini({"inlineData": {"mimeType": "image/png", "data": PIXEL}}),
}
TOO_LONG = {
    "openai": openai(LONG),
    "responses": responses(LONG),
    "anthropic": anthropic(LONG),
    "gemini": gemini({"text": LONG}),
}


async def ask(
    client: httpx2.AsyncClient, model: str, request: tuple[str, dict[str, Any]]
) -> tuple[httpx2.Response, str | None]:
    path, body = request
    response = await client.post(path.format(model), json={"model": model, **body})
    return response, response.headers.get("x-forebay-target")


@pytest.mark.parametrize("request_", [openai(), responses(), anthropic(), gemini()], ids=["chat", "r", "a", "g"])
async def test_who_needs_nothing_is_served_by_the_first(client: httpx2.AsyncClient, request_: Any) -> None:
    response, target = await ask(client, "chat", request_)
    assert (response.status_code, target, response.headers["x-forebay-attempts"]) == (200, LITTLE, "1")


@pytest.mark.parametrize(
    "request_",
    [
        *IMAGES.values(),
        *TOO_LONG.values(),
        openai(tools=[{"type": "function", "function": FUNCTION}]),
        anthropic(tools=[{"name": "f", "input_schema": {"type": "object"}}]),
        gemini(tools=[{"functionDeclarations": [FUNCTION]}]),
        openai(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}),
        openai(reasoning_effort="high"),
        responses(reasoning={"effort": "high"}),
        openai(max_completion_tokens=501),
        anthropic(max_tokens=501),
        gemini(generationConfig={"maxOutputTokens": 501}),
    ],
    ids=lambda request: f"{request[0]}-{sorted(request[1])}",
)
async def test_who_needs_more_is_served_by_the_other(client: httpx2.AsyncClient, request_: Any) -> None:
    response, target = await ask(client, "chat", request_)
    assert (response.status_code, target, response.headers["x-forebay-attempts"]) == (200, MUCH, "1")


ERRORS = {
    "openai": lambda error: (error["type"], error["code"]),
    "responses": lambda error: (error["type"], error["code"]),
    "anthropic": lambda error: (error["type"], None),  # The dialect has no place for codes.
    "gemini": lambda error: (error["status"], error["details"][0]["reason"].lower()),
}


@pytest.mark.parametrize("dialect", ERRORS)
@pytest.mark.parametrize(
    ("requests", "code", "words"),
    [(IMAGES, "needs_unmet", "vision"), (TOO_LONG, "context_length_exceeded", "context")],
    ids=["vision", "context"],
)
async def test_who_needs_more_than_anyone_can_is_told_in_his_words(
    client: httpx2.AsyncClient, requests: Any, code: str, words: str, dialect: str
) -> None:
    response, target = await ask(client, "little", requests[dialect])
    error = response.json()["error"]
    assert (response.status_code, target) == (400, None)
    assert "'little'" in error["message"]
    assert words in error["message"]
    kind, told = ERRORS[dialect](error)
    assert kind in ("invalid_request_error", "INVALID_ARGUMENT")
    assert told in (code, None)


async def test_a_count_is_refused_to_nobody(client: httpx2.AsyncClient) -> None:
    for request in (IMAGES["anthropic"], TOO_LONG["anthropic"]):
        response, _ = await ask(client, "little", ("/v1/messages/count_tokens", request[1]))
        assert response.status_code == 200
        assert response.json()["input_tokens"] > 0


async def test_vectors_are_asked_of_none_that_is_known_to_have_none(client: httpx2.AsyncClient) -> None:
    response, _ = await ask(client, "chat", ("/v1/embeddings", {"input": "a"}))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "needs_unmet")
    assert "embeddings" in response.json()["error"]["message"]
