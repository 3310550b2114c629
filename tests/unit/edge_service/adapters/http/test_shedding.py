from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from edge_service.adapters.http.asgi import AsgiClient
from edge_service.adapters.http.shedding import MOST_MANAGING, Shedding

Headers = list[tuple[bytes, bytes]]


class Waits:
    """An application that answers when told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go_on.wait()
        await AsgiClient(send).respond(200, [], b"")


class Asking:
    """Clients of a shedding application."""

    def __init__(self, most: int = 100, most_per_key: int = 1) -> None:
        self.app = Waits()
        self.told: list[str] = []
        """The codes of refusals."""
        self.shedding = Shedding(self.app, most, most_per_key, self.told.append)

    async def start(self, headers: Headers | None = None, query: bytes = b"", path: str = "/v1/models") -> Asked:
        scope = {"type": "http", "path": path, "headers": headers or [], "query_string": query}
        asked = Asked()
        asked.task = asyncio.create_task(self.shedding(scope, _nothing, asked.send))
        await asyncio.sleep(0)
        return asked


async def _nothing() -> Message:
    raise AssertionError("the body is not read")


class Asked:
    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        """0 while there is no answer."""
        return self.messages[0]["status"] if self.messages else 0


BEARER: Headers = [(b"authorization", b"Bearer one")]


async def test_who_has_as_many_under_way_as_a_key_may_is_told_429() -> None:
    asking = Asking(most_per_key=2)
    served = [await asking.start(BEARER) for _ in range(2)]
    refused = await asking.start(BEARER)
    assert [each.status for each in (*served, refused)] == [0, 0, 429]
    head = dict(refused.messages[0]["headers"])
    assert head[b"retry-after"] == b"1"
    assert b"x-forebay-request-id" in head
    error = json.loads(refused.messages[1]["body"])["error"]
    assert (error["code"], error["type"]) == ("too_many_concurrent", "rate_limit_error")
    assert "one" not in error["message"]
    assert (await asking.start([(b"authorization", b"Bearer two")])).status == 0
    asking.app.go_on.set()
    await asyncio.gather(*(each.task for each in served))
    assert (await asking.start(BEARER)).status == 200


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer one")], b""),
        ([(b"authorization", b"bearer  one ")], b""),
        ([(b"x-api-key", b"one")], b""),
        ([(b"x-goog-api-key", b"one")], b""),
        ([], b"key=one"),
        ([], b"a=b&key=o%6ee&key=two"),
        ([(b"authorization", b"Basic x"), (b"x-api-key", b"one")], b"key=two"),
        ([(b"x-goog-api-key", b"two"), (b"x-api-key", b"one")], b""),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], b""),
        ([(b"authorization", b"Bearer "), (b"x-api-key", b"one")], b""),
    ],
)
async def test_a_key_is_the_same_wherever_it_is_shown(headers: Headers, query: bytes) -> None:
    asking = Asking()
    await asking.start(BEARER)
    assert (await asking.start(headers, query)).status == 429
    assert (await asking.start()).status == 0


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b""),
        ([], b"akey=one&key"),
        ([], b"key="),
        ([(b"x-api-key", b" ")], b""),
        ([(b"authorization", b"Basic x")], b""),
    ],
)
async def test_those_without_a_key_share_one_count(headers: Headers, query: bytes) -> None:
    asking = Asking()
    await asking.start(headers, query)
    assert (await asking.start()).status == 429
    assert (await asking.start(BEARER)).status == 0


async def test_the_bound_of_all_comes_first() -> None:
    asking = Asking(most=1)
    await asking.start(BEARER)
    refused = await asking.start(BEARER)
    assert refused.status == 503
    assert dict(refused.messages[0]["headers"])[b"retry-after"] == b"1"


async def test_whoever_watches_is_told_of_each_refusal_and_of_nothing_else() -> None:
    asking = Asking(most=2)
    await asking.start(BEARER)
    await asking.start(BEARER)
    assert asking.told == ["too_many_concurrent"]
    await asking.start()
    await asking.start([(b"x-api-key", b"two")])
    assert asking.told == ["too_many_concurrent", "overloaded"]


async def test_without_a_bound_for_keys_there_is_none() -> None:
    asking = Asking(most_per_key=0)
    asked = [await asking.start(BEARER) for _ in range(5)]
    assert [each.status for each in asked] == [0] * 5
    asking.app.go_on.set()
    await asyncio.gather(*(each.task for each in asked))
    assert [each.status for each in asked] == [200] * 5


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_who_asks_after_the_edges_health_is_answered_however_busy_it_is(path: str) -> None:
    asking = Asking(most=0)
    asking.app.go_on.set()
    assert [(await asking.start(path=path)).status for _ in range(2)] == [200, 200]


async def test_who_manages_has_room_of_its_own() -> None:
    asking = Asking(most=1)
    await asking.start(BEARER)
    managing = [await asking.start(BEARER, path="/v0/management/status") for _ in range(MOST_MANAGING)]
    assert [each.status for each in managing] == [0] * MOST_MANAGING
    refused = await asking.start(path="/v0/management/status")
    assert refused.status == 503
    assert json.loads(refused.messages[1]["body"]) == {"error": "the gateway is serving as many requests as it can"}
    assert dict(refused.messages[0]["headers"])[b"retry-after"] == b"1"
    assert asking.told == ["overloaded"]
    asking.app.go_on.set()
    await asyncio.gather(*(each.task for each in managing))
    assert (await asking.start(path="/v0/management/status")).status == 200
    asking.app.go_on.clear()
    again = [await asking.start(path="/v0/management/status") for _ in range(MOST_MANAGING + 1)]
    assert [each.status for each in again] == [*[0] * MOST_MANAGING, 503]


async def test_who_manages_takes_no_room_of_others() -> None:
    asking = Asking(most=1)
    await asking.start(path="/v0/management/status")
    assert (await asking.start()).status == 0


@pytest.mark.parametrize("cancelled", [True, False])
async def test_nothing_is_remembered_of_keys_that_have_nothing_under_way(*, cancelled: bool) -> None:
    asking = Asking()
    asked = [await asking.start([(b"x-api-key", b"%d" % number)]) for number in range(10)]
    assert len(asking.shedding._of_key) == 10
    if cancelled:
        for each in asked:
            each.task.cancel()
    asking.app.go_on.set()
    await asyncio.gather(*(each.task for each in asked), return_exceptions=True)
    assert not asking.shedding._of_key
