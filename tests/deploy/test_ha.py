"""The profile `ha` of docker-compose.yml with a real engine, asked all the time while each of its parts is killed,
paused and restarted."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest
import pytest_asyncio

from tests.deploy.deploying import KEY, MANAGEMENT_KEY, STORE_PASSWORD, Deployment, deploy, eventually
from tests.support.load import CLIENTS, Load, load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

WEIGHTS = {"p0": 3, "p1": 2, "p2": 1}
RESOLVERS, EDGES = ("resolver-1", "resolver-2"), ("edge-1", "edge-2", "edge-3")
PAUSE_S = 0.2
"""Between two requests of a client: nine containers share a machine with the tests."""
PAUSED_S = 4.0
NOTICED_S = 3.0
"""What the front takes, at most, to find that an edge is back, or away."""

CONFIG = "\n".join(
    (
        "providers:",
        *(
            f"  - {{id: {name}, dialect: openai, base-url: http://provider:8080/{name}, models: [m],"
            " credentials: [env:OPENAI_API_KEY], allow-private: true}"
            for name in WEIGHTS
        ),
        "model-pools:",
        "  pools:",
        "    - id: pool",
        "      strategy: round-robin",
        "      members:",
        *(f"        - {{provider: {name}, model: m, weight: {weight}}}" for name, weight in WEIGHTS.items()),
        "",
    )
)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("config"), CONFIG, request, "--profile", "ha") as services:
        # What the resolvers write in its place can be read by whoever could read it.
        (services.config / "forebay.yaml").chmod(0o664)
        services.config.chmod(0o775)
        yield services


def seen(it: Deployment) -> Counter[str]:
    """How many chats began at each provider."""
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/seen').read().decode())"
    return Counter(json.loads(it.execute("provider", "python", "-c", ask)))


def names_at(it: Deployment, edge: str) -> set[str]:
    """What one edge offers."""
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8400/v1/models').read().decode())"
    return {model["id"] for model in json.loads(it.execute(edge, "python", "-c", ask))["data"]}


def metrics_of(it: Deployment, service: str) -> str:
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8403/metrics').read().decode())"
    return it.execute(service, "python", "-c", ask)


def are_together(it: Deployment) -> bool:
    return all("forebay_store_up 1.0" in metrics_of(it, resolver) for resolver in RESOLVERS)


def add_pool(it: Deployment, pool: str) -> str:
    """Through the front; what it is answered."""
    response = httpx2.patch(
        f"http://127.0.0.1:{it.port}/v0/management/model-pools/pool",
        json={"id": pool, "members": [{"provider": "p0", "model": "m"}]},
        headers={"x-management-key": MANAGEMENT_KEY},
        timeout=20,
        trust_env=False,
    )
    return f"{response.status_code} {response.text}"


@pytest_asyncio.fixture
async def asked(deployed: Deployment) -> Deployment:
    """All of it is up."""
    await asyncio.to_thread(eventually, lambda: are_together(deployed), "both resolvers have the store")
    return deployed


def losses(it: Deployment) -> list[str]:
    """How often each resolver has lost the store."""
    return [
        line
        for resolver in RESOLVERS
        for line in metrics_of(it, resolver).splitlines()
        if line.startswith(("forebay_store_losses_total", "forebay_store_up"))
    ]


async def ask_sixty(it: Deployment) -> Counter[str]:
    """Half of them streams, eight at a time; whom they came to."""
    before = await asyncio.to_thread(seen, it)
    body = {"model": "pool", "messages": [{"role": "user", "content": "hello"}]}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{it.port}", timeout=20) as client:
        few = asyncio.Semaphore(8)

        async def ask(number: int) -> None:
            async with few:
                response = await client.post("/v1/chat/completions", json={**body, "stream": number % 2 == 1})
                assert response.status_code == 200, response.text

        await asyncio.gather(*(ask(number) for number in range(60)))
    return await asyncio.to_thread(seen, it) - before


async def shares_are_exact(it: Deployment) -> None:
    """Whichever edges and resolvers the requests go through, as long as the store is there: a busy machine may keep it
    from answering in time, and then they are counted again."""
    for _ in range(10):
        await asyncio.to_thread(eventually, lambda: are_together(it), "both resolvers have the store")
        before = await asyncio.to_thread(losses, it)
        shares = await ask_sixty(it)
        if await asyncio.to_thread(losses, it) == before:
            assert shares == Counter({name: weight * 10 for name, weight in WEIGHTS.items()})
            return
    raise AssertionError("the store was never there for sixty requests")


async def happens(it: Deployment, part: str, how: str, clients: Load) -> float:
    """Kills, pauses or restarts a container, and has it back. When it had gone, on the monotonic clock."""
    if how == "killed":
        await asyncio.to_thread(it.compose, "kill", part)
        gone_at = time.monotonic()
        await clients.progress(100)
        await asyncio.to_thread(it.compose, "start", part)
    elif how == "paused":
        await asyncio.to_thread(it.compose, "pause", part)
        gone_at = time.monotonic()
        await asyncio.sleep(PAUSED_S)
        await asyncio.to_thread(it.compose, "unpause", part)
    else:
        await asyncio.to_thread(it.compose, "restart", part)
        gone_at = time.monotonic()
    return gone_at


@pytest.mark.parametrize("how", ["killed", "paused", "restarted"])
@pytest.mark.parametrize("part", ["store", *RESOLVERS])
async def test_a_store_or_a_resolver_is_missed_by_no_client(asked: Deployment, part: str, how: str) -> None:
    it, pool = asked, f"{part}-{how}"
    before = await asyncio.to_thread(seen, it)
    async with load(f"http://127.0.0.1:{it.port}", "pool", pause_s=PAUSE_S) as clients:
        await clients.progress(50)
        changing = asyncio.create_task(asyncio.to_thread(add_pool, it, pool))
        await happens(it, part, how, clients)
        await clients.progress(100)
        # Only an answer says that a change was made; without one it is looked for, and made again.
        if not (answer := await changing).startswith("200"):
            assert answer.startswith("503"), answer
            await asyncio.to_thread(eventually, lambda: add_pool(it, pool).startswith("200"), "the change is taken")
    assert not clients.errors
    assert sum((await asyncio.to_thread(seen, it) - before).values()) == clients.served == clients.requests
    for edge in EDGES:
        await asyncio.to_thread(eventually, lambda e=edge: pool in names_at(it, e), f"{edge} knows of the change")  # type: ignore[misc]
    await shares_are_exact(it)


@pytest.mark.parametrize("how", ["killed", "paused", "restarted"])
@pytest.mark.parametrize("part", EDGES)
async def test_an_edge_takes_nothing_with_it_but_what_it_was_serving(asked: Deployment, part: str, how: str) -> None:
    it = asked
    before = await asyncio.to_thread(seen, it)
    async with load(f"http://127.0.0.1:{it.port}", "pool", pause_s=PAUSE_S) as clients:
        await clients.progress(50)
        gone_at = await happens(it, part, how, clients)
        failed = list(clients.failed)
        await asyncio.sleep(NOTICED_S)
        assert clients.failed == failed, clients.errors
    if how == "killed":
        assert len(clients.failed) <= CLIENTS, clients.errors
        assert all(began_at < gone_at for began_at in clients.failed), "the front sent it a request that it never got"
    else:
        assert not clients.errors, "one that stops, or only pauses, finishes what it has begun"
    calls = sum((await asyncio.to_thread(seen, it) - before).values())
    assert clients.served <= calls <= clients.requests
    await shares_are_exact(it)


async def test_a_stream_is_not_held_back_by_the_front(asked: Deployment) -> None:
    body = {"model": "pool", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{asked.port}", timeout=20) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        pieces = [piece async for piece in response.aiter_raw()]
    assert len([piece for piece in pieces if b"piece" in piece]) > 1, "it came at once"


async def test_a_client_that_leaves_the_front_leaves_the_provider(asked: Deployment) -> None:
    body = {"model": "pool", "messages": [{"role": "user", "content": "wait"}]}
    left = seen(asked)["left"]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{asked.port}", timeout=1) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/v1/chat/completions", json=body)
    await asyncio.to_thread(eventually, lambda: seen(asked)["left"] == left + 1, "the provider is left", 5.0)


def test_each_secret_is_where_it_is_needed(deployed: Deployment) -> None:
    services = (*RESOLVERS, *EDGES, "store", "front")
    shown = {service: json.dumps(deployed.inspect(service)) for service in services}
    for secret, known_to in (
        (KEY, EDGES),
        (MANAGEMENT_KEY, RESOLVERS),
        (STORE_PASSWORD, (*RESOLVERS, "store")),
        ("/etc/forebay", RESOLVERS),
    ):
        assert {service for service in services if secret in shown[service]} == set(known_to), secret
    stranger = deployed.execute("store", "sh", "-c", "unset REDISCLI_AUTH; valkey-cli get x")
    assert "NOAUTH" in stranger
    assert STORE_PASSWORD not in deployed.compose("logs")


@pytest.mark.parametrize("service", [*RESOLVERS, *EDGES, "store", "front"])
def test_nobody_has_more_than_it_needs(deployed: Deployment, service: str) -> None:
    inspected = deployed.inspect(service)
    host, networks = inspected["HostConfig"], inspected["NetworkSettings"]["Networks"]
    assert inspected["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert bool(host["PortBindings"]) == (service == "front")
    expected = {"store": {"store"}, "front": {"outside"}}.get(
        service, {"control", "store"} if service in RESOLVERS else {"control", "outside"}
    )
    assert {name.removeprefix(f"{deployed.project}_") for name in networks} == expected


def test_what_was_acknowledged_is_on_disk(deployed: Deployment) -> None:
    said = deployed.execute("store", "valkey-cli", "config", "get", "append*").split()
    assert (
        dict(zip(said[::2], said[1::2], strict=True)).items() >= {"appendonly": "yes", "appendfsync": "always"}.items()
    )
    for resolver in RESOLVERS:
        lines = deployed.compose("logs", "--no-color", "--no-log-prefix", resolver).splitlines()
        connected = [json.loads(line[line.index("{") :]) for line in lines if '"store_connected"' in line]
        assert connected
        assert all(line["is_durable"] for line in connected)
