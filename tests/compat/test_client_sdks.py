"""The official libraries as clients whose keys are unknown, may not call a name, or have reached a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.support.faulty_upstream import says
from tests.support.keys import MINE, client, clients
from tests.support.setup import setup

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


async def test_each_raises_errors_of_its_own_kinds(tmp_path: Path) -> None:
    more = clients(client(MINE, allow=["chat"], limits={"rpm": 3}))
    async with setup(tmp_path, says("hello"), more=more) as it:
        url = it.services.url

        async def of_openai(key: str, model: str) -> object:
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as sdk:
                return await sdk.chat.completions.create(model=model, messages=HELLO)

        async def of_anthropic(key: str, model: str) -> object:
            async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as sdk:
                return await sdk.messages.create(model=model, messages=HELLO, max_tokens=10)

        async def of_google(key: str, model: str) -> object:
            sdk = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
            try:
                return await sdk.aio.models.generate_content(model=model, contents="hello")
            except errors.ClientError as error:
                raise {401: KeyError, 404: LookupError, 429: TimeoutError}[error.code](error.status) from error
            finally:
                sdk.close()
                await sdk.aio.aclose()

        kinds: list[tuple[Any, Any, Any, Any]] = [
            (of_openai, openai.AuthenticationError, openai.NotFoundError, openai.RateLimitError),
            (of_anthropic, anthropic.AuthenticationError, anthropic.NotFoundError, anthropic.RateLimitError),
            (of_google, KeyError, LookupError, TimeoutError),
        ]
        for ask, unauthenticated, not_found, _ in kinds:
            assert await ask(MINE, "chat")
            with pytest.raises(unauthenticated):
                await ask("nobody's", "chat")
            with pytest.raises(not_found):
                await ask(MINE, "pool")
        for ask, _, _, limited in kinds:
            with pytest.raises(limited):
                await ask(MINE, "chat")
        assert it.hits == [3]
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=MINE) as sdk:
            assert [model.id async for model in sdk.models.list()] == ["chat"]
