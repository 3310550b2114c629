"""Changes of the configuration over gRPC: what is refused and why, what takes effect, and what is left alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog

from forebay.resolver.v1 import plan_pb2
from resolver_service.adapters.grpc_api import pool_admin
from resolver_service.app import edit
from resolver_service.app.ports import AwayError, NotEverywhereError, ReadOnlyError, UncertainError
from tests.contract.serving import (
    ABORTED,
    CONFIG,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    LOADED_AT,
    NOT_FOUND,
    UNAVAILABLE,
    Served,
    ended,
    failed,
    refused,
    serving,
)
from tests.contract.test_pool_admin import KEY, WITH_KEY, call

SOLO = {"id": "solo", "members": [{"provider": "one", "model": "s(low)"}]}


def management(**flags: Any) -> Any:
    return serving(management_key=KEY, **flags)


async def do(it: Served, method: str, **fields: Any) -> Any:
    encoded = {name: json.dumps(value) if name.endswith("_json") else value for name, value in fields.items()}
    encoded = {name: value.encode() if name.endswith("_json") else value for name, value in encoded.items()}
    return await call(it, method, WITH_KEY, **encoded)


async def pools(it: Served) -> Any:
    return json.loads((await do(it, "GetModelPools")).model_pools_json)


async def test_the_object_is_as_it_is_configured() -> None:
    async with management() as it:
        answer = await do(it, "GetModelPools")
        found = json.loads(answer.model_pools_json)
        assert list(found) == ["enabled", "default-strategy", "pools", "clusters"]
        assert (found["enabled"], found["default-strategy"]) == (True, "round-robin")
        assert found["pools"][1] == SOLO, "what a member leaves out is not filled in"
        assert answer.etag == it.configuration.current.digest
        providers = json.loads((await do(it, "GetProviders")).providers_json)
        assert [p["credentials"] for p in providers] == [["env:ONE_API_KEY"], ["env:TWO_API_KEY"]]


@pytest.mark.parametrize("text", [CONFIG, "providers: []", "model-pools: {pools: }", "model-pools: {enabled: false}"])
async def test_what_was_got_and_is_put_back_changes_nothing(text: str) -> None:
    async with management(text=text, provider_edits=True) as it:
        answer = await do(it, "GetModelPools")
        made = await call(it, "ReplaceModelPools", WITH_KEY, model_pools_json=answer.model_pools_json)
        assert (made.revision, made.etag) == (1, answer.etag)
        providers = await do(it, "GetProviders")
        made = await call(it, "ReplaceProviders", WITH_KEY, providers_json=providers.providers_json, etag=answer.etag)
        assert made.revision == 1
        assert it.record.text == text.encode()


async def test_what_changes_nothing_is_no_change_in_the_log() -> None:
    new = {"id": "new", "members": [{"provider": "two", "model": "n"}]}
    async with management() as it:
        with structlog.testing.capture_logs() as logged:
            await do(it, "UpsertPool", pool_json=new, validate_only=True)
            await do(it, "UpsertPool", pool_json=new, author="ann")
            await do(it, "UpsertPool", pool_json=new)
            await do(it, "Rollback", revision=2)
            await do(it, "ApplyConfiguration", text=it.record.text)
            await do(it, "Rollback", revision=1)
        changed = [line for line in logged if line["event"] == "config_changed"]
        assert [(line["by"], line["author"], line["revision"]) for line in changed] == [
            ("UpsertPool", "ann", 2),
            ("Rollback", "", 3),
        ]


async def test_a_pool_that_is_put_is_in_effect_with_the_answer() -> None:
    async with management() as it:
        made = await do(it, "UpsertPool", pool_json={"id": "new", "members": [{"provider": "two", "model": "n"}]})
        assert made.revision == 2
        assert await it.first("NEW") == "two/n#0"
        made = await do(it, "UpsertPool", pool_json={"id": "nEw", "members": [{"provider": "one", "model": "n"}]})
        assert made.revision == 3, "ids are compared without regard to case"
        assert await it.first("new") == "one/n#0"
        assert [pool["id"] for pool in (await pools(it))["pools"]] == ["Turns", "solo", "off", "nEw"]
        assert made.etag == (await do(it, "GetModelPools")).etag


async def test_a_pool_without_an_id_is_called_after_its_first_model() -> None:
    async with management() as it:
        await do(it, "UpsertPool", pool_json={"members": [{"provider": "two", "model": "s2(high)"}]})
        assert await it.first("s2") == "two/s2#0"
        await do(it, "UpsertPool", pool_json={"members": [{"provider": "one", "model": "S2"}]})
        assert await it.first("s2") == "one/S2#0"
        assert (await do(it, "DeletePool", pool_id=" s2 ")).revision == 4
        assert len((await pools(it))["pools"]) == 3


async def test_clusters_are_put_and_deleted_likewise() -> None:
    async with management() as it:
        await do(it, "UpsertCluster", cluster_json={"id": "CHAT", "members": [{"pool": "solo"}]})
        assert await it.first("chat") == "one/s#0"
        await do(it, "DeletePool", pool_id="turns")
        await do(it, "DeleteCluster", cluster_id="chat")
        assert (await pools(it))["clusters"] == []
        assert (await refused(it.resolving("chat"))).code == NOT_FOUND


async def test_a_pool_in_use_names_the_clusters() -> None:
    async with management() as it:
        await do(it, "UpsertCluster", cluster_json={"id": "other", "members": [{"pool": "TURNS"}]})
        refusal = await refused(do(it, "DeletePool", pool_id="turns"))
        assert (refusal.code, refusal.reason) == (FAILED_PRECONDITION, "IN_USE")
        assert refusal.message == "pool 'Turns' is used by the clusters 'chat', 'other'"
        assert refusal.metadata == {"clusters": "chat,other"}


async def test_what_is_not_there_is_not_found() -> None:
    async with management(provider_edits=True) as it:
        for noun in ("pool", "cluster", "provider"):
            refusal = await refused(do(it, f"Delete{noun.capitalize()}", **{f"{noun}_id": "gone"}))
            assert (refusal.code, refusal.message) == (NOT_FOUND, f"{noun} not found")
            refusal = await refused(do(it, f"Delete{noun.capitalize()}"))
            assert (refusal.code, refusal.message) == (INVALID_ARGUMENT, "id is required")


async def test_all_that_is_wrong_is_told_with_its_place_in_the_whole() -> None:
    async with management() as it:
        before = it.record.text
        pool = {"id": "bad", "strategy": "prioritty", "members": [{"provider": "onne", "model": "m"}, {"weight": -1}]}
        refusal = await refused(do(it, "UpsertPool", pool_json=pool))
        assert refusal.code == INVALID_ARGUMENT
        assert refusal.fields == [
            "model-pools.pools[3].strategy",
            "model-pools.pools[3].members[0].provider",
            "model-pools.pools[3].members[1].model",
            "model-pools.pools[3].members[1].weight",
        ]
        assert "did you mean 'one'?" in refusal.descriptions[1]
        whole = {"pools": [], "clusters": [{"id": "a", "members": [{"pool": "Turns"}]}]}
        refusal = await refused(do(it, "ReplaceModelPools", model_pools_json=whole))
        assert refusal.fields == ["model-pools.clusters[0].members[0].pool"]
        assert it.record.text == before
        assert it.configuration.current.number == 1


async def test_very_many_problems_are_as_many_as_fit() -> None:
    async with management() as it:
        many = {"pools": [{"id": f"p{n}", "members": [{"provider": "x" * 50, "model": "m"}]} for n in range(1000)]}
        refusal = await refused(do(it, "ReplaceModelPools", model_pools_json=many))
        assert refusal.code == INVALID_ARGUMENT
        assert len(refusal.fields) > 10
        assert refusal.descriptions[-1].startswith("and ")
        assert len(refusal.fields) - 1 + int(refusal.descriptions[-1].split()[1]) == 1000


HOSTILE: dict[str, bytes] = {
    "no JSON": b"{",
    "nothing": b"",
    "no UTF-8": b'{"id": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e999999",
    "infinity": b'{"id": "a", "members": [{"model": "m", "priority": Infinity}]}',
    "deep": b"[" * 100_000,
    "deep and closed": b'{"id": "a", "members": ' + b"[" * 60 + b"]" * 60 + b"}",
    "large": b'"' + b"a" * (4 * 1024 * 1024) + b'"',
    "a key twice": b'{"id": "a", "id": "b", "members": []}',
    "half a character": rb'{"id": "\ud800", "members": [{"provider": "one", "model": "m"}]}',
    "a control character": rb'{"id": "a\u0000b", "members": [{"provider": "one", "model": "m"}]}',
    "a line separator": '{"id": "a\u2028b", "members": [{"provider": "one", "model": "m"}]}'.encode(),
    "a long id": b'{"id": "' + b"a" * 201 + b'", "members": [{"provider": "one", "model": "m"}]}',
    "an id that is none": b'{"id": ["a"], "members": [{"provider": "one", "model": "m"}]}',
    "no id": b'{"id": "", "members": [{"provider": "one", "model": "m"}]}',
    "a long number": b'{"id": "a", "members": [{"provider": "one", "model": "m", "weight": ' + b"9" * 5000 + b"}]}",
    "a secret": b'{"id": "a", "api-key": "sk-SECRET-0123456789", "members": [{"provider": "one", "model": "m"}]}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_documents_are_refused_with_what_is_wrong(name: str) -> None:
    async with management() as it:
        for method, field in (
            ("UpsertPool", "pool_json"),
            ("UpsertCluster", "cluster_json"),
            ("ReplaceModelPools", "model_pools_json"),
        ):
            refusal = await refused(call(it, method, WITH_KEY, **{field: HOSTILE[name]}))
            assert refusal.code == INVALID_ARGUMENT
            assert refusal.fields
            assert all(refusal.descriptions)
            assert "SECRET" not in str(refusal)
        assert it.record.text == CONFIG.encode()


async def test_a_pool_that_has_no_id_and_no_model_is_told_so() -> None:
    async with management() as it:
        for pool in ({}, {"members": []}, {"id": ""}):
            refusal = await refused(do(it, "UpsertPool", pool_json=pool))
            assert (refusal.fields, refusal.descriptions) == (["model-pools.pools[3].id"], ["pool id is required"])
        refusal = await refused(do(it, "UpsertCluster", cluster_json={}))
        assert refusal.descriptions == ["cluster id is required"]


PROVIDER = {
    "id": "three",
    "dialect": "openai",
    "base-url": "https://three.example/v1",
    "credentials": ["env:T_API_KEY"],
}


async def test_providers_are_locked_unless_the_resolver_says_otherwise() -> None:
    async with management() as it:
        current = json.loads((await do(it, "GetProviders")).providers_json)
        for method, fields in (
            ("UpsertProvider", {"provider_json": PROVIDER}),
            ("UpsertProvider", {"provider_json": current[0]}),
            ("ReplaceProviders", {"providers_json": current}),
            ("DeleteProvider", {"provider_id": "two"}),
        ):
            refusal = await refused(do(it, method, **fields))
            assert (refusal.code, refusal.reason) == (FAILED_PRECONDITION, "PROVIDERS_LOCKED")
        assert it.configuration.current.number == 1


async def test_a_pool_edit_cannot_smuggle_providers_in() -> None:
    async with management() as it:
        refusal = await refused(do(it, "ReplaceModelPools", model_pools_json={"pools": [], "providers": [PROVIDER]}))
        assert refusal.fields == ["model-pools.providers"]
        for id_ in ("x\nproviders: []", "x}\n#", "*a", "&a x", "!!map x", "- x", "a: b"):
            pool = {"id": "y", "description": id_, "members": [{"provider": "one", "model": id_.replace("\n", " ")}]}
            await do(it, "UpsertPool", pool_json=pool)
            assert (await pools(it))["pools"][3] == pool
        assert json.loads((await do(it, "GetProviders")).providers_json)[0]["id"] == "one"


async def test_providers_can_be_edited_where_that_is_allowed() -> None:
    async with management(provider_edits=True) as it:
        assert (await do(it, "UpsertProvider", provider_json={**PROVIDER, "models": ["new"]})).revision == 2
        assert await it.first("new") == "three/new#0"
        refusal = await refused(do(it, "UpsertProvider", provider_json={**PROVIDER, "credentials": ["sk-SECRET-0123"]}))
        assert refusal.fields == ["providers[2].credentials[0]"]
        assert "SECRET" not in str(refusal)
        refusal = await refused(do(it, "DeleteProvider", provider_id="TWO"))
        assert refusal.fields == [
            "model-pools.pools[0].members[1].provider",
            "model-pools.clusters[0].members[1].model",
        ]
        await do(it, "DeleteProvider", provider_id="THREE")
        assert (await refused(it.resolving("new"))).code == NOT_FOUND


async def test_an_edit_that_starts_from_something_else_is_aborted() -> None:
    async with management() as it:
        etag = (await do(it, "GetModelPools")).etag
        made = await do(it, "UpsertPool", pool_json={**SOLO, "description": "one"}, etag=etag)
        refusal = await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "two"}, etag=etag))
        assert refusal.code == ABORTED
        assert (await refused(do(it, "Rollback", revision=1, etag=etag))).code == ABORTED
        assert (await do(it, "UpsertPool", pool_json={**SOLO, "description": "two"}, etag=made.etag)).revision == 3
        assert (await do(it, "UpsertPool", pool_json={**SOLO, "description": "three"})).revision == 4


async def test_a_whole_text_is_put_into_effect_under_the_same_rules() -> None:
    async with management() as it:
        etag = it.configuration.current.digest
        text = CONFIG.replace("takes turns", "takes its turn").encode()
        assert (await do(it, "ApplyConfiguration", text=text, validate_only=True)).revision == 1
        assert (await do(it, "ApplyConfiguration", text=text, etag=etag, author="ann")).revision == 2
        assert it.record.text == text, "to the letter"
        assert (await do(it, "ApplyConfiguration", text=text)).revision == 2, "it is there already"
        assert (await do(it, "ListRevisions")).revisions[0].author == "ann"
        assert (await refused(do(it, "ApplyConfiguration", text=text, etag=etag))).code == ABORTED
        refusal = await refused(do(it, "ApplyConfiguration", text=text + b"polcy: {}\n"))
        assert (refusal.code, refusal.fields) == (INVALID_ARGUMENT, ["polcy"])
        other = text.replace(b"one.example", b"elsewhere.example")
        refusal = await refused(do(it, "ApplyConfiguration", text=other))
        assert (refusal.code, refusal.reason) == (FAILED_PRECONDITION, "PROVIDERS_LOCKED"), (
            "the file is there to be edited"
        )


@pytest.mark.parametrize("error", [AwayError, UncertainError, NotEverywhereError])
async def test_what_resolvers_share_may_be_in_the_way(error: type[Exception]) -> None:
    async with management() as it:
        it.record.problem = error("the reason")
        refusal = await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "one"}))
        assert (refusal.code, refusal.message) == (UNAVAILABLE, "the reason")
        assert refusal.reason == error.code.upper()  # type: ignore[attr-defined]


async def test_two_edits_at_once_lose_neither() -> None:
    async with management() as it:
        etag = (await do(it, "GetModelPools")).etag
        pool = [{"id": f"p{n}", "members": [{"provider": "one", "model": "m"}]} for n in range(8)]
        found = await asyncio.gather(
            *(do(it, "UpsertPool", pool_json=p, etag=etag) for p in pool[:4]),
            *(do(it, "UpsertPool", pool_json=p) for p in pool[4:]),
            return_exceptions=True,
        )
        assert sum(isinstance(f, Exception) for f in found[:4]) >= 3
        assert not any(isinstance(f, Exception) for f in found[4:])
        kept = {p["id"] for p in (await pools(it))["pools"]}
        assert {p["id"] for p, f in zip(pool, found, strict=True) if not isinstance(f, Exception)} <= kept


async def test_what_is_only_validated_changes_nothing() -> None:
    async with management() as it:
        made = await do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}, validate_only=True)
        assert (made.revision, made.etag) == (1, it.configuration.current.digest)
        bad = {**SOLO, "strategy": "x"}
        refusal = await refused(do(it, "UpsertPool", pool_json=bad, validate_only=True))
        assert refusal.fields == ["model-pools.pools[1].strategy"]
        assert it.record.text == CONFIG.encode()
        assert len((await do(it, "ListRevisions")).revisions) == 1


async def test_an_outside_edit_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "SETTLED_S", 0)
    async with management() as it:
        it.record.text = CONFIG.replace("takes turns", "edited by hand").encode()
        refusal = await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}))
        assert refusal.code == ABORTED
        assert "taken in" in refusal.message
        assert it.configuration.current.number == 2
        assert (await pools(it))["pools"][0]["description"] == "edited by hand"
        await do(it, "UpsertPool", pool_json={**SOLO, "description": "x"})
        it.record.text += b"nonsense: 1\n"
        refusal = await refused(do(it, "UpsertPool", pool_json=SOLO))
        assert (refusal.code, "mend it" in refusal.message) == (ABORTED, True)
        assert it.record.text.endswith(b"nonsense: 1\n")


async def test_a_file_that_cannot_be_written_is_told_of() -> None:
    async with management() as it:
        it.record.problem = ReadOnlyError("the file is read-only: do this")
        refusal = await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}))
        assert (refusal.code, refusal.reason) == (FAILED_PRECONDITION, "READ_ONLY")
        assert refusal.message == "the file is read-only: do this"
        assert it.configuration.current.number == 1
        assert len((await do(it, "ListRevisions")).revisions) == 1, "what came to nothing is not kept"


async def test_revisions_tell_who_changed_what() -> None:
    async with management() as it:
        await do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}, author="  the\x1b editor\n")
        await do(it, "DeleteCluster", cluster_id="chat", author="file")
        found = (await do(it, "ListRevisions")).revisions
        assert [(r.revision, r.author, r.summary, r.created_at) for r in found] == [
            (3, "", "cluster chat removed", LOADED_AT),
            (2, "the editor", "pool solo changed", LOADED_AT),
            (1, "file", "the first configuration", LOADED_AT),
        ]
        assert "+      description: x" in found[1].diff.splitlines()
        assert [r.revision for r in (await do(it, "ListRevisions", page_size=1)).revisions] == [3]
        assert [r.revision for r in (await do(it, "ListRevisions", before_revision=3)).revisions] == [2, 1]


async def test_a_roll_back_is_a_new_revision_with_the_old_text() -> None:
    async with management() as it:
        await do(it, "UpsertPool", pool_json={"id": "Turns", "members": [{"provider": "two", "model": "m"}]})
        assert (await do(it, "Rollback", revision=1, validate_only=True)).revision == 2
        made = await do(it, "Rollback", revision=1, author="me")
        assert made.revision == 3
        assert it.record.text == CONFIG.encode()
        assert {await it.first("turns") for _ in range(2)} == {"one/m#0", "two/m#0"}
        assert (await do(it, "Rollback", revision=3)).revision == 3, "it is there already"
        for unknown in (0, 4, 2**64 - 1):
            assert (await refused(do(it, "Rollback", revision=unknown))).code == NOT_FOUND


ANN = f"clients: [{{id: ann, key-sha256: {'a' * 64}}}]"
BEN = f"clients: [{{id: ben, key-sha256: {'b' * 64}}}]"


@pytest.mark.parametrize(
    ("old", "now"), [(ANN, BEN), (ANN, "clients: []"), ("", BEN), (ANN, ""), (f"{ANN}\n# the end", f"\n\n{BEN}")]
)
async def test_a_roll_back_lets_nobody_in_who_has_been_taken_out(
    monkeypatch: pytest.MonkeyPatch, old: str, now: str
) -> None:
    monkeypatch.setattr(edit, "SETTLED_S", 0)
    async with management(text=f"{CONFIG}\n{old}\n") as it:
        without = CONFIG.replace("- id: solo", "- id: other")
        assert without != CONFIG
        it.record.text = f"{without}\n{now}\n".encode()
        await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}))
        clients = it.configuration.current.catalog.clients
        assert it.configuration.current.number == 2
        assert (await do(it, "Rollback", revision=1)).revision == 3
        assert it.configuration.current.catalog.clients == clients
        assert [pool["id"] for pool in (await pools(it))["pools"]][1] == "solo"
        assert it.record.text.startswith(CONFIG.encode())
        assert (await do(it, "Rollback", revision=1)).revision == 3, "it is there already"


async def test_a_roll_back_changes_no_providers_where_they_are_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "SETTLED_S", 0)
    async with management() as it:
        it.record.text = CONFIG.replace("https://one", "https://uno").encode()
        await refused(do(it, "UpsertPool", pool_json={**SOLO, "description": "x"}))
        assert it.configuration.current.number == 2
        refusal = await refused(do(it, "Rollback", revision=1))
        assert (refusal.code, refusal.reason) == (FAILED_PRECONDITION, "PROVIDERS_LOCKED")
    async with management(provider_edits=True) as it:
        await do(it, "DeleteCluster", cluster_id="chat")
        await do(it, "DeletePool", pool_id="turns")
        await do(it, "DeleteProvider", provider_id="two")
        assert (await do(it, "Rollback", revision=1)).revision == 5


async def test_status_shows_every_target() -> None:
    async with management() as it:
        plan = await it.resolve("solo", will_report=True)
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED, retry_after_ms=5000))
        await do(it, "Drain", target_id="two/m#0", drained=True)
        answer = await do(it, "GetStatus")
        assert answer.revision == 1
        assert [(r.id, r.revision, r.degraded) for r in answer.replicas] == [("this one", 1, False)]
        found = {t.target_id: t for t in answer.targets}
        assert {target_id: t.state for target_id, t in found.items()} == {
            "one/m#0": "ready",
            "two/m#0": "drained",
            "one/s#0": "cooling",
            "one/o#0": "disabled",
            "two/raw-two#0": "ready",
            "one/Raw-One#0": "ready",
        }
        cooling = found["one/s#0"]
        assert (cooling.reason, cooling.retry_after_ms) == ("rate-limited", 5000)
        assert [(o.disposition, o.count) for o in cooling.recent] == [("rate-limited", 1)]
        it.clock.now += 6
        found = {t.target_id: t for t in (await do(it, "GetStatus")).targets}
        assert found["one/s#0"].state == "probing"
        it.clock.now += 330
        assert not {t.target_id: t for t in (await do(it, "GetStatus")).targets}["one/s#0"].recent


async def test_of_more_targets_than_a_message_takes_those_that_are_out_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with management() as it:
        assert (await do(it, "GetStatus")).targets_left_out == 0
        await do(it, "Drain", target_id="two/raw-two#0", drained=True)
        plan = await it.resolve("solo", will_report=True)
        await it.report(ended(plan))
        monkeypatch.setattr(pool_admin, "MOST_STATUS_BYTES", 110)
        answer = await do(it, "GetStatus")
        assert sum(target.ByteSize() for target in answer.targets) <= 110
        assert {t.target_id: t.state for t in answer.targets[:3]} == {
            "one/s#0": "ready",
            "one/o#0": "disabled",
            "two/raw-two#0": "drained",
        }
        assert 0 < answer.targets_left_out == 6 - len(answer.targets)
        assert answer.replicas


async def test_explain_is_there_for_whoever_holds_the_key() -> None:
    async with management() as it:
        answer = await do(it, "ExplainName", explain={"request": {"model": "chat"}})
        assert answer.explanation.kind == "cluster"
        assert [t.target_id for t in answer.explanation.targets] == ["one/m#0", "two/m#0", "two/raw-two#0"]
        assert (await refused(do(it, "ExplainName"))).fields == ["explain.request.model"]
        assert (await refused(do(it, "ExplainName", explain={"request": {"model": "nope"}}))).code == NOT_FOUND
