"""Responses that a provider keeps: over two edges, one resolver and two providers that know only what they made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.support import canaries
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.faulty_upstream import Provider, provider, refuses
from tests.support.metrics import metrics
from tests.support.processes import PLAIN, Process, start_edge, start_resolver
from tests.support.setup import until
from tests.support.storing import Storing

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Arrangement:
    directory: Path
    config: Path
    stores: list[Storing]
    providers: list[Provider]
    resolver: Process
    proxy: ChaosProxy
    edges: list[Process]
    clients: list[httpx2.AsyncClient]

    async def make(self, model: str = "pool", edge: int = 0, **fields: object) -> httpx2.Response:
        body = {"model": model, "input": f"hello {canaries.PROMPT.value}", **fields}
        return await self._patiently(lambda: self.clients[edge].post("/v1/responses", json=body))

    async def _patiently(self, ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        """On a busy machine a resolver that is there may miss its deadline. That costs nothing upstream."""
        while True:
            response = await ask()
            is_away = response.status_code == 503 and "the resolver cannot be reached" in response.text
            if not is_away or self.resolver.told_to_stop:
                return response

    async def make_at(self, number: int, **fields: object) -> dict[str, Any]:
        """One that this provider has made: they take turns."""
        for _ in self.stores:
            response = await self.make(**fields)
            if self.maker(response) == number:
                return response.json()
        raise AssertionError("they do not take turns")

    async def get(self, path: str, edge: int = 0, **options: Any) -> httpx2.Response:
        return await self._patiently(lambda: self.clients[edge].get(f"/v1/responses/{path}", **options))

    @property
    def hits(self) -> list[int]:
        return [len(each.calls) for each in self.providers]

    def maker(self, response: httpx2.Response) -> int:
        """Which of the providers served."""
        return [store.name for store in self.stores].index(response.headers["x-forebay-target"].partition("/")[0])

    async def all_is_told(self) -> None:
        """Waits until the resolver has heard of everything."""

        async def is_acknowledged() -> bool:
            return all([(await metrics(edge))["forebay_reports_unacknowledged"] == 0 for edge in self.edges])

        await until(is_acknowledged)

    async def restart_resolver(self) -> None:
        assert await self.resolver.stop() == 0
        self.resolver = await _resolver(self.directory, self.config, self.resolver.address)

        async def are_ready() -> bool:
            return all([(await metrics(edge)).get("forebay_resolver_up") == 1 for edge in self.edges])

        await until(are_ready)


async def _resolver(directory: Path, config: Path, address: str = "127.0.0.1:0") -> Process:
    flags = ("--state-dir", str(directory / "state"), "--drain", "0", "--listen", address)
    return await start_resolver(config, *flags, errors=directory / "resolver.log", **canaries.ENVIRONMENT)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arrangement]:
    """For tests that leave everybody well."""
    directory = tmp_path_factory.mktemp("stored")
    async with arrangement(directory) as it:
        yield it
    assert canaries.found(directory) == []


@pytest.fixture
def it(standing: Arrangement) -> Arrangement:
    for each in standing.providers:
        each.calls.clear()
    return standing


@contextlib.asynccontextmanager
async def arrangement(directory: Path) -> AsyncIterator[Arrangement]:
    async with contextlib.AsyncExitStack() as stack:
        stores = [Storing("one"), Storing("two")]
        providers = [await stack.enter_async_context(provider(store)) for store in stores]
        served = [
            {
                "id": store.name,
                "dialect": "openai",
                "base-url": each.url,
                "models": ["m", "n"],
                "allow-private": True,
                "responses": True,
                "credentials": ["env:CANARY_API_KEY"],
            }
            for store, each in zip(stores, providers, strict=True)
        ]
        pools = [
            {"id": "pool", "members": [{"model": "m"}]},
            {"id": "only-two", "members": [{"provider": "two", "model": "n"}]},
        ]
        config = directory / "config" / "forebay.yaml"
        config.parent.mkdir()
        config.write_text(json.dumps({"providers": served, "model-pools": {"pools": pools}}))
        it = Arrangement(directory, config, stores, providers, await _resolver(directory, config), None, [], [])  # type: ignore[arg-type]
        it.proxy = await stack.enter_async_context(chaos_proxy(it.resolver.address))
        it.proxy.passed = bytearray()
        stack.push_async_callback(lambda: it.resolver.stop())
        for number in range(2):
            errors = directory / f"edge-{number}.log"
            edge = await start_edge(it.proxy.address, errors=errors, **canaries.ENVIRONMENT)
            stack.push_async_callback(edge.stop)
            client = await stack.enter_async_context(
                httpx2.AsyncClient(base_url=edge.address, timeout=20, verify=PLAIN)
            )
            client.headers["authorization"] = f"Bearer {canaries.CLIENT_KEY.value}"
            it.edges.append(edge)
            it.clients.append(client)
        yield it
        (directory / canaries.WIRE).write_bytes(it.proxy.passed)
    logs = "".join(path.read_text() for path in directory.glob("*.log"))
    assert "Traceback" not in logs
    written = logs.encode() + bytes(it.proxy.passed)
    written += b"".join(path.read_bytes() for path in (directory / "state").iterdir())
    assert b"resp_" not in written, "ids never leave the edge"


def refusal(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def events_of(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in content.split(b"\n") if line.startswith(b"data: ")]


async def test_what_goes_on_from_an_answer_reaches_its_maker_from_every_edge(it: Arrangement) -> None:
    for turn in range(4):
        made = await it.make(edge=turn % 2, stream=turn > 1)
        first = made.json() if turn < 2 else events_of(made.content)[-1]["response"]
        maker = it.stores[it.maker(made)].name
        assert first["id"].startswith(f"resp_{maker}_")
        # On the same edge at once, time after time; on the other as soon as the resolver has heard of it.
        latest = first["id"]
        for _ in range(3):
            response = await it.make(edge=turn % 2, previous_response_id=latest)
            assert response.status_code == 200, response.text
            assert response.headers["x-forebay-target"] == f"{maker}/m#0"
            latest = response.json()["id"]
            assert response.json()["model"] == "pool"

        async def other_edge_knows(latest: str = latest, turn: int = turn) -> bool:
            return (await it.get(latest, edge=1 - turn % 2)).status_code == 200

        await until(other_edge_knows)
        followed = await it.make(edge=1 - turn % 2, previous_response_id=latest)
        assert followed.headers["x-forebay-target"] == f"{maker}/m#0"


async def test_what_is_kept_is_told_taken_back_and_deleted(it: Arrangement) -> None:
    made = await it.make_at(0, model="POOL")
    got = await it.get(f"{made['id']}?include[]=reasoning.encrypted_content&key=client&x=")
    assert (got.status_code, got.json()) == (200, {**made, "model": "pool"})
    assert got.headers["x-forebay-target"] == "one/m#0"
    call = it.providers[0].calls[-1]
    assert (call.method, call.body) == ("GET", b"")
    assert call.path == f"/v1/responses/{made['id']}?include%5B%5D=reasoning.encrypted_content&x="
    assert call.headers["authorization"] == f"Bearer {canaries.PROVIDER_KEY.value}"
    assert "content-type" not in call.headers

    items = (await it.get(f"{made['id']}/input_items?limit=2")).json()
    assert (items["object"], items["data"][0]["role"]) == ("list", "user")
    assert it.providers[0].calls[-1].path.endswith("/input_items?limit=2")

    deleted = await it.clients[0].delete(f"/v1/responses/{made['id']}")
    assert deleted.json() == {"id": made["id"], "object": "response", "deleted": True}
    # The provider says so itself, in its own words.
    gone = await it.get(made["id"])
    assert (gone.status_code, gone.json()["error"]["message"]) == (
        404,
        f"Response with id '{made['id']}' not found.",
    )
    assert refusal(await it.make(previous_response_id=made["id"])) == (400, "previous_response_not_found")
    assert not [call for call in it.providers[1].calls if made["id"] in call.path]


async def test_what_is_made_in_the_background_is_polled_streamed_and_cancelled(it: Arrangement) -> None:
    made = (await it.make(background=True)).json()
    assert (made["status"], made["output"]) == ("queued", [])
    statuses = [(await it.get(made["id"])).json()["status"] for _ in range(2)]
    assert statuses == ["in_progress", "completed"]

    streamed = await it.get(f"{made['id']}?stream=true")
    assert streamed.headers["content-type"] == "text/event-stream"
    events = events_of(streamed.content)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_text.delta",
        "output_text.delta",
        "completed",
    ]
    assert {e["response"]["model"] for e in events if "response" in e} == {"pool"}
    rest = events_of((await it.get(f"{made['id']}?stream=true&starting_after=2")).content)
    assert [event["sequence_number"] for event in rest] == [3, 4]

    other = await it.make_at(1, background=True)
    cancelled = await it.clients[0].post(f"/v1/responses/{other['id']}/cancel")
    assert (cancelled.json()["status"], cancelled.json()["model"]) == ("cancelled", "pool")
    call = it.providers[1].calls[-1]
    assert (call.method, call.body, call.headers["content-length"]) == ("POST", b"", "0")


async def test_only_the_key_that_it_was_made_for_finds_it(it: Arrangement) -> None:
    made = (await it.make()).json()
    for headers in ({"authorization": "Bearer another"}, {"authorization": ""}):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            url = f"/v1/responses/{made['id']}{path}"
            assert refusal(await it.clients[0].request(method, url, headers=headers)) == (404, "response_not_found")
    assert sum(it.hits) == 1
    mine = {"authorization": "", "x-api-key": canaries.CLIENT_KEY.value}
    assert (await it.get(made["id"], headers=mine)).status_code == 200, "wherever it is shown"


async def test_what_nobody_made_is_not_found_and_asked_of_nobody(it: Arrangement) -> None:
    for odd in ("resp_nobody", "..", "%2e%2e", "a%2Fb", "x" * 300, "%F0%9F%98%80", "a%0Ab"):
        response = await it.clients[0].get(httpx2.URL(f"{it.edges[0].address}/v1/responses/{odd}/input_items"))
        assert response.status_code == 404, odd
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert it.hits == [0, 0]


async def test_a_name_that_does_not_lead_to_its_maker_is_told_so(it: Arrangement) -> None:
    made = await it.make_at(0)
    response = await it.make(model="only-two", previous_response_id=made["id"])
    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "model"
    assert "'only-two' does not lead to the provider that made" in response.json()["error"]["message"]
    # Another model of its provider, with the same credential, knows it.
    other = await it.make_at(1)
    assert (await it.make(model="only-two", previous_response_id=other["id"])).status_code == 200


async def test_while_its_maker_is_out_it_moves_nowhere(tmp_path: Path) -> None:
    async with arrangement(tmp_path) as it:
        made = (await it.make()).json()
        it.providers[0].script = refuses(429, retry_after="60")
        limited = await it.make(previous_response_id=made["id"])
        assert (limited.status_code, limited.headers["x-forebay-attempts"]) == (429, "1")
        again = await it.make(previous_response_id=made["id"])
        assert (again.status_code, again.json()["error"]["code"]) == (429, "rate_limited")
        assert 50 < int(again.headers["retry-after"]) <= 60
        assert it.hits == [2, 0]
        # What was made before can be asked for all the same, and a failure of that cools nobody.
        it.providers[0].script = refuses(500)
        for _ in range(6):
            assert (await it.get(made["id"])).status_code == 500
        it.providers[0].script = refuses(401)
        assert refusal(await it.get(made["id"])) == (502, "upstream_credentials")
        it.providers[0].script = it.stores[0]
        assert (await it.get(made["id"])).status_code == 200
        assert "forebay_failovers_total" not in "".join(await metrics(it.edges[0]))


async def test_what_is_not_stored_is_bound_to_nobody(it: Arrangement) -> None:
    made = (await it.make(store=False)).json()
    assert refusal(await it.get(made["id"])) == (404, "response_not_found")
    # Nor is what goes on from it: whoever's turn it is says that it does not know it.
    response = await it.make(previous_response_id=made["id"])
    assert refusal(response) == (400, "previous_response_not_found")
    assert it.hits == [1, 1]


async def test_what_is_bound_outlives_the_resolver(tmp_path: Path) -> None:
    async with arrangement(tmp_path) as it:
        made = [(await it.make()).json()["id"] for _ in range(4)]
        await it.all_is_told()
        await it.restart_resolver()
        for number, response_id in enumerate(made):
            for edge in (0, 1):
                followed = await it.make(edge=edge, previous_response_id=response_id)
                assert followed.headers["x-forebay-target"] == f"{it.stores[number % 2].name}/m#0"
                assert (await it.get(response_id, edge=edge)).json()["model"] == "pool"


async def test_while_no_resolver_can_be_asked_nobody_guesses(tmp_path: Path) -> None:
    async with arrangement(tmp_path) as it:
        made = (await it.make()).json()
        assert (await it.make(previous_response_id=made["id"])).status_code == 200
        assert await it.resolver.stop() == 0
        before = it.hits
        assert refusal(await it.make(previous_response_id=made["id"])) == (503, "unavailable")
        assert refusal(await it.get(made["id"])) == (503, "unavailable")
        assert it.hits == before
        # One is made from a remembered plan, and is found when there is a resolver again.
        stale = await it.make()
        assert (stale.status_code, stale.headers["x-forebay-stale"]) == (200, "1")
        await it.restart_resolver()
        maker = stale.headers["x-forebay-target"]

        async def is_known() -> bool:
            return (await it.get(stale.json()["id"])).status_code == 200

        await until(is_known)
        followed = await it.make(previous_response_id=stale.json()["id"])
        assert followed.headers["x-forebay-target"] == maker
