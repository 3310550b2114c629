"""The official `openai` library as the client of a running Forebay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.faulty_upstream import Connection, delta, refuses, says
from tests.support.setup import Setup, setup

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def sdk(it: Setup, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{it.services.url}/v1", api_key="unused", **options)


async def test_an_answer_whole_and_streamed(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429), says("hello from afar")) as it, sdk(it) as client:
        whole = await client.chat.completions.create(model="chat", messages=HELLO)
        assert whole.choices[0].message.content == "hello from afar"
        assert whole.model == "chat"
        stream = await client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(words).strip() == "hello from afar"


async def test_the_synchronous_client(tmp_path: Path) -> None:
    import asyncio

    async with setup(tmp_path, says("hello")) as it:

        def ask() -> str | None:
            with openai.OpenAI(base_url=f"{it.services.url}/v1", api_key="unused") as client:
                return client.chat.completions.create(model="chat", messages=HELLO).choices[0].message.content

        assert await asyncio.to_thread(ask) == "hello"


async def test_models_are_listed_and_found(tmp_path: Path) -> None:
    async with setup(tmp_path, says("hello")) as it, sdk(it) as client:
        assert [model.id async for model in client.models.list()] == ["pool", "chat", "m"]
        assert (await client.models.retrieve("chat")).owned_by == "forebay-cluster"


async def test_errors_are_of_the_sdks_own_kinds(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(400, message="your fault")) as it, sdk(it, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="your fault"):
            await client.chat.completions.create(model="chat", messages=HELLO)
        with pytest.raises(openai.NotFoundError, match="closest names are: chat"):
            await client.chat.completions.create(model="chta", messages=HELLO)


async def test_the_sdk_does_not_repeat_a_walk_that_has_failed(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(500), refuses(500)) as it, sdk(it, max_retries=2) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="chat", messages=HELLO)
        assert it.hits == [1, 1]


async def test_a_stream_that_breaks_raises(tmp_path: Path) -> None:
    async def breaks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="half"))
        connection.writer.close()

    async with setup(tmp_path, breaks) as it, sdk(it) as client:
        stream = await client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "half"
        with pytest.raises(openai.APIError, match="cut or malformed"):
            await anext(stream)
