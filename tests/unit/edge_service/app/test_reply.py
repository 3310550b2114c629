"""On a clock that jumps: how long anything takes is exact."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine

import pytest

from edge_service.app.record import Record
from edge_service.app.reply import Reply
from edge_service.dialects.asked import HEARTBEAT, OPENAI
from edge_service.domain.client_limits import Allowance, ClientLimits
from edge_service.domain.errors import UpstreamError
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition, ErrorAnswer, Outcome
from tests.support.jumping_clock import run_on_a_jumping_clock
from tests.unit.edge_service.domain.plans import plan

EARLY: Headers = [(b"early", b"1")]
HEAD: Headers = [(b"own", b"1")]
LIMITED = UpstreamError(Outcome(Disposition.RATE_LIMITED, status=429), 2)


class Client:
    """Notes what it gets and when; while `reads` is not set it is behind."""

    def __init__(self) -> None:
        self.got: list[tuple[float, object]] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def _gets(self, what: object) -> None:
        await self.reads.wait()
        self.got.append((asyncio.get_running_loop().time(), what))

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        await self._gets((status, headers, content))

    async def start(self, status: int, headers: Headers, content: bytes = b"") -> None:
        await self._gets((status, headers))
        if content:
            await self._gets(content)

    async def send(self, content: bytes) -> None:
        await self._gets(content)

    def write(self, content: bytes) -> bool:
        if self.reads.is_set():
            self.got.append((asyncio.get_running_loop().time(), content))
        return self.reads.is_set()

    async def end(self, content: bytes = b"") -> None:
        if content:
            await self._gets(content)
        await self._gets("end")


def timed(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: object, **named: object) -> None:
        run_on_a_jumping_clock(test(*arguments, **named))

    return run


def warm(period_s: float = 15.0) -> tuple[Client, Reply, Record]:
    client, record = Client(), Record("r", 0.0)
    reply = Reply(client, OPENAI, record)
    reply.keep_warm(period_s, EARLY)
    return client, reply, record


@timed
async def test_content_in_time_is_the_whole_answer() -> None:
    client, reply, record = warm()
    await asyncio.sleep(14)
    await reply.begin(HEAD, b"content")
    await asyncio.sleep(60)
    assert client.got == [(14, (200, HEAD)), (14, b"content")]
    assert record.status == 200


@timed
async def test_until_there_is_content_each_period_has_its_heartbeat() -> None:
    client, reply, record = warm()
    await asyncio.sleep(20)
    assert client.got == [(15, (200, EARLY)), (15, HEARTBEAT)]
    assert record.status == 200
    await asyncio.sleep(20)
    await reply.begin(HEAD, b"content")
    await asyncio.sleep(60)
    assert client.got[2:] == [(30, HEARTBEAT), (40, b"content")]


@timed
async def test_a_stream_that_is_there_at_once_is_a_whole_answer() -> None:
    client, reply, record = warm()
    await reply.begin_and_end(HEAD, b"content")
    await asyncio.sleep(60)
    assert (client.got, record.status) == ([(0, (200, HEAD, b"content"))], 200)


@timed
async def test_behind_a_heartbeat_a_stream_that_is_there_at_once_is_the_end() -> None:
    client, reply, _ = warm()
    await asyncio.sleep(20)
    await reply.begin_and_end(HEAD, b"content")
    await asyncio.sleep(60)
    assert client.got == [(15, (200, EARLY)), (15, HEARTBEAT), (20, b"content"), (20, "end")]


def test_a_heartbeat_is_a_comment_and_nothing_else() -> None:
    assert HEARTBEAT == b": forebay\n\n"


@timed
async def test_a_refusal_in_time_has_its_own_status() -> None:
    client, reply, record = warm()
    await reply.refuse(LIMITED, HEAD)
    await asyncio.sleep(60)
    ((_, (status, head, content)),) = client.got  # type: ignore[misc]
    assert (status, record.status, head[-1]) == (429, 429, HEAD[0])
    assert json.loads(content)["error"]["code"] == "rate_limited"


OWN_WORDS = b'{"error":\n {"message": "your fault"}}'


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, {"message": LIMITED.message, "type": "rate_limit_error", "param": None, "code": "rate_limited"}),
        (OWN_WORDS, {"message": "your fault"}),
        (b"<html>", {"message": LIMITED.message, "type": "rate_limit_error", "param": None, "code": "rate_limited"}),
    ],
)
@timed
async def test_a_refusal_behind_a_heartbeat_is_an_event(answer: bytes | None, said: object) -> None:
    client, reply, record = warm()
    await asyncio.sleep(16)
    passed_on = None if answer is None else ErrorAnswer((), answer)
    await reply.refuse(UpstreamError(Outcome(Disposition.RATE_LIMITED, status=429, answer=lambda: passed_on), 2), HEAD)
    await asyncio.sleep(60)
    (_, event), (_, end) = client.got[2:]
    assert isinstance(event, bytes)
    assert event.endswith(b"\n\n")
    data = b"\n".join(line.removeprefix(b"data: ") for line in event.strip().split(b"\n"))
    assert (json.loads(data)["error"], end, record.status) == (said, "end", 200)


@timed
async def test_who_does_not_read_gets_no_more_heartbeats_and_loses_nothing() -> None:
    client, reply, _ = warm()
    client.reads.clear()
    await asyncio.sleep(100)
    beginning = asyncio.create_task(reply.begin(HEAD, b"content"))
    await asyncio.sleep(1)
    client.reads.set()
    await beginning
    await asyncio.sleep(100)
    assert [what for _, what in client.got] == [(200, EARLY), HEARTBEAT, b"content"]


@timed
async def test_who_waits_for_a_heartbeat_to_be_sent_may_be_interrupted_and_the_answer_is_whole() -> None:
    client, reply, _ = warm()
    client.reads.clear()
    await asyncio.sleep(16)
    beginning = asyncio.create_task(reply.begin(HEAD, b"content"))
    await asyncio.sleep(1)
    beginning.cancel()
    await asyncio.sleep(1)
    client.reads.set()
    await reply.refuse(LIMITED, HEAD)
    assert [what for _, what in client.got][:2] == [(200, EARLY), HEARTBEAT]
    assert [what for _, what in client.got][-1] == "end"
    assert len(client.got) == 4


@pytest.mark.parametrize("is_behind", [False, True])
@timed
async def test_after_the_close_nothing_is_sent(is_behind: bool) -> None:
    client, reply, _ = warm()
    if is_behind:
        client.reads.clear()
    await asyncio.sleep(16)
    before = list(client.got)
    reply.close()
    await asyncio.sleep(1)
    client.reads.set()
    await asyncio.sleep(60)
    assert client.got == before
    assert len(asyncio.all_tasks()) == 1


LIMITS = ClientLimits(Allowance(10, 9, 60.0), None)
OF_A_PROVIDER = [(b"x-ratelimit-limit-requests", b"5000"), (b"anthropic-ratelimit-tokens-limit", b"7")]


@timed
async def test_a_client_that_has_limits_is_told_of_its_own_and_of_no_others() -> None:
    client, record = Client(), Record("r", 0.0)
    reply = Reply(client, OPENAI, record)
    reply.tell_limits(plan()._replace(limits=LIMITS), 0.0)
    await reply.respond([*OF_A_PROVIDER, *HEAD], b"content")
    await reply.begin([*OF_A_PROVIDER, *HEAD], b"content")
    answer = ErrorAnswer(tuple(OF_A_PROVIDER), OWN_WORDS)
    await reply.refuse(UpstreamError(Outcome(Disposition.RATE_LIMITED, status=429, answer=lambda: answer), 1), HEAD)
    heads = [what[1] for _, what in client.got if isinstance(what, tuple)]
    assert len(heads) == 3
    for head in heads:
        told = [(name, value) for name, value in head if b"ratelimit" in name]
        assert told[0] == (b"x-ratelimit-limit-requests", b"10")
        assert len(told) == 3
        assert set(HEAD) <= set(head)
    assert not record.is_unmetered


@timed
async def test_of_a_remembered_plan_no_limits_are_told_and_it_is_noted() -> None:
    client, record = Client(), Record("r", 0.0)
    reply = Reply(client, OPENAI, record)
    reply.tell_limits(plan()._replace(limits=LIMITS, is_stale=True), 0.0)
    await reply.respond([*OF_A_PROVIDER, *HEAD], b"content")
    assert [head for _, (_, head, _) in client.got] == [HEAD]  # type: ignore[misc]
    assert record.is_unmetered


@timed
async def test_a_client_without_limits_is_told_of_the_providers() -> None:
    client = Client()
    reply = Reply(client, OPENAI, Record("r", 0.0))
    reply.tell_limits(plan(), 0.0)
    await reply.respond([*OF_A_PROVIDER, *HEAD], b"content")
    assert [head for _, (_, head, _) in client.got] == [[*OF_A_PROVIDER, *HEAD]]  # type: ignore[misc]
