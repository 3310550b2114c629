"""The official libraries of OpenAI and Google as clients of the APIs that are no conversations."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import types

from tests.support.echoing import SPEECH, Plain, plain

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plain]:
    async with plain(tmp_path_factory.mktemp("plain-sdks")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(it: Plain) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{it.url}/v1", api_key="unused") as client:
        yield client


def audio() -> io.BytesIO:
    file = io.BytesIO(b"\x00\xff" * 100_000)
    file.name = "a.wav"
    return file


async def test_completions(client: openai.AsyncOpenAI) -> None:
    whole = await client.completions.create(model="any", prompt="hail")
    assert (whole.choices[0].text, whole.model) == ("well met", "any")
    stream = await client.completions.create(model="any", prompt="hail", stream=True)
    assert "".join([event.choices[0].text async for event in stream]) == "well met"


@pytest.mark.parametrize("model", ["openai-model", "gemini-model"])
async def test_embeddings(client: openai.AsyncOpenAI, model: str) -> None:
    # Without a format the library asks for base64 and unpacks it; with one, it hands on what comes.
    for answer in (
        await client.embeddings.create(model=model, input=["a", "b"]),
        await client.embeddings.create(model=model, input=["a", "b"], encoding_format="float"),
    ):
        assert [vector.embedding for vector in answer.data] == [[1.0, 2.0]] * 2
        assert answer.model == model
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        await client.embeddings.create(model="anthropic-model", input="a")


async def test_images(client: openai.AsyncOpenAI) -> None:
    made = await client.images.generate(model="any", prompt="a cat")
    assert made.data is not None
    assert made.data[0].b64_json == "AAAA"
    stream = await client.images.generate(model="any", prompt="a cat", stream=True, partial_images=1)
    assert [event.type async for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
    edited = await client.images.edit(model="any", prompt="a dog", image=("a.png", b"\x89PNG", "image/png"))
    assert edited.data is not None
    assert edited.data[0].b64_json == "AAAA"


async def test_audio(client: openai.AsyncOpenAI, it: Plain) -> None:
    heard = await client.audio.transcriptions.create(model="any", file=audio(), response_format="text")
    assert b'name="model"\r\n\r\nopenai-model\r\n' in it.providers["openai"].calls[-1].body
    assert audio().getvalue() in it.providers["openai"].calls[-1].body
    assert "openai-model" in str(heard)
    stream = await client.audio.transcriptions.create(model="any", file=audio(), stream=True)
    assert [event.type async for event in stream] == ["transcript.text.delta", "transcript.text.done"]
    speech = await client.audio.speech.create(model="any", input="hi", voice="alloy")
    assert speech.content == SPEECH
    async with client.audio.speech.with_streaming_response.create(model="any", input="hi", voice="alloy") as response:
        assert await response.read() == SPEECH
    with pytest.raises(openai.BadRequestError, match="'model' is empty"):
        await client.audio.transcriptions.create(model="", file=audio())


async def test_moderations(client: openai.AsyncOpenAI) -> None:
    judged = await client.moderations.create(model="any", input="hi")
    assert (judged.results[0].flagged, judged.model) == (False, "any")
    with pytest.raises(openai.BadRequestError, match="'model' is missing"):
        await client.moderations.create(input="hi")


async def test_synchronous(it: Plain) -> None:
    def ask() -> list[float]:
        with openai.OpenAI(base_url=f"{it.url}/v1", api_key="unused") as client:
            return client.embeddings.create(model="any", input="a").data[0].embedding

    assert await asyncio.to_thread(ask) == [1.0, 2.0]


@pytest.mark.parametrize("model", ["openai-model", "gemini-model"])
async def test_googles_embeddings(it: Plain, model: str) -> None:
    client = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=it.url))
    config = types.EmbedContentConfig(output_dimensionality=2)
    contents = [types.Content(parts=[types.Part(text=text)]) for text in ("a", "b")]
    answer = await client.aio.models.embed_content(model=model, contents=contents, config=config)
    assert answer.embeddings is not None
    assert [vector.values for vector in answer.embeddings] == [[1.0, 2.0]] * 2
