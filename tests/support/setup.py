"""The whole arrangement of an integration test: providers, a configuration over them, both services, a client."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support import canaries
from tests.support.faulty_upstream import Provider, Script, provider
from tests.support.metrics import exposition, operations_of
from tests.support.processes import PLAIN, Forebay, forebay

DEAD_URL = "http://127.0.0.1:9/v1"
"""The discard port: nothing listens there."""


@dataclass
class Setup:
    providers: list[Provider]
    services: Forebay
    client: httpx2.AsyncClient
    config: Path

    async def chat(self, model: str = "chat", **fields: object) -> httpx2.Response:
        messages = [{"role": "user", "content": f"hello {canaries.PROMPT.value}"}]
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": messages, **fields})

    @property
    def hits(self) -> list[int]:
        """How many calls each provider got."""
        return [len(p.calls) for p in self.providers]


def config_text(*urls: str, policy: str = "{}", strategy: str = "priority", each: str = "") -> str:
    """Providers `p0`, `p1`, ... in one pool `pool` in this order, a cluster `chat` over it, and the raw model `m`.
    `each` is what else is said of every provider, in the flow style of YAML."""
    each = f", {each}" if each else ""
    lines = [f"policy: {policy}", "providers:"]
    for i, url in enumerate(urls):
        lines.append(f"  - {{id: p{i}, dialect: openai, base-url: '{url}', models: [m], allow-private: true{each}}}")
    lines += ["model-pools:", "  pools:", "    - id: pool", f"      strategy: {strategy}", "      members:"]
    lines += [f"        - {{provider: p{i}, model: m, priority: {i}}}" for i in range(len(urls))]
    lines += ["  clusters:", "    - {id: chat, description: for talking, members: [{pool: pool}]}", ""]
    return "\n".join(lines)


@contextlib.asynccontextmanager
async def setup(
    directory: Path,
    *scripts: Script | str,
    policy: str = "{}",
    strategy: str = "priority",
    each: str = "",
    more: str = "",
    trust: ssl.SSLContext | None = None,
    **environment: str,
) -> AsyncIterator[Setup]:
    """Runs it all for the time of the block. A script that is a string stands for a provider at this URL. `more` is
    what else the configuration says, `trust` is how the client knows the edge."""
    async with contextlib.AsyncExitStack() as stack:
        providers: list[Provider] = []
        urls: list[str] = []
        for script in scripts:
            if isinstance(script, str):
                urls.append(script)
            else:
                providers.append(await stack.enter_async_context(provider(script)))
                urls.append(providers[-1].url)
        config = directory / "config" / "forebay.yaml"
        config.parent.mkdir(exist_ok=True)
        config.write_text(config_text(*urls, policy=policy, strategy=strategy, each=each) + more)
        services = await stack.enter_async_context(forebay(config, directory, **environment))
        client = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=services.url, timeout=20, verify=trust or PLAIN)
        )
        client.headers["authorization"] = f"Bearer {canaries.CLIENT_KEY.value}"
        yield Setup(providers, services, client, config)
        for process in (services.edge, services.resolver):
            if operations_of(process) and not process.told_to_stop:
                name = f"{process.errors.stem}-metrics.txt"
                (directory / name).write_text(await exposition(process))


def events(body: bytes) -> list[bytes]:
    """The data of each event of a stream, in order."""
    return [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event]


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    """Polls until it holds, for what another process does in its own time. Raises `TimeoutError`."""
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.02)


async def is_closed(url: str) -> bool:
    """Whether nobody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    except ConnectionError:
        return True
    writer.close()
    return False
