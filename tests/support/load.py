"""Clients that ask all the time, and what they got."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2

from tests.support.processes import PLAIN

CLIENTS = 16
PAUSE_S = 0.02
"""Between two requests of a client: what is tested is what happens, not how fast it happens."""


@dataclass
class Load:
    """What the clients got so far."""

    requests: int = 0
    served: int = 0
    stale: int = 0
    slowest_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    failed: list[float] = field(default_factory=list)
    """When those that failed began, on the monotonic clock."""

    def fails(self, why: str, began_at: float) -> None:
        self.errors[why] += 1
        self.failed.append(began_at)

    async def progress(self, requests: int) -> None:
        """Waits until so many more have been answered."""
        goal = self.served + requests
        async with asyncio.timeout(20):
            while self.served < goal and not self.errors:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def load(
    url: str,
    model: str = "chat",
    clients: int = CLIENTS,
    trust: ssl.SSLContext | None = None,
    *,
    keep: bool = True,
    pause_s: float = PAUSE_S,
) -> AsyncIterator[Load]:
    """Every second client streams. At the end of the block each finishes what it is at. `trust` is how they know the
    edge; unless they are to `keep` connections, each request has one of its own. Each rests between two requests."""
    it = Load()
    over = asyncio.Event()

    async def ask(client: httpx2.AsyncClient, stream: bool) -> None:
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
        while not over.is_set():
            it.requests += 1
            began_at = time.monotonic()
            try:
                response = await client.post("/v1/chat/completions", json=body)
            except httpx2.HTTPError as error:
                it.fails(repr(error), began_at)
                continue
            it.slowest_s = max(it.slowest_s, time.monotonic() - began_at)
            if response.status_code != 200:
                it.fails(f"{response.status_code} {response.text}", began_at)
            elif stream and not response.content.endswith(b"data: [DONE]\n\n"):
                it.fails(f"a stream that ends with {response.content[-100:]!r}", began_at)
            else:
                it.served += 1
                it.targets[response.headers["x-forebay-target"]] += 1
                it.stale += response.headers.get("x-forebay-stale") == "1"
            await asyncio.sleep(pause_s)

    limits = httpx2.Limits(max_keepalive_connections=None if keep else 0)
    asked = httpx2.AsyncClient(base_url=url, timeout=20, verify=trust or PLAIN, limits=limits)
    async with asked as client, asyncio.TaskGroup() as asking:
        for number in range(clients):
            asking.create_task(ask(client, number % 2 == 1))
        try:
            yield it
        finally:
            over.set()
