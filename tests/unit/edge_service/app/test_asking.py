from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge_service.app.asking import Asking
from edge_service.app.incoming import Incoming, Services
from edge_service.app.record import Record, Tokens
from edge_service.dialects.asked import chat_completion
from edge_service.dialects.asked_plain import passed_on
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.openai_plain import APIS
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt

ATTEMPT = Attempt("p/m#0", "p", "openai", "", "up", "")
BODY = b'{"model": "chat", "messages": [], "stream": true}'
USAGE = b'"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}'


class Answer:
    status = 200

    def __init__(self) -> None:
        self.headers = [(b"x-request-id", b"theirs")]
        self.closed = 0

    def rest(self) -> bytes | None:
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def aclose(self) -> None:
        self.closed += 1


class Upstream:
    def __init__(self) -> None:
        self.answer = Answer()
        self.sent: list[tuple[str, Headers, bytes]] = []

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST") -> Any:
        self.sent.append((path, headers, body))
        return self.answer


def asking(upstream: Upstream, attempt: Attempt = ATTEMPT) -> Asking:
    services: Any = Services(None, upstream, time.perf_counter, time.time, None, None)  # type: ignore[arg-type]
    return Asking(services, Incoming("ours", [(b"x-mine", b"1")], BODY, 0.0), attempt, Record("ours", 0.0))


async def test_a_target_is_asked_and_its_connection_goes_back_once() -> None:
    upstream = Upstream()
    it = asking(upstream)
    it.put(chat_completion(BODY, []))
    assert await it.send() is it.response
    ((path, head, body),) = upstream.sent
    assert (path, dict(head)[b"x-request-id"], b'"model":"up"' in body) == ("/chat/completions", b"ours", True)
    assert it.provider_request_id == "theirs"
    assert await it.body() == b"ab"
    await it.release()
    await it.release()
    assert upstream.answer.closed == 1


def test_what_an_answer_costs_is_known_when_it_is_told() -> None:
    it = asking(Upstream())
    assert it.tokens is None
    it.put(chat_completion(BODY, []))
    reader = it.reader()
    assert reader is not None
    assert it.tokens is None
    reader.read(b"data: {" + USAGE + b"}\n\n")
    assert it.tokens == Tokens(7, 3, 2)


def test_of_a_stream_that_nobody_looks_into_nothing_is_known() -> None:
    it = asking(Upstream())
    it.put(passed_on(APIS[0], b'{"model": "m", "stream": true}', []))
    assert (it.reader(), it.tokens) == (None, None)


def test_who_cannot_be_asked_has_cost_nothing() -> None:
    it = asking(Upstream(), Attempt("p/m#0", "p", "gemini", "", "up", ""))
    with pytest.raises(InexpressibleError):
        it.put(passed_on(APIS[0], b'{"model": "m"}', []))
    assert it.tokens is None
