"""One pair of services for many tests: to start one costs more than most faults take.

Each test takes a slot of its own: providers with scripts, and the pools `NAME` (with the model `m`) and `NAME-n` (with
`n`) over them. Slots share neither targets nor credentials, so that a cool-down in one is not seen in another. Slots
are used in turn, and their cool-downs are cleared before they are used again. Every secret is a canary, and all output
of the tests is kept as files, to be searched for canaries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2

from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb
from forebay.resolver.v1 import pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.support import canaries
from tests.support.chaos_proxy import chaos_proxy
from tests.support.faulty_upstream import Provider, Script, provider
from tests.support.metrics import exposition, metrics, operations_of
from tests.support.processes import Process, start_edge, start_resolver
from tests.support.setup import until

KEYS = ("env:CANARY_API_KEY", "env:CANARY_API_KEY_2")

HASTY = {"timeouts": {"connect": "300ms", "headers": "500ms", "first-content": "600ms", "idle": "600ms"}}
"""The policy of members that do not get much time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of slots."""

    count: int
    members: int = 3
    hasty: int = 0
    """So many of the first members have short time limits."""
    policy: Mapping[str, object] = field(default_factory=dict)
    keys: int = 1
    """Credentials of each provider."""


KINDS: Mapping[str, Kind] = {
    "plain": Kind(60),
    "hasty": Kind(20, hasty=1),
    "hasty twice": Kind(4, hasty=2),
    "brief": Kind(2, policy={"timeouts": {"total": "800ms"}}),
    "long": Kind(2, members=7),
    "with two keys": Kind(6, members=2, keys=2),
    "for longer contexts": Kind(2, policy={"failover": {"also": ["context-length"]}}),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A target as the resolver explains it."""

    available: bool
    reason: str
    retry_after_s: float


@dataclass
class Slot:
    name: str
    providers: list[Provider]
    """The providers that a script was given for."""
    standing: Standing
    was_taken: bool = False

    def target(self, number: int = 0, model: str = "m", key: int = 0) -> str:
        return f"{self.name}-p{number}/{model}#{key}"

    async def chat(self, model: str = "m", *, seen: asyncio.Event | None = None, **fields: object) -> httpx2.Response:
        """`seen` is set once the client has got the first of the answer."""
        name = self.name if model == "m" else f"{self.name}-{model}"
        return await self.standing.chat(name, seen=seen, **fields)

    @property
    def hits(self) -> list[int]:
        """How many calls each provider got that was given a script."""
        return [len(each.calls) for each in self.providers]

    async def explain(self, model: str = "m") -> dict[str, Seen]:
        """By target."""
        return await self.standing.explain(self.name if model == "m" else f"{self.name}-{model}")

    async def cools(self, reason: str, seconds: float, target: str = "", model: str = "m") -> None:
        """Waits until the resolver has been told, and asserts for how long the target cools, and why."""
        target = target or self.target()

        async def is_out() -> bool:
            return not (await self.explain(model))[target].available

        await until(is_out)
        seen = (await self.explain(model))[target]
        assert seen.reason == f"cooling: {reason}"
        assert seconds - 5 <= seen.retry_after_s <= seconds

    async def cools_not(self, target: str = "") -> None:
        """Asserts that the target is well, once all that was reported has been applied."""
        # Reports are applied in their order, and before what is asked for after them.
        assert (await self.standing.chat("nothing-of-this-name")).status_code == 404
        assert (await self.explain())[target or self.target()].available


@dataclass
class Standing:
    directory: Path
    resolver: Process
    edge: Process
    client: httpx2.AsyncClient
    explainer: Any
    admin: Any
    slots: dict[str, deque[Slot]] = field(default_factory=dict)
    wire: bytearray = field(default_factory=bytearray)
    elsewhere: dict[str, Slot] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.edge.address.rpartition(":")[2])

    async def slot(self, *scripts: Script, kind: str = "plain") -> Slot:
        """The slot of this kind that was used the longest ago."""
        self.slots[kind].rotate(-1)
        return await self._made_new(self.slots[kind][-1], scripts)

    async def exactly(self, *scripts: Script) -> Slot:
        """A slot with exactly these members."""
        return await self.slot(*scripts, kind=f"of {len(scripts)}")

    async def another(self, place: str, *scripts: Script) -> Slot:
        """The slot that begins with a provider elsewhere."""
        return await self._made_new(self.elsewhere[place], scripts)

    async def _made_new(self, slot: Slot, scripts: Sequence[Script]) -> Slot:
        if slot.was_taken:
            for target in await self.explain(slot.name) | await self.explain(f"{slot.name}-n"):
                request = admin_pb.ClearCooldownRequest(target_id=target)
                await self.admin.ClearCooldown(request, timeout=20.0, metadata=(*_token(), _MANAGEMENT_KEY))
        slot.was_taken = True
        for each, script in zip_longest(slot.providers, scripts, fillvalue=never_asked):
            each.script = script
            each.calls.clear()
        return replace(slot, providers=slot.providers[: len(scripts)])

    async def chat(self, model: str, *, seen: asyncio.Event | None = None, **fields: object) -> httpx2.Response:
        """`seen` is set once the client has got the first of the answer."""
        messages = [{"role": "user", "content": f"hello {canaries.PROMPT.value}"}]
        request = self.client.build_request(
            "POST",
            "/v1/chat/completions",
            json={"model": model, "messages": messages, **fields},
            headers={"authorization": f"Bearer {canaries.CLIENT_KEY.value}"},
        )
        coming = await self.client.send(request, stream=True)
        content = b""
        async for part in coming.aiter_raw():
            content += part
            if seen is not None:
                seen.set()
        await coming.aclose()
        response = httpx2.Response(coming.status_code, headers=coming.headers, content=content, request=request)
        self.answered(repr(response.headers.raw).encode() + response.content)
        return response

    def answered(self, answer: bytes) -> None:
        """Keeps what a client got."""
        with (self.directory / canaries.ANSWERS).open("ab") as file:
            file.write(answer + b"\n")

    async def explain(self, name: str) -> dict[str, Seen]:
        request = pb.ExplainRequest(request=pb.ResolveRequest(model=name, will_report=True))
        response = await self.explainer.Explain(request, timeout=20.0, metadata=_token())
        return {t.target_id: Seen(t.available, t.reason, t.retry_after_ms / 1000) for t in response.targets}

    async def metrics(self) -> dict[str, float]:
        """Of the edge."""
        return await metrics(self.edge)

    async def requests(self, ids: set[str]) -> dict[str, dict[str, Any]]:
        """The log lines of these requests, by their ids, once all of them are there."""
        found: dict[str, dict[str, Any]] = {}

        async def are_there() -> bool:
            # The last one may not have been written in full, and not all of them are the service's own.
            whole = self.edge.errors.read_text().rpartition("\n")[0].splitlines()
            lines = (json.loads(line) for line in whole if '"event":"request"' in line)
            found.update({line["request_id"]: line for line in lines})
            return ids <= found.keys()

        await until(are_there)
        return {each: found[each] for each in ids}

    async def keep_artefacts(self) -> None:
        """Writes down what is not a file yet."""
        (self.directory / canaries.WIRE).write_bytes(self.wire)
        for name, process in (("edge", self.edge), ("resolver", self.resolver)):
            if operations_of(process):
                (self.directory / f"{name}-metrics.txt").write_text(await exposition(process))


