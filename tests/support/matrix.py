"""A provider of each dialect behind one edge, each with a model named after it: `openai-model` and so on. The cluster
`mixed` has all of them, behind one of Anthropic's that has reached its limit."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.faulty_upstream import Call, Provider, provider, refuses
from tests.support.processes import PLAIN, Forebay, forebay
from tests.support.speaking import SAYS

DIALECTS = ("openai", "anthropic", "gemini")


@dataclass
class Matrix:
    url: str
    client: httpx2.AsyncClient
    providers: dict[str, Provider]
    services: Forebay

    async def ask(self, dialect: str, model: str, stream: bool = False, text: str = "hello") -> httpx2.Response:
        """A request of one dialect for a model, which is named after the provider's."""
        messages = [{"role": "user", "content": text}]
        if dialect == "openai":
            body = {"model": model, "stream": stream, "messages": messages}
            return await self.client.post("/v1/chat/completions", json=body)
        if dialect == "anthropic":
            body = {"model": model, "stream": stream, "max_tokens": 100, "messages": messages}
            return await self.client.post("/v1/messages", json=body)
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return await self.client.post(f"/v1beta/models/{model}:{method}", json=body)

    async def count(self, dialect: str, model: str, text: str = "hello", **headers: str) -> httpx2.Response:
        """A request to count tokens, of Anthropic's dialect or Gemini's."""
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if dialect == "anthropic":
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            return await self.client.post("/v1/messages/count_tokens", json=body, headers=head)
        contents = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        return await self.client.post(f"/v1beta/models/{model}:countTokens", json=contents, headers=head)

    def last(self, dialect: str) -> Call:
        return self.providers[dialect].calls[-1]


@contextlib.asynccontextmanager
async def matrix(directory: Path) -> AsyncIterator[Matrix]:
    """For the time of the block."""
    async with contextlib.AsyncExitStack() as stack:
        scripts = {**{d: SAYS[d]("well met") for d in DIALECTS}, "limited": refuses(429, retry_after="1")}
        providers = {name: await stack.enter_async_context(provider(script)) for name, script in scripts.items()}
        lines = ["providers:"]
        for name, each in providers.items():
            dialect = "anthropic" if name == "limited" else name
            base = each.url if dialect == "openai" else each.url.removesuffix("/v1")
            lines.append(
                f"  - {{id: {name}, dialect: {dialect}, base-url: '{base}', models: [{name}-model], "
                "allow-private: true, credentials: [env:SOME_API_KEY]}"
            )
        lines += ["model-pools:", "  clusters:", "    - id: mixed", "      members:"]
        lines += [f"        - {{model: {name}-model, priority: {i}}}" for i, name in enumerate(["limited", *DIALECTS])]
        config = directory / "forebay.yaml"
        config.write_text("\n".join(lines))
        services = await stack.enter_async_context(forebay(config, directory, SOME_API_KEY="sk-secret"))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=services.url, timeout=20, verify=PLAIN))
        yield Matrix(services.url, client, providers, services)
