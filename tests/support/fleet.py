"""Two resolvers that share a store, as processes, and an edge at each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.faulty_upstream import Provider, Script, provider
from tests.support.keys import MINE, bearer
from tests.support.metrics import exposition
from tests.support.processes import PLAIN, Process, start
from tests.support.setup import until
from tests.support.valkey import Store

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
PATIENT_S = 5.0
"""For answers of who is well, on a machine that is busy with other tests."""


@dataclass
class Fleet:
    store: Store
    resolvers: list[Process]
    edges: list[Process]
    providers: list[Provider]
    client: httpx2.AsyncClient

    @property
    def hits(self) -> list[int]:
        return [len(p.calls) for p in self.providers]

    async def ask(self, edge: int, key: str = MINE) -> httpx2.Response:
        return await self.client.post(f"{self.edges[edge].address}/v1/chat/completions", json=CHAT, headers=bearer(key))

    async def degraded(self) -> list[bool]:
        told = [await exposition(resolver) for resolver in self.resolvers]
        return ["forebay_store_up 0.0" in text for text in told]

    async def stand(self, *, degraded: bool) -> None:
        """Waits until both resolvers do without the store, or both are with it."""

        async def do() -> bool:
            return await self.degraded() == [degraded] * 2

        await until(do)


@contextlib.asynccontextmanager
async def fleet(
    directory: Path,
    *scripts: Script,
    config: Callable[[Sequence[str]], str],
    both: bool = False,
    answer_s: float | None = PATIENT_S,
) -> AsyncIterator[Fleet]:
    """`config` makes the configuration of the providers' URLs. Each edge knows one resolver, or `both`: another one
    first. `answer_s` is how long resolvers wait for the store, and edges wait for resolvers that do; None: as they are
    made to, which a busy machine may be too slow for."""
    async with contextlib.AsyncExitStack() as stack:
        store = Store(directory / "valkey")
        stack.callback(store.stop)
        providers = [await stack.enter_async_context(provider(script)) for script in scripts]
        file = directory / "forebay.yaml"
        file.write_text(config([each.url for each in providers]))
        started: list[Process] = []

        async def stop_all() -> None:
            await asyncio.gather(*(process.stop() for process in started[2:]))
            await asyncio.gather(*(process.stop() for process in started[:2]))

        stack.push_async_callback(stop_all)
        flags = ("resolver_service", "--config", str(file), "--store", store.url, "--listen", "127.0.0.1:0")
        altered = {}
        if answer_s is not None:
            altered = {"ALTERED_ANSWER_S": str(answer_s), "ALTERED_RESOLVE_S": str(2 * PATIENT_S)}
        for number in range(2):
            log = directory / f"resolver{number}.log"
            started.append(await start("tests.support.altered", *flags, errors=log, environment=altered))
        addresses = [process.address for process in started]
        for number in range(2):
            its = [addresses[number], addresses[1 - number]] if both else [addresses[number]]
            flags = ("edge_service", "--resolver", ",".join(its), "--listen", "127.0.0.1:0")
            log = directory / f"edge{number}.log"
            started.append(await start("tests.support.altered", *flags, errors=log, environment=altered))
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=20, verify=PLAIN))
        yield Fleet(store, started[:2], started[2:], providers, client)
