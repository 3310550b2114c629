"""Providers that answer with what they got, in the APIs that are no conversations."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.faulty_upstream import DONE, Connection, Provider, provider, refuses
from tests.support.processes import PLAIN, forebay

SPEECH = bytes(range(256)) * 300
IMAGES = (
    b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"AAAA"}\n\n'
    b'event: image_generation.completed\ndata: { "type":"image_generation.completed" ,"b64_json":"BBBB"}\n\n'
)
TRANSCRIPT = (
    b'data: {"type":"transcript.text.delta","delta":"hi"}\n\ndata: {"type":"transcript.text.done","text":"hi"}\n\n'
)


def _json(path: str, asked: dict[str, object]) -> dict[str, object]:
    if path == "/v1/embeddings":
        given = asked["input"]
        inputs = given if isinstance(given, list) else [given]
        vector: object = "AACAPwAAAEA=" if asked.get("encoding_format") == "base64" else [1.0, 2.0]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(len(inputs))]
        return {"object": "list", "data": data, "model": "up", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    if path == "/v1/moderations":
        return {"id": "modr-1", "model": "up", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]}
    if path == "/v1/rerank":
        return {"id": "r", "results": [{"index": 0, "relevance_score": 0.5}], "asked": asked}
    if path == "/v1/completions":
        choice = {"text": "well met", "index": 0, "finish_reason": "stop", "logprobs": None}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "up", "choices": [choice]}
    assert path == "/v1/images/generations", path
    return {"created": 1, "data": [{"b64_json": "AAAA"}]}


async def openai_echoes(connection: Connection) -> None:
    """Forms come back as they are, as the text of a transcript; other things in the forms of their APIs."""
    call = connection.call
    if call.headers["content-type"].startswith("multipart/form-data"):
        if b'name="stream"' in call.body:
            await connection.answer(200, TRANSCRIPT, "text/event-stream")
        elif call.path.startswith("/v1/audio"):
            await connection.answer(200, call.body, "text/plain; charset=latin-1")
        else:
            await connection.answer(200, b' {"created":1,"data":[{"b64_json":"AAAA"}]}')
        return
    if call.path == "/v1/audio/speech":
        await connection.answer(200, SPEECH, "audio/mpeg")
    elif not call.json.get("stream"):
        await connection.answer(200, json.dumps(_json(call.path, call.json)).encode())
    else:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        if call.path == "/v1/completions":
            for text in ("well ", "met"):
                event = {"object": "text_completion", "model": "up", "choices": [{"text": text, "index": 0}]}
                await connection.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
            await connection.chunk(DONE, b"")
        else:
            await connection.chunk(IMAGES[:100], IMAGES[100:], b"")


async def gemini_embeds(connection: Connection) -> None:
    path, asked = connection.call.path, connection.call.json
    if path.endswith(":batchEmbedContents"):
        requests = asked["requests"]
        assert isinstance(requests, list)
        vectors = [{"values": [1.0, 2.0]} for _ in requests]
        await connection.answer(200, json.dumps({"embeddings": vectors}).encode())
    else:
        assert path.endswith(":embedContent"), path
        await connection.answer(200, b'{ "embedding": {"values":[1.00]}, "usageMetadata":{"promptTokenCount":2}}')


@dataclass
class Plain:
    url: str
    client: httpx2.AsyncClient
    providers: dict[str, Provider]

    async def post(self, path: str, **fields: object) -> httpx2.Response:
        return await self.client.post(path, json=fields)


@contextlib.asynccontextmanager
async def plain(directory: Path) -> AsyncIterator[Plain]:
    """An edge for the time of the block. The cluster `any` has a provider of OpenAI's dialect that has reached its
    limit, one of Anthropic's, one of Gemini's, and a healthy one of OpenAI's; each has a model named after it."""
    scripts = {"limited": refuses(429), "anthropic": refuses(500), "gemini": gemini_embeds, "openai": openai_echoes}
    async with contextlib.AsyncExitStack() as stack:
        providers = {name: await stack.enter_async_context(provider(script)) for name, script in scripts.items()}
        lines = ["providers:"]
        for name, each in providers.items():
            dialect = "openai" if name == "limited" else name
            base = each.url if dialect == "openai" else each.url.removesuffix("/v1")
            where = f"dialect: {dialect}, base-url: '{base}', allow-private: true"
            lines.append(f"  - {{id: {name}, {where}, models: [{name}-model]}}")
        lines += ["model-pools:", "  clusters:", "    - id: any", "      members:"]
        lines += [f"        - {{model: {name}-model, priority: {i}}}" for i, name in enumerate(scripts)]
        config = directory / "forebay.yaml"
        config.write_text("\n".join(lines))
        services = await stack.enter_async_context(forebay(config, directory))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=services.url, timeout=20, verify=PLAIN))
        yield Plain(services.url, client, providers)
