"""Who may send a large body, and how a request ends that is not served to its end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from edge_service.adapters.http.asgi import UNASKED_BYTES
from edge_service.adapters.http.cycle import CYCLE, Cycle, Line
from edge_service.adapters.http.serving import Conversations, Serving
from edge_service.app.draining import UnderWay
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import Client
from edge_service.dialects import asked
from edge_service.domain import headers
from edge_service.domain.errors import ClientKeyError
from edge_service.domain.headers import Headers

LET_IN = "let in"


class Gateway:
    """Lets in whoever shows the right key, and takes note of what happens in which order."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def clock(self) -> float:
        return 0.0

    async def authenticate(self, request_id: str, client_key: bytes) -> None:
        self.log.append(LET_IN if client_key else "refused")
        if not client_key:
            raise ClientKeyError("an API key is required")

    async def serve(self, incoming: object, *_: object) -> None:
        self.log.append(len(incoming.body))  # type: ignore[attr-defined]


async def serve(
    head: Headers, *parts: int, path: str = "/v1/chat/completions", voice: asked.Voice = asked.OPENAI
) -> tuple[list[object], list[Message]]:
    """What happened to a request whose body comes in parts of these sizes, and what it was answered."""
    gateway, answer, left = Gateway(), [], list(parts)

    async def receive() -> Message:
        if not left:
            return {"type": "http.disconnect"}
        size = left.pop(0)
        gateway.log.append(f"read {size}")
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left)}

    async def send(message: Message) -> None:
        answer.append(message)

    scope: Scope = {"type": "http", "path": path, "headers": head, "query_string": b""}
    app = Conversations(Serving(gateway, UnderWay()), asked.chat_completion, voice)  # type: ignore[arg-type]
    await app(scope, receive, send)
    return gateway.log, answer


KEY = (b"authorization", b"Bearer fb-1")


def length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % size)


async def test_a_body_of_64_kib_is_read_of_anyone() -> None:
    log, _ = await serve([length(UNASKED_BYTES)], UNASKED_BYTES)
    assert log == [f"read {UNASKED_BYTES}", UNASKED_BYTES]


async def test_of_a_larger_one_no_more_is_read_before_it_is_known_who_sends_it() -> None:
    size = UNASKED_BYTES + 1
    log, _ = await serve([length(size), KEY], 1, UNASKED_BYTES)
    assert log == ["read 1", LET_IN, f"read {UNASKED_BYTES}", size]
    log, answer = await serve([length(size)], 1, UNASKED_BYTES)
    assert log == ["read 1", "refused"]
    assert answer[0]["status"] == 401
    head = dict(answer[0]["headers"])
    assert (head[b"connection"], head[b"www-authenticate"]) == (b"close", b'Bearer realm="forebay"')


async def test_what_has_come_at_once_is_not_asked_about_twice() -> None:
    size = 3 * UNASKED_BYTES
    log, _ = await serve([length(size), KEY], size)
    assert log == [f"read {size}", size]


async def test_a_client_that_waits_for_a_sign_is_known_before_it_is_given_one() -> None:
    size = UNASKED_BYTES + 1
    expects = (b"expect", b"100-continue")
    log, _ = await serve([length(size), KEY, expects], size)
    assert log == [LET_IN, f"read {size}", size]
    log, _ = await serve([length(size), expects], size)
    assert log == ["refused"]
    log, _ = await serve([length(UNASKED_BYTES), expects], UNASKED_BYTES)
    assert log == [f"read {UNASKED_BYTES}", UNASKED_BYTES]


async def test_of_one_that_does_not_say_how_large_it_is_not_more_is_read() -> None:
    part = UNASKED_BYTES // 2
    log, _ = await serve([KEY], part, part, part, part)
    assert log == [*[f"read {part}"] * 3, LET_IN, f"read {part}", 4 * part]
    log, answer = await serve([], part, part, part, part)
    assert log == [*[f"read {part}"] * 3, "refused"]
    assert answer[0]["status"] == 401


