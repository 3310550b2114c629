"""The official `openai` library, and responses that providers keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from tests.support.setup import Setup, setup
from tests.support.storing import Storing

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setup]:
    directory: Path = tmp_path_factory.mktemp("stored")
    stores = Storing("one"), Storing("two")
    async with setup(directory, *stores, strategy="round-robin", each="responses: true") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(it: Setup) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{it.services.url}/v1", api_key="mine") as sdk:
        yield sdk


async def test_a_conversation_goes_on_where_it_began(client: openai.AsyncOpenAI) -> None:
    for _ in range(2):  # The pool takes turns.
        first = await client.responses.create(model="chat", input="hello")
        second = await client.responses.create(model="chat", input="go on", previous_response_id=first.id)
        third = ""
        async for event in await client.responses.create(
            model="chat", input="and on", previous_response_id=second.id, stream=True
        ):
            if event.type == "response.completed":
                third = event.response.id
        assert {each.split("_")[1] for each in (first.id, second.id, third)} == {first.id.split("_")[1]}
        assert (await client.responses.retrieve(third)).model == "chat"


async def test_what_is_kept_is_retrieved_listed_and_deleted(client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model="chat", input="hello")
    found = await client.responses.retrieve(made.id, include=["reasoning.encrypted_content"])
    assert (found.id, found.output_text, found.model) == (made.id, "well met", "chat")
    items = [item async for item in client.responses.input_items.list(made.id, limit=5)]
    assert [item.type for item in items] == ["message"]
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError, match="nothing is known under this id"):
        await client.responses.retrieve("resp_nobody")


async def test_the_background_is_polled_streamed_and_cancelled(client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model="chat", input="think", background=True)
    assert made.status == "queued"
    statuses = [(await client.responses.retrieve(made.id)).status for _ in range(2)]
    assert statuses == ["in_progress", "completed"]
    stream = await client.responses.retrieve(made.id, stream=True, starting_after=0)
    kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.in_progress", "response.completed")
    other = await client.responses.create(model="chat", input="think", background=True)
    assert (await client.responses.cancel(other.id)).status == "cancelled"


async def test_it_is_found_by_the_key_that_it_was_made_for(it: Setup, client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model="chat", input="hello")
    with pytest.raises(openai.NotFoundError):
        await client.with_options(api_key="another").responses.retrieve(made.id)
