"""Counting tokens, over real processes: who is asked, who is not, and what nobody hears of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.faulty_upstream import Script
from tests.support.matrix import DIALECTS, Matrix, matrix
from tests.support.scripts import answers, breaks_off, hangs
from tests.support.speaking import ANTHROPIC_COUNT, GEMINI_COUNT, SAYS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = ("anthropic", "gemini")
COUNTED = {"anthropic": "input_tokens", "gemini": "totalTokens"}
"""Where the number stands."""
SAID = {"anthropic": ANTHROPIC_COUNT, "gemini": GEMINI_COUNT}
PATHS = {"anthropic": "/v1/messages/count_tokens", "gemini": "/v1beta/models/gemini-model:countTokens"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with matrix(tmp_path_factory.mktemp("counting")) as it:
        yield it


@pytest_asyncio.fixture(loop_scope="module")
async def it(running: Matrix) -> Matrix:
    for name, provider in running.providers.items():
        provider.calls.clear()
        if name in SAYS:
            provider.script = SAYS[name]("well met")
    return running


@pytest.mark.parametrize("speaks", DIALECTS)
@pytest.mark.parametrize("asks", CLIENTS)
async def test_every_client_gets_its_count_from_who_can_count(it: Matrix, asks: str, speaks: str) -> None:
    response = await it.count(asks, f"{speaks}-model")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    tokens = response.json()[COUNTED[asks]]
    if speaks == "openai":
        assert 1 < tokens < 10
        assert (response.headers["x-forebay-estimate"], response.headers["x-forebay-attempts"]) == ("1", "0")
        assert "x-forebay-target" not in response.headers
        assert it.providers["openai"].calls == [], "never a generation"
        return
    assert "x-forebay-estimate" not in response.headers
    assert response.headers["x-forebay-target"] == f"{speaks}/{speaks}-model#0"
    assert [call.path for call in it.providers[speaks].calls] == [PATHS[speaks]]
    if asks == speaks:
        assert response.content == SAID[speaks], "byte for byte"
    else:
        assert response.json() == {COUNTED[asks]: json.loads(SAID[speaks])[COUNTED[speaks]]}


async def test_what_the_provider_counts_is_the_request(it: Matrix) -> None:
    body = {
        "model": "gemini-model",
        "system": "be brief",
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "hello"}],
    }
    assert (await it.client.post("/v1/messages/count_tokens", json=body)).status_code == 200
    asked = it.last("gemini").json["generateContentRequest"]
    assert asked["model"] == "models/gemini-model"
    assert asked["systemInstruction"]["parts"] == [{"text": "be brief"}]
    assert asked["tools"][0]["functionDeclarations"][0]["name"] == "look"
    same = {**body, "model": "ANTHROPIC-model", "from_tomorrow": None}
    head = {"anthropic-beta": "new-2027", "anthropic-version": "2026-10-21"}
    assert (await it.client.post("/v1/messages/count_tokens", json=same, headers=head)).status_code == 200
    call = it.last("anthropic")
    assert call.json == {**same, "model": "anthropic-model"}
    assert (call.headers["anthropic-beta"], call.headers["anthropic-version"]) == ("new-2027", "2026-10-21")


async def test_a_failure_moves_on_to_who_can_count_and_cools_nobody(it: Matrix) -> None:
    for _ in range(3):
        response = await it.count("anthropic", "mixed")
        assert (response.status_code, response.content) == (200, ANTHROPIC_COUNT)
        assert response.headers["x-forebay-attempts"] == "2"
    assert len(it.providers["limited"].calls) == 3, "429s three times, and it still is asked"
    assert it.providers["openai"].calls == []
    generated = await it.ask("anthropic", "limited-model")
    assert (generated.status_code, len(it.providers["limited"].calls)) == (429, 4), "it is not cooling"


BUSY = answers(529, b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}')
NO_SUCH_CALL = answers(405, b'{"detail": "Method Not Allowed"}')


@pytest.mark.parametrize(
    "script", [BUSY, NO_SUCH_CALL, answers(401, b"{}"), answers(200, b'{"tokens": 3}'), answers(200, b"no"), breaks_off]
)
@pytest.mark.parametrize("asks", CLIENTS)
async def test_where_nobody_counts_the_gateway_does(it: Matrix, asks: str, script: Script) -> None:
    it.providers["anthropic"].script = script
    response = await it.count(asks, "anthropic-model", text="one two three four five six seven")
    assert (response.status_code, response.headers["x-forebay-estimate"]) == (200, "1")
    assert 7 <= response.json()[COUNTED[asks]] < 20
    assert response.headers["x-forebay-attempts"] == "1"
    it.providers["anthropic"].script = SAYS["anthropic"]("still there")
    assert (await it.ask(asks, "anthropic-model")).status_code == 200


async def test_who_is_silent_is_not_waited_for(it: Matrix) -> None:
    holds = hangs()
    it.providers["anthropic"].script = holds
    async with asyncio.timeout(20):
        response = await it.count("anthropic", "anthropic-model", x_forebay_timeout_s="0.5")
    assert (response.status_code, response.headers["x-forebay-estimate"]) == (200, "1")
    await holds.is_left()


async def test_a_fault_of_the_request_is_the_clients_to_hear(it: Matrix) -> None:
    error = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages.0: no good"},"new":1}'
    it.providers["anthropic"].script = answers(400, error)
    response = await it.count("anthropic", "anthropic-model")
    assert (response.status_code, response.content) == (400, error)
    told = await it.count("gemini", "anthropic-model")
    assert (told.status_code, told.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "messages.0: no good" in told.json()["error"]["message"]
    assert len(it.providers["anthropic"].calls) == 2


async def test_when_the_client_leaves_the_provider_is_left(it: Matrix) -> None:
    holds = hangs()
    it.providers["gemini"].script = holds
    asking = asyncio.create_task(it.count("gemini", "gemini-model"))
    async with asyncio.timeout(20):
        await holds.called.wait()
    asking.cancel()
    await holds.is_left()


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_what_is_wrong_is_told_in_the_words_of_the_client(it: Matrix, speaks: str) -> None:
    wrong = await it.client.post("/v1/messages/count_tokens", json={"model": f"{speaks}-model", "messages": 1})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
    response = await it.client.post(f"/v1/models/{speaks}-model:countTokens", content=b"{")
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert not any(it.providers[name].calls for name in DIALECTS)


async def test_nobody_can_be_counted_for_by_a_name_that_is_not_there(it: Matrix) -> None:
    assert (await it.count("anthropic", "nobody")).json()["error"]["type"] == "not_found_error"
    assert (await it.count("gemini", "nobody")).json()["error"]["status"] == "NOT_FOUND"


async def test_twenty_megabytes_keep_nobody_waiting(it: Matrix) -> None:
    """The bound is a generous one: a loop that is blocked would be so for seconds."""
    counting = asyncio.create_task(it.count("anthropic", "openai-model", text="A" * 19_000_000))
    slowest = 0.0
    while not counting.done():
        began = asyncio.get_running_loop().time()
        assert (await it.client.get("/healthz")).status_code == 200
        slowest = max(slowest, asyncio.get_running_loop().time() - began)
    tokens = (await counting).json()["input_tokens"]
    assert tokens == pytest.approx(19_000_000 / 8, rel=0.01)
    assert slowest < 1.0