@pytest.mark.parametrize(
    ("voice", "path", "said"),
    [
        (asked.OPENAI, ("error", "code"), "invalid_api_key"),
        (asked.ANTHROPIC, ("error", "type"), "authentication_error"),
        (asked.GEMINI, ("error", "status"), "UNAUTHENTICATED"),
    ],
)
async def test_a_stranger_is_told_in_the_words_of_its_api(voice: asked.Voice, path: tuple[str, str], said: str) -> None:
    _, answer = await serve([length(UNASKED_BYTES + 1)], 1, UNASKED_BYTES, voice=voice)
    body = json.loads(answer[1]["body"])
    assert body[path[0]][path[1]] == said


class Mistaken(Gateway):
    """Fails, before its answer or in it."""

    def __init__(self, *, begins: bool) -> None:
        super().__init__()
        self._begins = begins

    async def serve(self, incoming: object, client: Client, *_: object) -> None:  # type: ignore[override]
        if self._begins:
            await client.start(200, [])
        raise ZeroDivisionError


@pytest.mark.parametrize("begins", [False, True])
async def test_of_a_mistake_the_client_is_told_in_the_words_of_its_api_unless_the_answer_has_begun(
    *, begins: bool
) -> None:
    answer: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        answer.append(message)

    scope: Scope = {"type": "http", "path": "/v1/messages", "headers": [], "query_string": b""}
    gateway: Any = Mistaken(begins=begins)
    with pytest.raises(ZeroDivisionError):
        await Conversations(Serving(gateway, UnderWay()), asked.message, asked.ANTHROPIC)(scope, receive, send)
    if begins:
        assert [message["type"] for message in answer] == ["http.response.start"]
        return
    assert answer[0]["status"] == 500
    assert headers.REQUEST_ID in dict(answer[0]["headers"])
    assert json.loads(answer[1]["body"])["error"]["message"] == "the gateway made a mistake"


class Begun:
    """A request whose body does not come, or which is served for ever."""

    def __init__(self, cycle: Cycle | None = None) -> None:
        self.under_way = UnderWay()
        self.interrupts: list[Interrupts] = []
        self.answer: list[Message] = []
        scope: Scope = {"type": "http", "path": "/v1/messages", "headers": [], "query_string": b""}
        if cycle is not None:
            scope[CYCLE] = cycle
        gateway: Any = self
        app = Conversations(Serving(gateway, self.under_way), asked.message, asked.ANTHROPIC)
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def clock(self) -> float:
        return 0.0

    async def authenticate(self, request_id: str, client_key: bytes) -> None:
        raise AssertionError("nothing of the body has come")

    async def serve(self, incoming: object, client: Client, interrupts: Interrupts, *_: object) -> None:
        self.interrupts.append(interrupts)
        interrupts.within(Reason.TOTAL, 600.0)
        await asyncio.Event().wait()

    async def _receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self.answer.append(message)


async def test_a_body_that_has_not_come_when_the_grace_is_over_is_waited_for_no_longer() -> None:
    it = Begun()
    await asyncio.sleep(0)
    it.under_way.end()
    await it.task
    assert (it.answer[0]["status"], it.interrupts) == (503, [])
    assert (b"connection", b"close") in it.answer[0]["headers"]
    assert json.loads(it.answer[1]["body"])["error"]["message"] == "the gateway is shutting down"


async def test_one_that_is_cancelled_by_others_is_not_answered() -> None:
    it = Begun()
    await asyncio.sleep(0)
    it.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await it.task
    assert not it.answer


async def test_who_serves_a_client_that_leaves_is_interrupted_and_nothing_of_it_is_kept() -> None:
    cycle = Cycle(Line(*[lambda *_: None] * 4, FlowControl(asyncio.Transport()), ServerState()))
    cycle.complete()
    it = Begun(cycle)
    await asyncio.sleep(0)
    (interrupts,) = it.interrupts
    assert it.under_way._interrupts == {interrupts}
    cycle.leave()
    with pytest.raises(asyncio.CancelledError):
        await it.task
    assert interrupts.reason is Reason.CLIENT_GONE
    assert (it.under_way._interrupts, interrupts.deadlines) == (set(), {})
