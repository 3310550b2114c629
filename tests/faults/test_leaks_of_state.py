"""Nothing that is managed, kept or shared has a secret or a prompt in it: what the management API answers, revisions,
the state file, a shared store. What these tests leave behind is searched when they are over: see conftest.py."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from edge_service.adapters.http.management_operations import OPERATIONS
from tests.support import canaries
from tests.support.faulty_upstream import refuses
from tests.support.keys import MINE, OTHERS, client, clients
from tests.support.processes import PLAIN
from tests.support.setup import Setup, setup, until
from tests.support.storing import Storing
from tests.support.valkey import Store

QUOTED = f"{canaries.PROVIDER_KEY.value} {canaries.PROMPT.value} {MINE}"
MANAGED = "answers-of-managing.bin"
"""Nothing at all may be in there."""

MISTAKES: tuple[tuple[str, str, object], ...] = (
    ("PATCH", "/providers/provider", {"id": "p9", "preset": "openai", "credentials": [canaries.PROVIDER_KEY.value]}),
    ("PATCH", "/providers/provider", {"id": "p9", "preset": "openai", "api-key": canaries.PROVIDER_KEY.value}),
    (
        "PATCH",
        "/providers/provider",
        {"id": "p9", "dialect": "openai", "base-url": f"http://u:{canaries.PROVIDER_KEY.value}@127.0.0.1:9/v1"},
    ),
    (
        "PATCH",
        "/providers/provider",
        {
            "id": "p9",
            "preset": "openai",
            "quirks": {"headers": {"authorization": f"Bearer {canaries.PROVIDER_KEY.value}"}},
        },
    ),
    ("PUT", "/providers", canaries.PROVIDER_KEY.value),
)
"""Secrets where none belongs."""


@pytest.mark.parametrize("where", ["state directory", "store"])
async def test_what_is_managed_kept_and_shared_holds_no_secrets(tmp_path: Path, where: str) -> None:
    store = Store(tmp_path / "store") if where == "store" else None
    kept = {"FOREBAY_RESOLVER_STORE": store.url} if store else {"FOREBAY_RESOLVER_STATE_DIR": str(tmp_path / "state")}
    more = clients(client(MINE, "mine", limits={"rpm": 1000, "tpm": 1_000_000}), client(OTHERS, "others"))
    try:
        async with setup(
            tmp_path,
            refuses(429, QUOTED, retry_after="100"),
            Storing("second", canaries.COMPLETION.value),
            each="responses: true, credentials: [env:CANARY_API_KEY]",
            more=more,
            FOREBAY_RESOLVER_ALLOW_PROVIDER_EDITS="1",
            **kept,
            **canaries.ENVIRONMENT,
        ) as it:
            made = await _ask(it)
            (tmp_path / MANAGED).write_bytes(await _manage(it))
    finally:
        if store:
            store.stop()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    told = [file.read_bytes() for file in (tmp_path / ("store" if store else "state")).rglob("*") if file.is_file()]
    assert any(b"p1/m#0" in each for each in told), "what is kept there can be found"
    assert not any(made.encode() in file.read_bytes() for file in files), "no id of a response leaves the edge"


async def _ask(it: Setup) -> str:
    """Requests that leave something everywhere; the id of a response that is kept."""

    async def is_ready() -> bool:
        return (await it.client.get("/readyz")).status_code == 200

    await until(is_ready)
    body = {"model": "chat", "input": canaries.PROMPT.value, "user": canaries.PROMPT.value}
    made = await it.client.post("/v1/responses", json=body)
    assert made.headers["x-forebay-target"] == "p1/m#0"
    made_id: str = made.json()["id"]
    for path in (made_id, f"{made_id}/input_items", "resp_of_nobody"):
        await it.client.get(f"/v1/responses/{path}")
    others = {"authorization": f"Bearer {OTHERS}"}
    assert (await it.client.get(f"/v1/responses/{made_id}", headers=others)).status_code == 404
    return made_id


async def _manage(it: Setup) -> bytes:
    """All that the management API answers."""
    key = {"x-management-key": canaries.MANAGEMENT_KEY.value, "x-forebay-author": "ann"}
    answers: list[httpx2.Response] = []
    async with httpx2.AsyncClient(
        base_url=f"{it.services.url}/v0/management", headers=key, timeout=20, verify=PLAIN
    ) as manager:
        for method, path, said in MISTAKES:
            answers.append(await manager.request(method, path, json=said))
            assert answers[-1].status_code == 400, answers[-1].text
        change = {"id": "more", "members": [{"provider": "p1", "model": "m"}]}
        answers.append(await manager.patch("/model-pools/pool", json=change))
        answers.append(await manager.post("/targets/p1/m%230/drain"))
        answers.append(await manager.post("/revisions/1/rollback"))
        answers.append(await manager.post("/explain", json={"model": "chat"}))
        reading = [each.path for each in OPERATIONS if each.method == "GET"]
        answers += [await manager.get(path) for path in (*reading, "/openapi.json")]
        assert [each.status_code for each in answers[len(MISTAKES) :]] == [200] * (len(answers) - len(MISTAKES))
        answers.append(await manager.get("/status", headers={"x-management-key": MINE}))
        assert answers[-1].status_code == 401
    return b"".join(repr(each.headers.raw).encode() + each.content for each in answers)
