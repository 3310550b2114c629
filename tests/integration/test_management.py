"""The management API over both services: a change is in effect when it is answered, and only the key makes one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from edge_service.adapters.http.management_operations import OPERATIONS
from resolver_service.domain.failed_keys import MOST
from tests.support import canaries
from tests.support.faulty_upstream import says
from tests.support.processes import start_edge
from tests.support.setup import Setup, setup, until

KEY = {"x-management-key": canaries.MANAGEMENT_KEY.value}
EDITS = {"FOREBAY_RESOLVER_ALLOW_PROVIDER_EDITS": "1"}
MANAGEMENT = "/v0/management"


@contextlib.asynccontextmanager
async def managed(directory: Path, *upstreams: str, **environment: str) -> AsyncIterator[Setup]:
    """Two providers that say who they are, in one pool, by priority."""
    scripts = [says(word) for word in (upstreams or ("first", "second"))]
    async with setup(directory, *scripts, **{**canaries.ENVIRONMENT, **environment}) as it:

        async def is_ready() -> bool:
            return (await it.client.get("/readyz")).status_code == 200

        await until(is_ready)
        yield it


async def target(it: Setup, model: str) -> str:
    response = await it.chat(model)
    assert response.status_code == 200, response.text
    return response.headers["x-forebay-target"]


def client(it: Setup, host: str = "127.0.0.1") -> httpx2.AsyncClient:
    """From an address of its own."""
    transport = httpx2.AsyncHTTPTransport(local_address=host)
    return httpx2.AsyncClient(transport=transport, base_url=f"{it.services.url}{MANAGEMENT}", timeout=20)


async def test_what_is_changed_is_in_effect_when_it_is_answered(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        assert await target(it, "pool") == "p0/m#0"
        pool = {"id": "pool", "strategy": "priority", "members": [{"provider": "p1", "model": "m"}]}
        for provider in ("p1", "p0") * 5:
            pool["members"] = [{"provider": provider, "model": "m"}]
            assert (await manager.patch("/model-pools/pool", json=pool)).json() == {"status": "ok"}
            assert await target(it, "pool") == f"{provider}/m#0"
        cluster = {"id": "fast", "members": [{"pool": "pool"}]}
        assert (await manager.patch("/model-pools/cluster", json=cluster)).status_code == 200
        assert await target(it, "FAST") == "p0/m#0"
        in_use = await manager.delete("/model-pools/pool?id=pool")
        assert (in_use.status_code, "chat" in in_use.text, "fast" in in_use.text) == (409, True, True)
        assert (await manager.delete("/model-pools/cluster?id=fast")).status_code == 200
        assert (await it.chat("fast")).status_code == 404
        assert "fast" not in it.config.read_text()


async def test_what_is_read_can_be_written_back(tmp_path: Path) -> None:
    async with managed(tmp_path, **EDITS) as it, client(it) as manager:
        manager.headers.update(KEY)
        for path in ("/model-pools", "/providers"):
            read = await manager.get(path)
            assert read.status_code == 200
            etag = read.headers["etag"]
            written = await manager.put(path, json=read.json(), headers={"if-match": etag})
            assert (written.status_code, written.headers["etag"]) == (200, etag)
        assert {"enabled", "default-strategy", "pools", "clusters"} >= (await manager.get("/model-pools")).json().keys()


async def test_of_two_who_start_from_the_same_one_is_told(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        etag = (await manager.get("/model-pools")).headers["etag"]

        async def add(name: str) -> int:
            cluster = {"id": name, "members": [{"pool": "pool"}]}
            head = {"if-match": etag, "x-forebay-author": name}
            return (await manager.patch("/model-pools/cluster", json=cluster, headers=head)).status_code

        assert sorted(await asyncio.gather(*(add(name) for name in ("ann", "bob", "cid")))) == [200, 412, 412]
        clusters = (await manager.get("/model-pools")).json()["clusters"]
        winner = (await manager.get("/revisions?page-size=1")).json()["revisions"][0]["author"]
        assert [each["id"] for each in clusters] == ["chat", winner]


async def test_an_invalid_change_changes_nothing_and_is_told_in_full(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        before = it.config.read_text()
        bad = {"pools": [{"id": "x", "members": [{"provider": "p9", "model": "m"}]}], "clusterz": []}
        response = await manager.put("/model-pools", json=bad)
        assert (response.status_code, response.json()["error"]) == (400, "invalid configuration")
        paths = {mistake["path"] for mistake in response.json()["errors"]}
        assert paths == {"model-pools.clusterz", "model-pools.pools[0].members[0].provider"}
        only = await manager.put("/model-pools?validate-only=true", json={"enabled": False})
        assert only.status_code == 200
        assert it.config.read_text() == before
        assert await target(it, "pool") == "p0/m#0"


async def test_a_rollback_is_in_effect_at_once(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        assert (await manager.put("/model-pools", json={"enabled": False})).status_code == 200
        assert (await it.chat("pool")).status_code == 404
        newest = (await manager.get("/revisions")).json()["revisions"]
        rolled = await manager.post(f"/revisions/{newest[1]['revision']}/rollback", headers={"x-forebay-author": "ann"})
        assert rolled.json() == {"status": "ok", "revision": newest[0]["revision"] + 1}
        assert await target(it, "pool") == "p0/m#0"
        listed = (await manager.get("/revisions?page-size=1")).json()
        assert (listed["revisions"][0]["author"], listed["next-before"]) == ("ann", rolled.json()["revision"])
        assert (await manager.post("/revisions/99/rollback")).json() == {"error": "revision not found"}


async def test_providers_are_locked_unless_the_resolver_says_otherwise(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        assert (await manager.get("/providers")).status_code == 200
        refused = await manager.delete("/providers/provider?id=p1")
        assert (refused.status_code, "--allow-provider-edits" in refused.text) == (403, True)


async def test_providers_can_be_changed_where_they_are_not_locked(tmp_path: Path) -> None:
    async with managed(tmp_path, **EDITS) as it, client(it) as manager:
        manager.headers.update(KEY)
        provider = (await manager.get("/providers")).json()[1]
        added = {**provider, "id": "p2", "models": ["new"]}
        assert (await manager.patch("/providers/provider", json=added)).status_code == 200
        assert await target(it, "new") == "p2/new#0"
        assert (await manager.delete("/providers/provider?id=p2")).status_code == 200
        assert (await it.chat("new")).status_code == 404
        assert (await manager.delete("/providers/provider?id=p1")).status_code == 400, "the pool needs it"


async def test_a_target_is_drained_seen_and_put_back(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        manager.headers.update(KEY)
        for path, serves in (("drain", "p1/m#0"), ("undrain", "p0/m#0"), ("clear", "p0/m#0")):
            assert (await manager.post(f"/targets/p0%2Fm%230/{path}")).json() == {"status": "ok"}
            assert await target(it, "pool") == serves
            states = {each["id"]: each["state"] for each in (await manager.get("/status")).json()["targets"]}
            assert states["p0/m#0"] == ("drained" if path == "drain" else "ready")
        assert (await manager.post("/targets/p0/x%230/drain")).json() == {"error": "target not found"}
        explained = (await manager.post("/explain", json={"model": "chat"})).json()
        assert (explained["kind"], explained["plan"]["targets"]) == ("cluster", ["p0/m#0", "p1/m#0"])
        unknown = await manager.post("/explain", json={"model": "chta"})
        assert (unknown.status_code, "chat" in unknown.json()["error"]) == (404, True)


async def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        it.config.chmod(0o400)
        response = await manager.put("/model-pools", json={}, headers=KEY)
        assert (response.status_code, "read-only" in response.json()["error"]) == (409, True)


async def test_nothing_but_the_key_opens_any_route(tmp_path: Path) -> None:
    """Neither a client's key nor the services' token, wherever it is shown."""
    routes = [(o.method, o.path.format(n="1", id="p0/m%230")) for o in OPERATIONS] + [("GET", "/openapi.json")]
    async with managed(tmp_path) as it:
        for number, (method, path) in enumerate(routes):
            # From one address no more than five may fail.
            async with client(it, f"127.0.1.{number + 1}") as stranger:
                for head in (
                    {},
                    {"authorization": f"Bearer {canaries.TOKEN.value}"},
                    {"x-management-key": canaries.TOKEN.value},
                    {"authorization": f"Bearer {canaries.CLIENT_KEY.value}"},
                    {"x-api-key": canaries.MANAGEMENT_KEY.value, "x-goog-api-key": canaries.MANAGEMENT_KEY.value},
                    {"x-management-key": canaries.MANAGEMENT_KEY.value[:-1]},
                ):
                    response = await stranger.request(method, f"{path}?key=1", headers=head, content=b"{")
                    assert (response.status_code, response.json()) == (401, {"error": "invalid management key"})
        assert await target(it, "pool") == "p0/m#0"


async def test_five_wrong_keys_close_the_door_to_an_address_and_to_no_other(tmp_path: Path) -> None:
    """By whichever edges it comes, at once too."""
    async with managed(tmp_path) as it, client(it, "127.0.2.1") as guesser, client(it, "127.0.2.2") as other:
        edge = await start_edge(it.services.resolver.address, errors=tmp_path / "other.log", **canaries.ENVIRONMENT)

        async def is_ready() -> bool:
            return (await other.get(f"{edge.address}/readyz")).status_code == 200

        try:
            await until(is_ready)
            doors = [f"{url}{MANAGEMENT}/status" for url in (it.services.url, edge.address)]
            guesses = [
                guesser.get(door, headers={"x-management-key": f"guess {n}"}) for n in range(MOST) for door in doors
            ]
            statuses = [response.status_code for response in await asyncio.gather(*guesses)]
            assert sorted(statuses) == [401] * MOST + [429] * MOST
            for door in doors:
                for head in (KEY, {}):
                    refused = await guesser.get(door, headers=head)
                    assert refused.status_code == 429
                    assert 1 <= int(refused.headers["retry-after"]) <= 60
                assert (await other.get(door, headers=KEY)).status_code == 200
        finally:
            await edge.stop()


async def test_without_a_key_there_is_no_such_api(tmp_path: Path) -> None:
    async with managed(tmp_path, FOREBAY_MANAGEMENT_KEY="") as it, client(it) as manager:
        for head in ({}, KEY):
            for method, path in (("GET", "/model-pools"), ("PUT", "/model-pools"), ("GET", "/nothing")):
                response = await manager.request(method, path, headers=head)
                assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


async def test_without_a_resolver_the_answer_is_503_at_once(tmp_path: Path) -> None:
    async with managed(tmp_path) as it, client(it) as manager:
        await it.services.resolver.stop()
        response = await manager.put("/model-pools", json={}, headers=KEY)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"


async def test_a_page_in_a_browser_may_call_models_and_manages_nothing(tmp_path: Path) -> None:
    page = "https://app.example.com"
    async with managed(tmp_path, FOREBAY_EDGE_CORS_ORIGINS=page) as it:
        ask = {"origin": page, "access-control-request-method": "POST"}
        preflight = await it.client.options("/v1/chat/completions", headers=ask)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, page)
        assert "content-length" not in preflight.headers
        body = {"model": "chat", "messages": [], "stream": True}
        async with it.client.stream("POST", "/v1/chat/completions", json=body, headers=ask) as response:
            assert response.headers["access-control-allow-origin"] == page
            assert "x-forebay-target" in response.headers["access-control-expose-headers"]
            assert (await response.aread()).rstrip().endswith(b"data: [DONE]")
        wrong = await it.client.post("/v1/chat/completions", content=b"{", headers=ask)
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (400, page)
        managing = await it.client.options(f"{MANAGEMENT}/model-pools", headers=ask)
        assert not [name for name in managing.headers if name.startswith("access-control-")]


async def test_the_body_of_one_without_the_key_is_not_waited_for(tmp_path: Path) -> None:
    async with managed(tmp_path) as it:
        host, port = it.services.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"PUT {MANAGEMENT}/model-pools HTTP/1.1\r\nhost: edge\r\ncontent-length: 1000000\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 ")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert json.loads(await reader.readexactly(length)) == {"error": "invalid management key"}
        writer.close()
        await writer.wait_closed()
