"""The arrangement for resolvers that go away: the edge outlives them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.faulty_upstream import Provider, provider, says
from tests.support.processes import PLAIN, Process, start, start_edge, start_resolver
from tests.support.setup import config_text


@dataclass
class Away:
    """A resolver that can be put out of the way, and an edge that reaches it through a proxy."""

    directory: Path
    config: Path
    providers: list[Provider]
    resolver: Process
    proxy: ChaosProxy
    edge: Process
    client: httpx2.AsyncClient

    async def chat(self, model: str = "chat") -> httpx2.Response:
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": []})

    async def restart(self, number: signal.Signals) -> None:
        await self.resolver.stop(number)
        self.resolver = await start_resolver(
            self.config, "--listen", self.resolver.address, errors=self.directory / "resolver.log"
        )

    @property
    def hits(self) -> int:
        return sum(len(p.calls) for p in self.providers)


@contextlib.asynccontextmanager
async def away(
    directory: Path, providers: int = 2, strategy: str = "round-robin", *, settled_ms: int | None = None
) -> AsyncIterator[Away]:
    """`settled_ms` is how long the configuration file has to stay as it is; until the resolver's first restart."""
    async with contextlib.AsyncExitStack() as stack:
        they = [await stack.enter_async_context(provider(says("hello world"))) for _ in range(providers)]
        config = directory / "forebay.yaml"
        config.write_text(config_text(*(p.url for p in they), strategy=strategy))
        if settled_ms is None:
            resolver = await start_resolver(config, errors=directory / "resolver.log")
        else:
            flags = ("resolver_service", "--config", str(config), "--listen", "127.0.0.1:0")
            environment = {"ALTERED_SETTLED_MS": str(settled_ms)}
            errors = directory / "resolver.log"
            resolver = await start("tests.support.altered", *flags, errors=errors, environment=environment)
        proxy = await stack.enter_async_context(chaos_proxy(resolver.address))
        edge = await start_edge(proxy.address, errors=directory / "edge.log")
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=edge.address, timeout=20, verify=PLAIN))
        it = Away(directory, config, they, resolver, proxy, edge, client)
        try:
            yield it
        finally:
            with contextlib.suppress(ProcessLookupError):
                it.resolver.process.send_signal(signal.SIGCONT)
            status = await it.edge.stop()
            await it.resolver.stop(signal.SIGKILL)
        assert status == 0, it.edge.errors.read_text()
