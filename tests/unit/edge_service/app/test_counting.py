"""On a clock that jumps: how long anybody is waited for. Over real sockets it is in
`tests/integration/test_counting.py`."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge_service.app.counting import ASKING_S
from edge_service.app.estimating import Estimator
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import BrokenError, Question
from edge_service.app.record import Record, Tried
from edge_service.dialects.asked import ANTHROPIC
from edge_service.dialects.counting import of_message
from edge_service.domain.headers import TIMEOUT, Headers
from edge_service.domain.needs import Operation
from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import Attempt, Plan
from tests.unit.edge_service.app.test_reply import Client, timed
from tests.unit.edge_service.app.test_time import HANG, Scripted

BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}]}).encode()
COUNTED = b'{"input_tokens": 7}'


class Fives:
    def count(self, text: str) -> int:
        return 5


class World:
    """A resolver, providers of Anthropic's dialect, and a watcher."""

    def __init__(self, *answers: Scripted, total_s: float = 600.0, resolve_s: float = 0.0, first: str = "") -> None:
        dialects = [*filter(None, [first]), *["anthropic"] * len(answers)]
        attempts = [Attempt(f"p{i}/m#0", f"p{i}", dialect, "", "m", "") for i, dialect in enumerate(dialects)]
        self._plan = Plan("d", tuple(attempts), 10, total_s, is_stale=True)
        self._resolve_s = resolve_s
        self._answers = answers
        self.asked: list[str] = []
        self.questions: list[Question] = []
        self.record = Record("", 0.0)
        self.client = Client()

    async def resolve(self, question: Question) -> Plan:
        self.questions.append(question)
        await asyncio.sleep(self._resolve_s)
        return self._plan

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes) -> Scripted:
        assert path == "/v1/messages/count_tokens"
        answer = self._answers[len(self.asked)]
        self.asked.append(attempt.target_id)
        if answer.parts and isinstance(answer.parts[0], float):
            wait_s, *answer.parts = answer.parts  # type: ignore[assignment]
            await asyncio.sleep(wait_s)
        return answer

    def began(self) -> None:
        pass

    def ended(self, record: Record, now: float) -> None:
        self.record = record

    async def count(self, *head: tuple[bytes, bytes], **after_s: float) -> None:  # `after_s` names reasons.
        loop = asyncio.get_running_loop()
        # There is no `report`: to report would fail.
        services = Services(self, self, loop.time, lambda: 0.0, self, Estimator(Fives()))  # type: ignore[arg-type]
        interrupts = Interrupts()
        for reason, seconds in after_s.items():
            loop.call_later(seconds, interrupts.fire, Reason[reason])
        incoming = Incoming("r-1", list(head), BODY, loop.time())
        await Gateway(services).serve(incoming, self.client, interrupts, of_message, ANTHROPIC)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    @property
    def answer(self) -> tuple[float, int, dict[bytes, bytes], bytes]:
        """When, and what."""
        (at, (status, head, content)) = self.client.got[0]  # type: ignore[misc]
        return at, status, dict(head), content


def hangs() -> Scripted:
    return Scripted(HANG)


def fails() -> Scripted:
    return Scripted(b"{}", status=500)


ESTIMATED = b'{"input_tokens":9}'


@timed
async def test_nobody_is_asked_who_cannot_count() -> None:
    world = World(Scripted(COUNTED), first="openai")
    await world.count()
    assert world.answer[3] == COUNTED
    assert world.asked == ["p1/m#0"]
    assert world.questions == [Question("r-1", "chat", stream=False, operation=Operation.COUNT)]
    assert (world.record.operation, world.record.ending, world.record.status) == ("count", "served", 200)
    assert world.answer[2][b"x-forebay-stale"] == b"1"


@timed
async def test_two_are_asked_and_no_more() -> None:
    world = World(fails(), fails(), Scripted(COUNTED))
    await world.count()
    at, status, head, content = world.answer
    assert (at, status, content, len(world.asked)) == (0, 200, ESTIMATED, 2)
    assert (head[b"x-forebay-estimate"], head[b"x-forebay-attempts"]) == (b"1", b"2")
    assert [tried.disposition for tried in world.record.tried] == ["server-error", "server-error"]


@timed
async def test_what_was_in_the_way_of_a_call_is_recorded() -> None:
    world = World(Scripted(BrokenError("closed")), Scripted(COUNTED))
    await world.count()
    assert [(tried.disposition, tried.why) for tried in world.record.tried] == [("broken", "closed"), ("ok", "")]


@timed
async def test_the_silence_of_one_leaves_time_for_another() -> None:
    first = hangs()
    world = World(first, Scripted(2.0, COUNTED))
    await world.count()
    assert world.answer[::3] == (pytest.approx(ASKING_S / 2 + 2), COUNTED)
    assert [tried.disposition for tried in world.record.tried] == ["timeout", "ok"]


@pytest.mark.parametrize(
    ("total_s", "allowed", "resolve_s", "expected_s"),
    [
        (600.0, b"", 0.0, ASKING_S),
        (0.0, b"", 0.2, ASKING_S),
        (4.0, b"", 0.2, 3.6),
        (600.0, b"2", 0.2, 1.8),
        (600.0, b"0.22", 0.21, 0.21),  # Nobody is left time for.
    ],
)
@timed
async def test_providers_are_not_waited_for_longer_than_there_is_time(
    total_s: float, allowed: bytes, resolve_s: float, expected_s: float
) -> None:
    world = World(hangs(), Scripted(b"{", 1e3), total_s=total_s, resolve_s=resolve_s)
    await world.count(*([(TIMEOUT, allowed)] if allowed else []))
    assert world.answer[::3] == (pytest.approx(expected_s), ESTIMATED)


@timed
async def test_a_resolver_that_takes_too_long_for_the_client_is_not_waited_for() -> None:
    world = World(resolve_s=0.4)
    await world.count((TIMEOUT, b"0.1"))
    assert world.answer[:2] == (pytest.approx(0.1), 504)


@pytest.mark.parametrize("after_s", [0.1, 1.0])
@timed
async def test_an_edge_that_ends_says_so(after_s: float) -> None:
    world = World(hangs(), resolve_s=0.2)
    await world.count(DRAINING=after_s)
    assert world.answer[:2] == (pytest.approx(after_s), 503)


@pytest.mark.parametrize("after_s", [0.1, 1.0])
@timed
async def test_a_client_that_left_is_told_nothing(after_s: float) -> None:
    answer = Scripted(b"{", HANG)
    world = World(answer, resolve_s=0.2)
    await world.count(CLIENT_GONE=after_s)
    assert (world.client.got, world.record.ending) == ([], "gone")
    assert answer.was_left == (after_s == 1.0)


def test_what_is_asked_for_twice_is_billed_to_nobody() -> None:
    tried = [Tried("p/m#0", Disposition.TIMEOUT, 0, 1.0), Tried("q/m#0", Disposition.OK, 0, 1.0)]
    record = Record("", 0.0)
    record.tried += tried
    assert record.possible_duplicates == 1
    record.operation = Operation.COUNT
    assert record.possible_duplicates == 0
