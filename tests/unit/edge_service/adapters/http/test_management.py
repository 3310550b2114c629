"""The management API over a `PoolAdminService` in memory: statuses and bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
import pytest_asyncio
import structlog

from edge_service.adapters.http.management_operations import OPERATIONS
from resolver_service.domain.failed_keys import MOST
from tests.support.pool_admin import KEY, MODEL_POOLS, PROVIDERS, Managed, managed

OK = {"status": "ok"}
POOL = {"id": "solo", "members": [{"provider": "one", "model": "m"}]}
CLUSTER = {"id": "talk", "members": [{"pool": "turns"}]}
PROVIDER = {"id": "three", "preset": "groq", "credentials": ["env:GROQ_API_KEY"]}


@pytest_asyncio.fixture
async def it() -> AsyncIterator[Managed]:
    async with managed() as managing:
        yield managing


def answer(response: httpx2.Response) -> tuple[int, Any]:
    return response.status_code, response.json()


# model-pools


async def test_the_whole_object_is_read_and_replaced(it: Managed) -> None:
    response = await it.client.get("/model-pools")
    assert answer(response) == (200, MODEL_POOLS)
    assert (response.headers["etag"], response.headers["content-type"]) == ('"r1"', "application/json")
    assert response.headers["cache-control"] == "no-store"
    changed = {**MODEL_POOLS, "enabled": False}
    response = await it.client.put("/model-pools", json=changed)
    assert answer(response) == (200, OK)
    assert response.headers["etag"] == '"r2"'
    assert it.admin.model_pools == changed


@pytest.mark.parametrize(
    ("what", "item", "there", "among"), [("pool", POOL, "turns", "pools"), ("cluster", CLUSTER, "chat", "clusters")]
)
async def test_one_of_them_is_inserted_replaced_and_removed(
    it: Managed, what: str, item: dict[str, Any], there: str, among: str
) -> None:
    path = f"/model-pools/{what}"
    assert answer(await it.client.patch(path, json=item)) == (200, OK)
    assert answer(await it.client.patch(path, json={**item, "description": "new"})) == (200, OK)
    assert [each["id"] for each in it.admin.model_pools[among]] == [there, item["id"]]
    assert it.admin.model_pools[among][1]["description"] == "new"
    assert answer(await it.client.delete(path, params={"id": item["id"]})) == (200, OK)
    assert [each["id"] for each in it.admin.model_pools[among]] == [there]
    assert answer(await it.client.delete(path, params={"id": "x"})) == (404, {"error": f"{what} not found"})


@pytest.mark.parametrize(
    ("path", "what"),
    [("/model-pools/pool", "pool"), ("/model-pools/cluster", "cluster"), ("/providers/provider", "provider")],
)
async def test_neither_goes_without_an_id(it: Managed, path: str, what: str) -> None:
    for item in ({}, {"id": None}, {"id": ""}, {"id": " "}, {"members": []}):
        assert answer(await it.client.patch(path, json=item)) == (400, {"error": f"{what} id is required"})
    for query in ("", "?id=", "?id=%20", "?id"):
        response = await it.client.delete(f"{path}{query}")
        assert answer(response) == (400, {"error": "id query parameter is required"})
    assert it.changes == []


async def test_a_pool_that_is_used_stays_and_says_by_whom(it: Managed) -> None:
    status, body = answer(await it.client.delete("/model-pools/pool?id=turns"))
    assert (status, body["error"]) == (409, "used by the clusters chat")


async def test_all_that_is_wrong_is_told_with_its_path(it: Managed) -> None:
    bad = {"pools": [{"id": "x", "members": [{"provider": "on", "model": "m"}]}, {"id": "X", "strategy": "best"}]}
    status, body = answer(await it.client.put("/model-pools", json=bad))
    assert (status, body["error"]) == (400, "invalid configuration")
    assert [mistake["path"] for mistake in body["errors"]] == [
        "model-pools.pools[0].members[0].provider",
        "model-pools.pools[1].members",
        "model-pools.pools[1].id",
        "model-pools.pools[1].strategy",
    ]
    assert all(mistake.keys() == {"path", "message"} for mistake in body["errors"])
    assert it.admin.etag == "r1"


async def test_a_configuration_that_cannot_be_written_says_so(it: Managed) -> None:
    it.admin.read_only = True
    assert answer(await it.client.put("/model-pools", json={})) == (409, {"error": "the file is read-only"})


# providers


async def test_providers_are_read_and_changed(it: Managed) -> None:
    assert answer(await it.client.get("/providers")) == (200, PROVIDERS)
    assert answer(await it.client.patch("/providers/provider", json=PROVIDER)) == (200, OK)
    assert it.admin.providers[-1] == PROVIDER
    assert answer(await it.client.delete("/providers/provider?id=three")) == (200, OK)
    assert answer(await it.client.delete("/providers/provider?id=three")) == (404, {"error": "provider not found"})
    assert answer(await it.client.put("/providers", json=[*PROVIDERS, PROVIDER])) == (200, OK)
    assert len(it.admin.providers) == 3


async def test_a_resolver_that_locks_its_providers_says_what_would_open_them(it: Managed) -> None:
    it.admin.locked = True
    for response in (
        await it.client.put("/providers", json=PROVIDERS),
        await it.client.patch("/providers/provider", json=PROVIDER),
        await it.client.delete("/providers/provider?id=one"),
    ):
        assert response.status_code == 403
        assert "--allow-provider-edits" in response.json()["error"]
    assert (await it.client.get("/providers")).status_code == 200


# revisions


async def test_revisions_come_in_pages_newest_first(it: Managed) -> None:
    for author in ("ann", "bob"):
        await it.client.put("/model-pools", json={}, headers={"x-forebay-author": author})
    status, body = answer(await it.client.get("/revisions?page-size=2"))
    assert (status, body["next-before"]) == (200, 2)
    assert [(each["revision"], each["author"]) for each in body["revisions"]] == [(3, "bob"), (2, "ann")]
    assert body["revisions"][0]["created-at"] == "2023-11-14T22:13:20Z"
    assert body["revisions"][0].keys() == {"revision", "created-at", "author", "summary", "diff"}
    status, body = answer(await it.client.get(f"/revisions?page-size=2&before={body['next-before']}"))
    assert ([each["revision"] for each in body["revisions"]], body["next-before"]) == ([1], None)
    assert len((await it.client.get("/revisions")).json()["revisions"]) == 3


async def test_a_rollback_is_a_new_revision(it: Managed) -> None:
    await it.client.put("/model-pools", json={})
    response = await it.client.post("/revisions/1/rollback", headers={"if-match": '"r2"', "x-forebay-author": "ann"})
    assert answer(response) == (200, {"status": "ok", "revision": 3})
    assert response.headers["etag"] == '"r3"'
    assert (it.admin.model_pools, it.admin.revisions[-1].author) == (MODEL_POOLS, "ann")
    assert answer(await it.client.post("/revisions/99/rollback")) == (404, {"error": "revision not found"})
    for wrong in ("0", "-1", "x", "1.0", "18446744073709551616"):
        status, body = answer(await it.client.post(f"/revisions/{wrong}/rollback"))
        assert (status, "whole number" in body["error"]) == (400, True)


# targets


async def test_status_tells_of_targets_and_replicas(it: Managed) -> None:
    await it.client.post("/targets/two%2Fm%230/drain")
    status, body = answer(await it.client.get("/status"))
    assert (status, body["revision"]) == (200, 1)
    first, *_, last = body["targets"]
    assert first == {
        "id": "one/m#0",
        "state": "cooling",
        "reason": "rate-limited",
        "retry-after-s": 1.5,
        "in-flight": 2,
        "recent": {"ok": 3},
    }
    assert (last["state"], last["retry-after-s"]) == ("drained", None)
    assert body["replicas"] == [{"id": "a", "revision": 1, "seen-s-ago": 0.25, "degraded": True}]
    assert body["targets-left-out"] == 7


@pytest.mark.parametrize("written", ["one%2Fvendor%2Fdeep%230", "one/vendor/deep%230", "one/vendor%2fdeep%230"])
async def test_a_target_is_called_by_its_id_with_slashes_raw_or_encoded(it: Managed, written: str) -> None:
    for verb in ("drain", "undrain", "clear"):
        assert answer(await it.client.post(f"/targets/{written}/{verb}")) == (200, OK)
    assert [(method, request.target_id) for method, request in it.changes] == [
        ("Drain", "one/vendor/deep#0"),
        ("Drain", "one/vendor/deep#0"),
        ("ClearCooldown", "one/vendor/deep#0"),
    ]
    assert [request.drained for method, request in it.changes if method == "Drain"] == [True, False]


async def test_a_target_that_nobody_has_is_not_found(it: Managed) -> None:
    for verb in ("drain", "undrain", "clear"):
        assert answer(await it.client.post(f"/targets/one/x%230/{verb}")) == (404, {"error": "target not found"})
        assert (await it.client.post(f"/targets/one/m/{verb}")).status_code == 404


# explain


async def test_explain_tells_what_would_be_planned_and_why(it: Managed) -> None:
    asked = {"model": "turns", "stream": True, "operation": "embed", "capabilities": ["tools"]}
    more = {"estimated-input-tokens": 7, "max-output-tokens": 8, "excluded-targets": ["two/m#0"]}
    status, body = answer(await it.client.post("/explain", json={**asked, **more}))
    assert (status, body["kind"]) == (200, "pool")
    assert body["plan"] == {"name": "turns", "revision": 1, "attempts-allowed": 10, "targets": ["one/m#0"]}
    assert [(each["id"], each["available"]) for each in body["targets"]] == [("one/m#0", True), ("two/m#0", False)]
    assert body["targets"][0].keys() == {"id", "path", "available", "reason", "retry-after-s"}
    request = it.admin.calls[-1][1].explain.request
    assert (request.stream, list(request.needs.capabilities), request.needs.max_output_tokens) == (True, ["tools"], 8)
    nobody = {"model": "turns", "excluded-targets": ["one/m#0", "two/m#0"]}
    assert (await it.client.post("/explain", json=nobody)).json()["plan"] is None


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "turn"}, 404, "did you mean 'turns'?"),
        ({}, 400, "`model`"),
        ({"model": " "}, 400, "model is required"),
        ({"model": 1}, 400, "$.model"),
        ({"model": "m", "operation": "sing"}, 400, "$.operation`: it is one of generate, embed, count"),
        ({"model": "turns", "operation": "retrieve"}, 400, "$.operation`: it is one of generate, embed, count"),
        ({"model": "turns", "operation": "authenticate"}, 400, "$.operation`: it is one of generate, embed, count"),
        ({"model": "m", "capabilities": ["tools", "fly"]}, 400, "$.capabilities[1]`: it is one of tools, vision, "),
        ({"model": "m", "max-output-tokens": -1}, 400, "$.max-output-tokens"),
        ({"model": "m", "mdoel": 1}, 400, "`mdoel`"),
        ([], 400, "object"),
    ],
)
async def test_a_question_that_is_none_is_refused(it: Managed, body: Any, status: int, said: str) -> None:
    response = await it.client.post("/explain", json=body)
    assert response.status_code == status
    assert said in response.json()["error"]


# What holds for all changes


async def test_what_is_only_to_be_validated_changes_nothing(it: Managed) -> None:
    for call in (
        it.client.put("/model-pools?validate-only=true", json={}),
        it.client.patch("/model-pools/pool?validate-only=true", json=POOL),
        it.client.delete("/model-pools/cluster?id=chat&validate-only=true"),
        it.client.put("/providers?validate-only=true", json=[*PROVIDERS, PROVIDER]),
        it.client.delete("/model-pools/cluster?validate-only=true&id=chat"),
        it.client.post("/revisions/1/rollback?validate-only=true"),
    ):
        assert (await call).status_code == 200
    assert it.admin.etag == "r1"
    bad = await it.client.put("/model-pools?validate-only=true", json={"pools": 1})
    assert bad.status_code == 400
    assert (await it.client.put("/model-pools?validate-only=false", json={})).headers["etag"] == '"r2"'


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ("*", 200),
        ('"r1"', 200),
        ('"r0", "r1"', 200),
        ('W/"r9", "r1"', 200),
        ('"r0"', 412),
        ('"r0", "r2"', 412),
        ('W/"r1"', 412),
        ('""', 412),
        ('"", "r0"', 412),
        ('"", "r1"', 200),
        ("r1", 400),
        ("", 400),
    ],
)
async def test_a_change_that_starts_from_another_configuration_is_not_made(it: Managed, tag: str, status: int) -> None:
    response = await it.client.put("/model-pools", json={}, headers={"if-match": tag})
    assert response.status_code == status
    assert it.admin.etag == ("r2" if status == 200 else "r1")
    if status == 412:
        assert "has changed" in response.json()["error"]


async def test_who_makes_a_change_stands_in_its_revision(it: Managed) -> None:
    await it.client.put("/model-pools", json={}, headers={"x-forebay-author": "Jürgen".encode()})
    await it.client.put("/model-pools", json=MODEL_POOLS)
    assert [each.author for each in it.admin.revisions] == ["", "Jürgen", "management-api"]
    response = await it.client.put("/model-pools", json={}, headers={"x-forebay-author": "a" * 65})
    assert response.status_code == 400
    assert it.admin.etag == "r3"


async def test_a_change_whose_answer_got_lost_is_not_made_twice(it: Managed) -> None:
    it.admin.failing = grpc.StatusCode.UNAVAILABLE
    response = await it.client.delete("/model-pools/cluster?id=chat")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "may have been applied; read before you repeat" in response.json()["error"]
    assert [method for method, _ in it.changes] == ["DeleteCluster"]
    assert it.admin.model_pools["clusters"] == []


async def test_without_a_resolver_the_answer_is_503(it: Managed) -> None:
    it.links[0].is_up = False
    for response in (await it.client.get("/model-pools"), await it.client.put("/model-pools", json={})):
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert it.admin.calls == []


# Bodies


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "not valid JSON"),
        (b'{"pools": [], "pools": []}', "application/json", 400, "'pools' twice"),
        (b"{}", "application/x-www-form-urlencoded", 400, "application/json"),
        (b"{}", "text/plain", 400, "application/json"),
        (b"{}", "application/json; charset=utf-8", 200, ""),
        (b"{}", "Application/JSON", 200, ""),
        (b"{}", None, 200, ""),
        (b"[]", "application/json", 400, "has to be an object"),
        (b"1", "application/json", 400, "has to be an object"),
        (b" " * (4 * 1024 * 1024 + 1), "application/json", 413, "larger than 4194304 bytes"),
    ],
)
async def test_what_a_body_may_be(it: Managed, content: bytes, kind: str | None, status: int, said: str) -> None:
    response = await it.client.put("/model-pools", content=content, headers={"content-type": kind} if kind else {})
    assert response.status_code == status
    assert said in response.text
    assert (response.headers.get("connection") == "close") is (status == 413)
    assert it.admin.etag == ("r2" if status == 200 else "r1")


async def test_bodies_of_the_wrong_kind_are_refused_everywhere(it: Managed) -> None:
    for method, path in (("PUT", "/providers"), ("PATCH", "/model-pools/pool"), ("PATCH", "/providers/provider")):
        response = await it.client.request(method, path, json="text")
        assert (response.status_code, "has to be" in response.json()["error"]) == (400, True)


async def test_the_body_reaches_the_resolver_as_it_was_written(it: Managed) -> None:
    written = b'{ "pools" : [ ], "enabled":true }'
    await it.client.put("/model-pools", content=written)
    assert it.changes[-1][1].model_pools_json == written


# Methods


async def test_methods_there_are_not_are_told_to_who_may_know(it: Managed) -> None:
    response = await it.client.post("/model-pools")
    assert answer(response) == (405, {"error": "Method Not Allowed"})
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, PUT"
    response = await it.client.options("/model-pools/pool")
    assert (response.status_code, response.headers["allow"]) == (200, "DELETE, OPTIONS, PATCH")
    response = await it.client.head("/model-pools")
    assert (response.status_code, response.headers["etag"]) == (200, '"r1"')
    assert answer(await it.client.get("/nothing")) == (404, {"error": "Not Found"})
    assert (await it.client.get("/model-pools/")).status_code == 404


# Keys

ROUTES = [
    (method, operation.path.format(n="1", id="one/m%230"))
    for operation in OPERATIONS
    for method in (operation.method, "OPTIONS", "TRACE")
] + [("GET", "/openapi.json")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_key_every_route_answers_401_before_it_looks_at_anything(method: str, path: str) -> None:
    async with managed(shown="") as it:

        async def unread() -> AsyncIterator[bytes]:
            raise AssertionError("the body was read")
            yield b""

        for query in ("", "?id=x&nonsense=1"):
            head = {"if-match": "nonsense", "x-forebay-author": "a" * 65, "content-type": "text/plain"}
            response = await it.client.request(method, f"{path}{query}", headers=head, content=unread())
            assert response.status_code == 401
            assert (
                response.content == b""
                if method == "HEAD"
                else answer(response)[1] == {"error": "invalid management key"}
            )
            assert response.headers["www-authenticate"] == "Bearer"
        wrong = await it.client.request(method, path, headers={"authorization": f"Bearer {KEY}x"}, content=unread())
        assert answer(wrong) == (401, {"error": "invalid management key"})
        assert it.admin.calls == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_where_the_resolver_has_no_key_there_is_nothing(method: str, path: str) -> None:
    async with managed(key="") as it:
        nothing = await it.client.request(method, "/nothing")
        response = await it.client.request(method, path, headers={"x-forebay-request-id": "r"})
        assert answer(response) == answer(nothing) == (404, {"error": "Not Found"})
        assert response.headers.keys() == nothing.headers.keys()


async def test_either_header_will_do() -> None:
    async with managed(shown="") as it:
        for head in ({"authorization": f"Bearer {KEY}"}, {"x-management-key": KEY}):
            assert (await it.client.get("/model-pools", headers=head)).status_code == 200


async def test_after_five_wrong_keys_from_an_address_it_is_not_listened_to() -> None:
    async with managed(shown="") as it:
        wrong, right = {"x-management-key": "wrong"}, {"x-management-key": KEY}
        for _ in range(MOST):
            assert (await it.client.get("/model-pools", headers=wrong)).status_code == 401
        for head in (wrong, right, {}):
            response = await it.client.put("/model-pools", headers=head, json={})
            assert (response.status_code, response.headers["retry-after"]) == (429, "60")
            assert "too many wrong management keys" in response.json()["error"]
        assert (it.admin.calls, it.told) == ([], ["too_many_failed_keys"] * 3)
        elsewhere = httpx2.ASGITransport(it.app, client=("192.0.2.2", 1234))
        async with httpx2.AsyncClient(transport=elsewhere, base_url=it.client.base_url) as other:
            assert (await other.get("/model-pools", headers=right)).status_code == 200
        it.clock.now = 60.0
        assert (await it.client.get("/model-pools", headers=right)).status_code == 200


async def test_neither_404_nor_503_counts_as_a_wrong_key() -> None:
    async with managed(key="") as it:
        for _ in range(2 * MOST):
            assert (await it.client.get("/model-pools")).status_code == 404
    async with managed(shown="wrong") as it:
        it.links[0].is_up = False
        for _ in range(2 * MOST):
            assert (await it.client.get("/model-pools")).status_code == 503
        it.links[0].is_up = True
        assert (await it.client.get("/model-pools")).status_code == 401


async def test_nor_does_a_missing_one_nor_a_mistake_by_whoever_shows_the_right_one() -> None:
    async with managed(shown="") as it:
        for _ in range(2 * MOST):
            assert (await it.client.put("/model-pools", json={})).status_code == 401
            assert (await it.client.put("/model-pools", json=[], headers={"x-management-key": KEY})).status_code == 400
        assert it.told == []


async def test_a_wrong_key_counts_once_whatever_it_asks_for() -> None:
    async with managed(shown="wrong") as it:
        for method, path in (("PUT", "/model-pools"), ("GET", "/status?x=1"), ("OPTIONS", "/explain")):
            assert (await it.client.request(method, path, content=b"{}")).status_code == 401
        for status in (401, 401, 429):
            assert (await it.client.post("/targets/one%2Fm%230/drain")).status_code == status


async def test_a_plain_read_costs_one_call_and_a_change_two(it: Managed) -> None:
    await it.client.get("/model-pools")
    assert [method for method, _ in it.admin.calls] == ["GetModelPools"]
    await it.client.put("/model-pools", json={})
    assert [method for method, _ in it.admin.calls[1:]] == ["ListRevisions", "ReplaceModelPools"]


async def test_what_is_logged_has_no_key_and_no_body(it: Managed) -> None:
    with structlog.testing.capture_logs() as logged:
        await it.client.put("/model-pools", json={"secret-word": 1})
        await it.client.get("/model-pools")
        await it.client.get("/model-pools", headers={"x-management-key": "wrong-word"})
    assert [(line["event"], line.get("status"), line.get("client")) for line in logged] == [
        ("management", 400, None),
        ("management_key_refused", None, "192.0.2.1"),  # The resolver's.
        ("management_refused", None, "192.0.2.1"),
    ]
    assert not any(word in str(logged) for word in (KEY, "secret-word", "wrong-word"))


def test_every_operation_has_its_own_place() -> None:
    places = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(set(places)) == len(places)
