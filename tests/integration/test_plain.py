"""The APIs that are no conversations, over real processes: bytes there and back, vectors in two dialects."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from tests.support.echoing import IMAGES, SPEECH, TRANSCRIPT, Plain, plain
from tests.support.faulty_upstream import Connection
from tests.support.forms import Part, form

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIO = Part("file", b"\x00\xff\r\n--b\r\n" * 1000, "a.wav", b"Content-Type: audio/wav\r\n")
FORM = {"content-type": "multipart/form-data; boundary=bound"}


async def send(it: Plain, path: str, *parts: Part, **headers: str) -> httpx2.Response:
    return await it.client.post(path, content=form(list(parts), b"bound"), headers=FORM | headers)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plain]:
    async with plain(tmp_path_factory.mktemp("plain")) as running:
        yield running


async def test_text_is_completed(it: Plain) -> None:
    response = await it.post("/v1/completions", model="openai-model", prompt="hail", suffix=None)
    answer = response.json()
    assert (answer["choices"][0]["text"], answer["model"]) == ("well met", "openai-model")
    call = it.providers["openai"].calls[-1]
    assert (call.path, call.body) == ("/v1/completions", b'{"model":"openai-model","prompt":"hail","suffix":null}')
    streamed = await it.post("/v1/completions", model="openai-model", prompt="hail", stream=True)
    assert streamed.headers["content-type"] == "text/event-stream"
    *events, done = streamed.text.strip().split("\n\n")
    assert [json.loads(event.removeprefix("data: "))["model"] for event in events] == ["openai-model"] * 2
    assert done == "data: [DONE]"


async def test_a_walk_passes_over_those_who_cannot_be_asked(it: Plain) -> None:
    before = [len(it.providers[name].calls) for name in ("anthropic", "gemini")]
    for response in (
        await it.post("/v1/completions", model="any", prompt="hail"),
        await it.post("/v1/moderations", model="any", input="hail"),
        await send(it, "/v1/audio/transcriptions", AUDIO, Part("model", b"any")),
    ):
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, "openai/openai-model#0")
    assert [len(it.providers[name].calls) for name in ("anthropic", "gemini")] == before


@pytest.mark.parametrize("path", ["completions", "embeddings", "moderations", "images/generations", "audio/speech"])
async def test_what_a_dialect_does_not_have_is_refused(it: Plain, path: str) -> None:
    response = await it.post(f"/v1/{path}", model="anthropic-model", input="hail")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "inexpressible")
    assert f"/v1/{path}" in response.json()["error"]["message"]


async def test_vectors_of_the_same_dialect(it: Plain) -> None:
    response = await it.post("/v1/embeddings", model="openai-model", input=[1, 2], user="me", x=None)
    assert response.json()["model"] == "openai-model"
    assert it.providers["openai"].calls[-1].json == {"model": "openai-model", "input": [1, 2], "user": "me", "x": None}


async def test_vectors_of_googles(it: Plain) -> None:
    response = await it.post(
        "/v1/embeddings", model="gemini-model", input=["a", "b"], dimensions=2, encoding_format="base64", user="me"
    )
    answer = response.json()
    assert (answer["model"], len(answer["data"])) == ("gemini-model", 2)
    assert struct.unpack("<2f", base64.b64decode(answer["data"][1]["embedding"])) == (1.0, 2.0)
    assert response.headers["x-forebay-dropped"] == "user"
    (call,) = it.providers["gemini"].calls[-1:]
    assert call.path == "/v1beta/models/gemini-model:batchEmbedContents"
    assert call.json["requests"][1] == {  # type: ignore[index]
        "model": "models/gemini-model",
        "outputDimensionality": 2,
        "content": {"parts": [{"text": "b"}]},
    }
    tokens = await it.post("/v1/embeddings", model="gemini-model", input=[[1, 2]])
    assert (tokens.status_code, tokens.json()["error"]["code"]) == (400, "inexpressible")
    wrong = await it.post("/v1/embeddings", model="gemini-model", input={})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_vectors_for_googles_clients(it: Plain, version: str) -> None:
    one = {"model": "models/x", "content": {"parts": [{"text": "a"}]}}
    path = f"/{version}/models/{{}}-model:{{}}"
    passed = await it.post(path.format("gemini", "embedContent"), **one)
    assert passed.content == b'{ "embedding": {"values":[1.00]}, "usageMetadata":{"promptTokenCount":2}}'
    assert it.providers["gemini"].calls[-1].json["model"] == "models/gemini-model"
    translated = await it.post(path.format("openai", "embedContent"), **one, taskType="RETRIEVAL_QUERY")
    usage = {"promptTokenCount": 4, "totalTokenCount": 4}
    assert translated.json() == {"embedding": {"values": [1.0, 2.0]}, "usageMetadata": usage}
    assert translated.headers["x-forebay-dropped"] == "task_type"
    assert it.providers["openai"].calls[-1].json == {"model": "openai-model", "input": "a"}
    many = await it.post(path.format("openai", "batchEmbedContents"), requests=[one, one])
    assert many.json()["embeddings"] == [{"values": [1.0, 2.0]}] * 2
    refused = await it.post(path.format("anthropic", "batchEmbedContents"), requests=[one])
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    missing = await it.post(path.format("gemini", "embedContent"))
    assert (missing.status_code, missing.json()["error"]["details"][1]["fieldViolations"][0]["field"]) == (
        400,
        "content",
    )


@pytest.mark.parametrize("path", ["transcriptions", "translations"])
async def test_a_form_goes_through_but_for_the_name(it: Plain, path: str) -> None:
    parts = [Part("language", b"de"), AUDIO, Part("model", b"any")]
    response = await send(it, f"/v1/audio/{path}", *parts)
    sent = form([*parts[:2], Part("model", b"openai-model")], b"bound")
    assert (response.status_code, response.content == sent) == (200, True)
    assert response.headers["content-type"] == "text/plain; charset=latin-1"
    call = it.providers["openai"].calls[-1]
    assert (call.path, call.headers["content-type"]) == (f"/v1/audio/{path}", FORM["content-type"])


@pytest.mark.parametrize("path", ["edits", "variations"])
async def test_images_for_images(it: Plain, path: str) -> None:
    response = await send(it, f"/v1/images/{path}", Part("model", b"openai-model"), Part("image", b"\x89PNG", "a.png"))
    assert response.content == b' {"created":1,"data":[{"b64_json":"AAAA"}]}'


async def test_a_form_without_a_model_says_so(it: Plain) -> None:
    response = await send(it, "/v1/audio/transcriptions", AUDIO)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["type"]) == (400, "model", "invalid_request_error")
    assert "'model' is missing" in error["message"]
    bounded = await send(it, "/v1/audio/transcriptions", AUDIO, **{"content-type": "multipart/form-data"})
    assert "boundary" in bounded.json()["error"]["message"]


async def test_streams_go_through_byte_for_byte(it: Plain) -> None:
    images = await it.post("/v1/images/generations", model="any", prompt="a cat", stream=True)
    assert (images.content, images.headers["content-type"]) == (IMAGES, "text/event-stream")
    words = await send(it, "/v1/audio/transcriptions", AUDIO, Part("model", b"any"), Part("stream", b"true"))
    assert (words.content, words.headers["content-type"]) == (TRANSCRIPT, "text/event-stream")


async def test_speech_and_other_answers_are_what_they_are(it: Plain) -> None:
    speech = await it.post("/v1/audio/speech", model="any", input="hi", voice="alloy")
    assert (speech.content, speech.headers["content-type"]) == (SPEECH, "audio/mpeg")
    ranked = await it.post("/v1/rerank", model="any", query="q", documents=["a"])
    assert ranked.json()["asked"] == {"model": "openai-model", "query": "q", "documents": ["a"]}
    judged = await it.post("/v1/moderations", model="any", input="hi")
    assert judged.json()["model"] == "any"
    image = await it.post("/v1/images/generations", model="any", prompt="a cat")
    assert image.json() == {"created": 1, "data": [{"b64_json": "AAAA"}]}


async def test_a_stream_that_breaks_off_ends_in_an_error(it: Plain) -> None:
    async def breaks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(b'data: {"cut')
        connection.writer.close()

    healthy = it.providers["openai"].script
    it.providers["openai"].script = breaks
    try:
        response = await it.post("/v1/images/generations", model="openai-model", prompt="a cat", stream=True)
    finally:
        it.providers["openai"].script = healthy
    cut, error, rest = response.text.split("\n\n")
    assert (cut, rest) == ('data: {"cut', "")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "upstream_broken"
