"""The clients of the soak: well-behaved ones, ones that leave, ones that read slowly, ones that ask for nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx2

PATH = "/v1/chat/completions"
PAUSE_S = (0.02, 0.12)
"""Between two requests of a client: what is tested is what happens, not how fast it happens."""
PATIENCE_S = 20.0
"""Longer than any answer may take: every time limit of the gateway comes before."""
SLOW_READ_S = 0.02
SMALL_BUFFER = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)]
"""So that a client that reads slowly is felt at the other end."""
DONE = b"data: [DONE]\n\n"

UNASKED = "503 unavailable"
"""The resolver has missed its deadline, as it may on a machine with too much to do. Of other names plans are
remembered."""

Ask = Callable[[httpx2.AsyncClient, str], Awaitable[str]]
"""Makes one request by a name and tells in a word what came of it."""


@dataclass(frozen=True)
class Kind:
    """Clients of one kind."""

    name: str
    model: str
    ask: Ask
    expected: frozenset[str]
    """What may come of it. Whatever else does is an error."""
    clients: int = 2


@dataclass
class Tally:
    """What came of all requests so far."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """By the kind of client."""
    errors: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def count(self, kind: Kind, outcome: str, seconds: float) -> None:
        self.outcomes.setdefault(kind.name, Counter())[outcome] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if outcome not in kind.expected:
            self.errors[f"{kind.name}: {outcome}"] += 1

    @property
    def requests(self) -> int:
        return sum(sum(counter.values()) for counter in self.outcomes.values())

    def of(self, model: str, outcome: str) -> int:
        """How often this came of requests by this name."""
        return sum(self.outcomes.get(kind.name, Counter())[outcome] for kind in KINDS if kind.model == model)


def _body(model: str, *, stream: bool) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}


async def _whole(client: httpx2.AsyncClient, model: str) -> str:
    response = await client.post(PATH, json=_body(model, stream=False))
    if response.status_code != 200:
        return _refused(response)
    return "served" if response.json()["model"] == model else f"an answer of {response.json()['model']}"


async def _stream(client: httpx2.AsyncClient, model: str, pause_s: float = 0.0) -> str:
    content = b""
    async with client.stream("POST", PATH, json=_body(model, stream=True)) as response:
        async for chunk in response.aiter_bytes():
            content += chunk
            if pause_s:
                await asyncio.sleep(pause_s)
    if response.status_code != 200:
        return f"{response.status_code} {content[-200:]!r}"
    if content.endswith(DONE):
        return "served"
    told = b'data: {"error"' in content and DONE not in content
    return "interrupted" if told else f"a stream that ends with {content[-100:]!r}"


async def _slowly(client: httpx2.AsyncClient, model: str) -> str:
    return await _stream(client, model, SLOW_READ_S)


async def _leave_before_the_answer(client: httpx2.AsyncClient, model: str) -> str:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(random.uniform(0.0, 0.1)):
            await client.post(PATH, json=_body(model, stream=False))
            return "served"
    return "left"


async def _leave_within_the_stream(client: httpx2.AsyncClient, model: str) -> str:
    async with client.stream("POST", PATH, json=_body(model, stream=True)) as response:
        if response.status_code != 200:
            await response.aread()
            return _refused(response)
        async for _ in response.aiter_bytes():
            break
    return "left"


async def _bad_json(client: httpx2.AsyncClient, _: str) -> str:
    response = await client.post(PATH, content=b'{"model": "calm", "messages": [', headers={"content-type": "x/y"})
    return _refused(response)


def _refused(response: httpx2.Response) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.json()['error']['code']}"
    return f"{response.status_code} {response.content[:200]!r}"


_SERVED = frozenset({"served"})
_LEFT = frozenset({"left"})

KINDS = (
    Kind("whole", "calm", _whole, _SERVED),
    Kind("streamed", "calm", _stream, _SERVED),
    Kind("whole, 429 and 503 on the way", "limits", _whole, _SERVED),
    Kind("streamed, 429 and 503 on the way", "limits", _stream, _SERVED),
    Kind("whole, slow provider", "slow", _whole, _SERVED),
    Kind("streamed, slow provider", "slow", _stream, _SERVED),
    Kind("whole, provider cuts", "cut", _whole, _SERVED),
    # What was cut after content cannot move any more.
    Kind("streamed, provider cuts", "cut", _stream, frozenset({"served", "interrupted"})),
    Kind("streamed, provider hangs", "silent", _stream, _SERVED),
    Kind("whole, provider sends garbage", "garbage", _whole, _SERVED),
    Kind("streamed, provider sends garbage", "garbage", _stream, _SERVED),
    Kind("long stream", "long", _stream, _SERVED),
    Kind("long stream, read slowly", "long", _slowly, _SERVED),
    Kind("leaves before the answer", "left", _leave_before_the_answer, _LEFT | _SERVED),
    Kind("leaves within the stream", "left", _leave_within_the_stream, _LEFT),
    Kind("unknown model", "nobody", _whole, frozenset({"404 model_not_found", UNASKED}), clients=1),
    Kind("bad JSON", "", _bad_json, frozenset({"400 invalid_request"}), clients=1),
)


@contextlib.asynccontextmanager
async def asking(url: str) -> AsyncIterator[Tally]:
    """Clients of all kinds for the time of the block. At its end each finishes what it is at."""
    tally = Tally()
    over = asyncio.Event()

    async def go_on(client: httpx2.AsyncClient, kind: Kind) -> None:
        while not over.is_set():
            began_at = time.monotonic()
            try:
                outcome = await kind.ask(client, kind.model)
            except httpx2.HTTPError as error:
                outcome = repr(error)
            tally.count(kind, outcome, time.monotonic() - began_at)
            await asyncio.sleep(random.uniform(*PAUSE_S))

    transport = httpx2.AsyncHTTPTransport(
        socket_options=SMALL_BUFFER, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64)
    )
    async with (
        httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S, transport=transport) as client,
        asyncio.TaskGroup() as group,
    ):
        for kind in KINDS:
            for _ in range(kind.clients):
                group.create_task(go_on(client, kind))
        try:
            yield tally
        finally:
            over.set()
