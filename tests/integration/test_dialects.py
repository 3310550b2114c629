"""Clients of every dialect at providers of every dialect, over real processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.matrix import DIALECTS, Matrix, matrix

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with matrix(tmp_path_factory.mktemp("dialects")) as running:
        yield running


def text_of(dialect: str, answer: dict) -> str:
    if dialect == "openai":
        return answer["choices"][0]["message"]["content"]
    if dialect == "anthropic":
        return "".join(block["text"] for block in answer["content"])
    return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"])


def model_of(dialect: str, answer: dict) -> str:
    return answer["modelVersion" if dialect == "gemini" else "model"]


def events_of(content: bytes) -> list[dict]:
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    return [json.loads(each) for each in data if each != b"[DONE]"]


def streamed_text(dialect: str, events: list[dict]) -> str:
    if dialect == "openai":
        return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])
    if dialect == "anthropic":
        return "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    return "".join(p["text"] for e in events for c in e["candidates"] for p in c.get("content", {}).get("parts", []))


SHOWN = {
    "openai": ("authorization", "Bearer sk-secret"),
    "anthropic": ("x-api-key", "sk-secret"),
    "gemini": ("x-goog-api-key", "sk-secret"),
}


@pytest.mark.parametrize("speaks", DIALECTS)
@pytest.mark.parametrize("asks", DIALECTS)
async def test_every_client_is_served_by_every_provider(it: Matrix, asks: str, speaks: str) -> None:
    response = await it.ask(asks, f"{speaks}-model")
    assert response.status_code == 200, response.text
    answer = response.json()
    assert text_of(asks, answer) == "well met"
    assert model_of(asks, answer) == f"{speaks}-model"
    assert response.headers["x-forebay-target"] == f"{speaks}/{speaks}-model#0"
    assert response.headers["content-type"].startswith("application/json")
    name, value = SHOWN[speaks]
    headers = it.last(speaks).headers
    assert headers[name] == value
    assert [n for n in headers if n in {"authorization", "x-api-key", "x-goog-api-key"}] == [name]
    assert ("anthropic-version" in headers) == (speaks == "anthropic")


@pytest.mark.parametrize("speaks", DIALECTS)
@pytest.mark.parametrize("asks", DIALECTS)
async def test_every_client_gets_its_stream_from_every_provider(it: Matrix, asks: str, speaks: str) -> None:
    response = await it.ask(asks, f"{speaks}-model", stream=True)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.content)
    assert streamed_text(asks, events) == "well met "
    if asks == "openai":
        assert response.content.endswith(b"data: [DONE]\n\n")
    elif asks == "anthropic":
        assert events[0]["message"]["model"] == f"{speaks}-model"
        assert events[-1]["type"] == "message_stop"
    else:
        assert events[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_a_stream_can_be_one_array(it: Matrix, speaks: str) -> None:
    body = {"contents": [{"parts": [{"text": "hello"}]}]}
    response = await it.client.post(f"/v1/models/{speaks}-model:streamGenerateContent", json=body)
    assert response.headers["content-type"].startswith("application/json")
    assert streamed_text("gemini", response.json()) == "well met "


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asks", DIALECTS)
async def test_a_walk_goes_on_at_a_provider_of_another_dialect(it: Matrix, asks: str, stream: bool) -> None:
    response = await it.ask(asks, "mixed", stream=stream)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, "openai/openai-model#0")


@pytest.mark.parametrize("asks", DIALECTS)
async def test_errors_are_told_in_the_words_of_the_client(it: Matrix, asks: str) -> None:
    response = await it.ask(asks, "nobody")
    assert response.status_code == 404
    error = response.json()["error"]
    assert "nobody" in error["message"]
    expected = {"openai": ("code", "model_not_found"), "anthropic": ("type", "not_found_error")}
    key, word = expected.get(asks, ("status", "NOT_FOUND"))
    assert error[key] == word


async def test_what_no_provider_can_say_is_refused_by_name(it: Matrix) -> None:
    body = {
        "model": "gemini-model",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    }
    before = len(it.providers["gemini"].calls)
    response = await it.client.post("/v1/messages", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert "tools" in response.json()["error"]["message"]
    assert len(it.providers["gemini"].calls) == before


async def test_what_is_left_out_is_said(it: Matrix) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"seed": 7}}
    response = await it.client.post("/v1beta/models/anthropic-model:generateContent", json=body)
    assert (response.status_code, response.headers["x-forebay-dropped"]) == (200, "seed")


async def test_an_unknown_method_is_told_in_geminis_words(it: Matrix) -> None:
    response = await it.client.post("/v1beta/models/gemini-model:sing", json={})
    assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")


LISTED = ["mixed", "openai-model", "anthropic-model", "gemini-model", "limited-model"]


async def test_models_are_listed_in_the_shape_of_whoever_asks(it: Matrix) -> None:
    openai = (await it.client.get("/v1/models")).json()
    assert [model["id"] for model in openai["data"]] == LISTED
    anthropic = (await it.client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
    assert [model["id"] for model in anthropic["data"]] == LISTED
    assert (anthropic["first_id"], anthropic["last_id"], anthropic["has_more"]) == (LISTED[0], LISTED[-1], False)
    for path, headers in (("/v1beta/models", {}), ("/v1/models", {"x-goog-api-key": "k"}), ("/v1/models?key=k", {})):
        gemini = (await it.client.get(path, headers=headers)).json()
        assert [model["name"] for model in gemini["models"]] == [f"models/{name}" for name in LISTED]
    one = (await it.client.get("/v1beta/models/MIXED")).json()
    assert (one["name"], one["displayName"]) == ("models/mixed", "mixed")
    missing = await it.client.get("/v1beta/models/nobody")
    assert (missing.status_code, missing.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("asks", DIALECTS)
async def test_a_level_behind_the_name_reaches_the_provider_in_its_own_words(it: Matrix, asks: str) -> None:
    response = await it.ask(asks, "openai-model(high)")
    assert response.status_code == 200, response.text
    if asks == "openai":  # To others it is not known which words a model takes.
        assert it.last("openai").json["reasoning_effort"] == "high"
    response = await it.ask(asks, "anthropic-model(2000)")
    assert response.status_code == 200, response.text
    sent = it.last("anthropic").json
    if asks == "anthropic":  # The client's own limit leaves no room to think.
        assert (sent["max_tokens"], response.headers["x-forebay-dropped"]) == (100, "reasoning")
    else:
        assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2000}
        assert sent["max_tokens"] > 2000
    response = await it.ask(asks, "gemini-model(high)")
    assert response.status_code == 200
    assert it.last("gemini").json["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 24576


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_a_responses_client_is_served_by_every_provider(it: Matrix, speaks: str) -> None:
    body = {"model": f"{speaks}-model", "input": "hello"}
    answer = (await it.client.post("/v1/responses", json=body)).json()
    assert (answer["status"], answer["model"]) == ("completed", f"{speaks}-model")
    assert answer["output"][0]["content"][0]["text"] == "well met"
    stream = await it.client.post("/v1/responses", json={**body, "stream": True})
    events = events_of(stream.content)
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == "well met "
    assert events[-1]["type"] == "response.completed"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_what_only_the_maker_of_an_answer_knows_is_refused_elsewhere(it: Matrix) -> None:
    body = {"model": "openai-model", "input": "go on", "previous_response_id": "resp_1"}
    response = await it.client.post("/v1/responses", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "inexpressible")
    assert "previous_response_id" in response.json()["error"]["message"]
