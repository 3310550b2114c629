"""What a path asks for, where the body does not say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Message, Scope

from edge_service.adapters.http.serving import Generations, Serving, StoredResponses
from edge_service.app.draining import UnderWay
from edge_service.app.incoming import Incoming
from edge_service.dialects import asked
from edge_service.dialects.asked_stored import Stored
from edge_service.dialects.counting import Countable
from edge_service.dialects.exchange import Asked
from edge_service.domain.errors import InvalidRequestError, NoSuchMethodError
from edge_service.domain.needs import Operation
from edge_service.domain.plan import Attempt

Read = Callable[..., Asked | Countable]


class Gateway:
    def __init__(self) -> None:
        self.read: list[Asked | Countable] = []

    def clock(self) -> float:
        return 0.0

    async def authenticate(self, request_id: str, client_key: bytes) -> None:
        raise AssertionError("the body is small")

    async def serve(self, incoming: Incoming, client: object, interrupts: object, read: Read, voice: object) -> None:
        self.read.append(read(incoming.body, incoming.headers))


async def read(make: Callable[[Serving], ASGIApp], scope: Scope, body: bytes = b"") -> Asked | Countable:
    gateway = Gateway()

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(_: Message) -> None: ...

    await make(Serving(cast(Any, gateway), UnderWay()))({"type": "http", "headers": [], **scope}, receive, send)
    (it,) = gateway.read
    return it


async def of_gemini(behind: str, body: bytes, query: bytes = b"") -> Any:
    return await read(Generations, {"path": f"/v1beta/models/{behind}", "query_string": query}, body)


CONTENTS = b'{"contents":[{"parts":[{"text":"hi"}]}]}'
ONE = b'{"content":{"parts":[{"text":"hi"}]}}'
MANY = b'{"requests":[{"model":"models/chat","content":{"parts":[{"text":"hi"}]}}]}'


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (b"", b"application/json; charset=UTF-8"),
        (b"alt=json", b"application/json; charset=UTF-8"),
        (b"alt=sse", b"text/event-stream"),
        (b"key=k&alt=sse", b"text/event-stream"),
    ],
)
async def test_geminis_streams_are_an_array_or_events_as_the_query_says(query: bytes, kind: bytes) -> None:
    it = await of_gemini("chat:streamGenerateContent", CONTENTS, query)
    assert (it.stream, it.voice.stream_type) == (True, kind)


async def test_what_is_no_stream_is_no_array_either() -> None:
    it = await of_gemini("chat:generateContent", CONTENTS, b"alt=json")
    assert (it.stream, it.voice) == (False, asked.GEMINI)


async def test_tokens_are_counted_and_nothing_is_made() -> None:
    assert isinstance(await of_gemini("chat:countTokens", CONTENTS), Countable)


@pytest.mark.parametrize(("method", "body", "other"), [("embedContent", ONE, MANY), ("batchEmbedContents", MANY, ONE)])
async def test_vectors_of_one_content_or_of_many(method: str, body: bytes, other: bytes) -> None:
    it = await of_gemini(f"chat:{method}", body)
    assert (it.model, it.operation) == ("chat", Operation.EMBED)
    with pytest.raises(InvalidRequestError):
        await of_gemini(f"chat:{method}", other)


@pytest.mark.parametrize("behind", ["chat", "chat:", "chat:tune", "chat:generatecontent"])
async def test_there_are_no_other_methods(behind: str) -> None:
    with pytest.raises(NoSuchMethodError):
        await of_gemini(behind, CONTENTS)


@pytest.mark.parametrize(
    ("method", "behind", "query", "asks"),
    [
        ("GET", "", b"", ("GET", "/responses/resp_1")),
        ("HEAD", "", b"", ("GET", "/responses/resp_1")),
        ("DELETE", "", b"", ("DELETE", "/responses/resp_1")),
        ("POST", "/cancel", b"", ("POST", "/responses/resp_1/cancel")),
        ("GET", "/input_items", b"key=secret&limit=2", ("GET", "/responses/resp_1/input_items?limit=2")),
    ],
)
async def test_a_stored_response_is_asked_for_as_the_client_asks_but_without_its_key(
    method: str, behind: str, query: bytes, asks: tuple[str, str]
) -> None:
    scope: Scope = {"method": method, "path": "", "path_params": {"id": "resp_1"}, "query_string": query}
    it = await read(lambda serving: StoredResponses(serving, behind), scope)
    assert isinstance(it, Stored)
    written = it.of(cast(Attempt, None)).written
    assert (written.method, written.path) == asks
