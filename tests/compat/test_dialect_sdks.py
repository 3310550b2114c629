"""The official libraries of Anthropic and Google as clients of providers of every dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types

from tests.support.matrix import DIALECTS, Matrix, matrix

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with matrix(tmp_path_factory.mktemp("sdks")) as running:
        yield running


def google(it: Matrix) -> genai.Client:
    return genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=it.url))


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_anthropics(it: Matrix, speaks: str) -> None:
    asked = {
        "model": f"{speaks}-model",
        "max_tokens": 100,
        "system": "be brief",
        "messages": [{"role": "user", "content": "hello"}],
    }
    async with anthropic.AsyncAnthropic(base_url=it.url, api_key="unused") as client:
        message = await client.messages.create(**asked)
        assert (message.content[0].text, message.model, message.stop_reason) == (
            "well met",
            f"{speaks}-model",
            "end_turn",
        )
        async with client.messages.stream(**asked) as stream:
            assert [word async for word in stream.text_stream] == ["well ", "met "]
            assert (await stream.get_final_message()).stop_reason == "end_turn"
        names = [model.id async for model in client.models.list()]
        assert names[0] == "mixed"
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(**{**asked, "model": "nobody"})

    def synchronous() -> str:
        with anthropic.Anthropic(base_url=it.url, api_key="unused") as client:
            return client.messages.create(**asked).content[0].text

    assert await asyncio.to_thread(synchronous) == "well met"


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_googles(it: Matrix, speaks: str) -> None:
    client = google(it)
    config = types.GenerateContentConfig(system_instruction="be brief", max_output_tokens=100)
    asked = {"model": f"{speaks}-model", "contents": "hello", "config": config}
    answer = await client.aio.models.generate_content(**asked)
    assert (answer.text, answer.model_version) == ("well met", f"{speaks}-model")
    stream = await client.aio.models.generate_content_stream(**asked)
    assert "".join([chunk.text or "" async for chunk in stream]) == "well met "
    with pytest.raises(errors.ClientError, match="nobody"):
        await client.aio.models.generate_content(model="nobody", contents="hello")
    assert (await client.aio.models.get(model="mixed")).name == "models/mixed"
    synchronous = await asyncio.to_thread(client.models.generate_content, **asked)
    assert synchronous.text == "well met"
    client.close()
    await client.aio.aclose()


COUNTS = {"openai": None, "anthropic": 7, "gemini": 9}
"""None for those who cannot count, so that the gateway does."""


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_both_count(it: Matrix, speaks: str) -> None:
    asked = {"model": f"{speaks}-model", "system": "be brief", "messages": [{"role": "user", "content": "hello"}]}
    async with anthropic.AsyncAnthropic(base_url=it.url, api_key="unused") as client:
        counted = (await client.messages.count_tokens(**asked)).input_tokens
        assert counted == COUNTS[speaks] or (COUNTS[speaks] is None and 3 < counted < 30)
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(**{**asked, "model": "nobody"})

    def synchronous() -> int:
        with anthropic.Anthropic(base_url=it.url, api_key="unused") as client:
            return client.messages.count_tokens(**asked).input_tokens

    assert await asyncio.to_thread(synchronous) == counted
    of_google = google(it)
    total = (await of_google.aio.models.count_tokens(model=f"{speaks}-model", contents="hello")).total_tokens
    assert total == COUNTS[speaks] or (COUNTS[speaks] is None and 1 < total < 30)
    again = await asyncio.to_thread(of_google.models.count_tokens, model=f"{speaks}-model", contents="hello")
    assert again.total_tokens == total
    with pytest.raises(errors.ClientError, match="nobody"):
        await of_google.aio.models.count_tokens(model="nobody", contents="hello")
    of_google.close()
    await of_google.aio.aclose()


@pytest.mark.parametrize("speaks", DIALECTS)
async def test_openais_with_both_of_its_apis(it: Matrix, speaks: str) -> None:
    asked = {"model": f"{speaks}-model", "instructions": "be brief", "input": "hello"}
    async with openai.AsyncOpenAI(base_url=f"{it.url}/v1", api_key="unused") as client:
        response = await client.responses.create(**asked)
        assert (response.output_text, response.status) == ("well met", "completed")
        async with client.responses.stream(**asked) as stream:
            deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            assert "".join(deltas) == "well met "
            assert (await stream.get_final_response()).status == "completed"
        messages = [{"role": "user", "content": "hello"}]
        chat = await client.chat.completions.create(model=f"{speaks}-model", messages=messages)
        assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("well met", "stop")
        chunks = await client.chat.completions.create(model=f"{speaks}-model", messages=messages, stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
        assert "".join(words) == "well met "
