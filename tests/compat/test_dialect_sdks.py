"""What the libraries of Anthropic and Google ask for beside answers: counts, listings, errors that they know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anthropic
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


async def test_anthropics_lists_models_and_knows_its_errors(it: Matrix) -> None:
    async with anthropic.AsyncAnthropic(base_url=it.url, api_key="unused") as client:
        names = [model.id async for model in client.models.list()]
        assert names[0] == "mixed"
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="nobody", max_tokens=9, messages=[{"role": "user", "content": "hello"}])


async def test_googles_finds_models_and_knows_its_errors(it: Matrix) -> None:
    client = google(it)
    with pytest.raises(errors.ClientError, match="nobody"):
        await client.aio.models.generate_content(model="nobody", contents="hello")
    assert (await client.aio.models.get(model="mixed")).name == "models/mixed"
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