def _token() -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {canaries.TOKEN.value}"),)


_MANAGEMENT_KEY = ("x-management-key", canaries.MANAGEMENT_KEY.value)


async def never_asked(connection: object) -> None:
    raise AssertionError("a provider was asked that nobody had a script for")


@contextlib.asynccontextmanager
async def standing(
    directory: Path, elsewhere: Mapping[str, str], kinds: Mapping[str, Kind] = KINDS, **environment: str
) -> AsyncIterator[Standing]:
    """`elsewhere` are URLs of providers that are not scripted. For each there is a slot with this URL as the first
    member, and the only one for the model `n`."""
    async with contextlib.AsyncExitStack() as stack:
        it = Standing(directory, None, None, None, None, None)  # type: ignore[arg-type] # Filled in below.
        providers: list[dict[str, object]] = []
        pools: list[dict[str, object]] = []

        async def add(name: str, kind: Kind, *elsewhere: str) -> Slot:
            slot = Slot(name, [], it)
            urls = [*elsewhere]
            while len(urls) < kind.members:
                slot.providers.append(await stack.enter_async_context(provider(never_asked)))
                urls.append(slot.providers[-1].url)
            ids = [f"{name}-p{number}" for number in range(len(urls))]
            for owner, url in zip(ids, urls, strict=True):
                served = {
                    "id": owner,
                    "dialect": "openai",
                    "base-url": url,
                    "models": ["m", "n"],
                    "allow-private": True,
                }
                providers.append({**served, "credentials": KEYS[: kind.keys]})
            for model, pool in (("m", name), ("n", f"{name}-n")):
                members = [
                    {"provider": owner, "model": model, "priority": number}
                    | ({"policy": HASTY} if number < kind.hasty else {})
                    for number, owner in enumerate(ids)
                ]
                if elsewhere and model == "n":
                    del members[1:]
                pools.append({"id": pool, "strategy": "priority", "policy": kind.policy, "members": members})
            return slot

        for number, (name, kind) in enumerate(kinds.items()):
            it.slots[name] = deque([await add(f"s{number}-{count}", kind) for count in range(kind.count)])
        for number, (name, url) in enumerate(elsewhere.items()):
            it.elsewhere[name] = await add(f"e{number}", Kind(1, hasty=1), url)

        config = directory / "config" / "forebay.yaml"
        config.parent.mkdir()
        config.write_text(json.dumps({"providers": providers, "model-pools": {"pools": pools}}))  # JSON is YAML.
        secrets = {**canaries.ENVIRONMENT, **environment}
        state = ("--state-dir", str(directory / "state"))
        it.resolver = await start_resolver(config, *state, errors=directory / "resolver.log", **secrets)
        stack.push_async_callback(it.resolver.stop)
        proxy = await stack.enter_async_context(chaos_proxy(it.resolver.address))
        proxy.passed = it.wire
        it.edge = await start_edge(proxy.address, errors=directory / "edge.log", **secrets)
        stack.push_async_callback(it.edge.stop)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(it.resolver.address))
        it.explainer = resolver_service_pb2_grpc.ResolverServiceStub(channel)
        it.admin = pool_admin_service_pb2_grpc.PoolAdminServiceStub(channel)
        it.client = await stack.enter_async_context(httpx2.AsyncClient(base_url=it.edge.address, timeout=20))
        yield it
        await it.keep_artefacts()
    assert "Traceback" not in it.edge.errors.read_text() + it.resolver.errors.read_text()
