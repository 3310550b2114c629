"""Whole walks on a clock that jumps: what happens when, to the second. Over real sockets it is in
`tests/integration/test_streams.py` and `test_waiting.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import pytest

from edge_service.app.asking import DRAIN_S
from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import BrokenError, Question, Report, UpstreamFailure
from edge_service.app.record import Record
from edge_service.dialects.asked import HEARTBEAT, OPENAI, chat_completion
from edge_service.dialects.asked_plain import passed_on
from edge_service.dialects.exchange import Asked
from edge_service.dialects.openai_plain import APIS
from edge_service.domain.errors import ModelNotFoundError
from edge_service.domain.failover import ReportClosed, ReportFailed
from edge_service.domain.headers import TIMEOUT, Headers
from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import Attempt, Plan, Timeouts
from tests.support.faulty_upstream import DONE, completion, delta
from tests.unit.edge_service.app.test_reply import Client, timed

HANG = 1e6
TIMEOUTS = Timeouts(headers_s=60.0, first_content_s=120.0, idle_s=90.0)
PING, HELLO = b": ping\n\n", delta(content="hello")

Part = float | bytes | UpstreamFailure
"""Seconds that a provider lets pass, what it says, or what becomes of the connection. The first seconds pass before the
head."""


class Scripted:
    """A provider's answer, and whether it was left."""

    def __init__(self, *parts: Part, status: int = 200) -> None:
        self.status = status
        self.headers: Headers = [(b"content-type", b"from/provider")]
        self.parts = parts
        self._body = self._read()
        self.was_left = False
        self.head: Headers = []

    def quotes_credential(self, content: bytes) -> bool:
        return False

    def rest(self) -> bytes | None:
        return None

    def chunks(self) -> AsyncIterator[bytes]:
        return self._body

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        async for part in self._body:
            if not take(part):
                return False
        return True

    async def _read(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, UpstreamFailure):
                raise part
            else:
                await asyncio.sleep(part)

    async def aclose(self) -> None:
        self.was_left = True


class World:
    """A resolver, providers and a watcher."""

    def __init__(self, *answers: Scripted, total_s: float = 600.0, resolve_s: float = 0.0) -> None:
        self.answers = answers
        self._resolve_s = resolve_s
        attempts = [
            Attempt(f"p{i}/m#0", f"p{i}", "openai", "", "m", "", timeouts=TIMEOUTS) for i in range(len(answers))
        ]
        self._plan = Plan("d", tuple(attempts), 10, total_s)
        self.opened = 0
        self._arrived: list[Scripted] = []
        self.reports: list[Report] = []
        self.latencies_s: list[float] = []
        self.record = Record("", 0.0)
        self.client = Client()

    async def resolve(self, question: Question) -> Plan:
        await asyncio.sleep(self._resolve_s)
        return self._plan

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        self.reports.append(report)
        self.latencies_s.append(latency_s)

    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST") -> Scripted:
        assert all(answer.was_left for answer in self._arrived), "one connection at a time"
        answer = self.answers[self.opened]
        self.opened += 1
        answer.head = headers
        if answer.parts and isinstance(answer.parts[0], float):
            wait_s, *answer.parts = answer.parts  # type: ignore[assignment]
            await asyncio.sleep(wait_s)
        self._arrived.append(answer)
        return answer

    def began(self) -> None:
        pass

    def ended(self, record: Record, now: float) -> None:
        self.record = record

    async def chat(  # `after_s` names reasons to interrupt it.
        self,
        *head: tuple[bytes, bytes],
        stream: bool = True,
        heartbeat_s: float = 0.0,
        ask: Callable[[bytes, Headers], Asked] = chat_completion,
        **after_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        services = Services(self, self, loop.time, lambda: 0.0, self, None, heartbeat_s)  # type: ignore[arg-type]
        body = json.dumps({"model": "chat", "messages": [], "stream": stream}).encode()
        interrupts = Interrupts()
        for reason, seconds in after_s.items():
            loop.call_later(seconds, interrupts.fire, Reason[reason])
        incoming = Incoming("r-1", list(head), body, loop.time())
        await Gateway(services).serve(incoming, self.client, interrupts, ask, OPENAI)

    @property
    def status(self) -> int:
        return self.client.got[0][1][0]  # type: ignore[index,no-any-return]

    @property
    def answered_at(self) -> float:
        return self.client.got[0][0]

    @property
    def said(self) -> bytes:
        """All of a stream's body, or a whole answer's."""
        whole = [what[2] for _, what in self.client.got if isinstance(what, tuple) and len(what) == 3]
        return b"".join([*whole, *(what for _, what in self.client.got if isinstance(what, bytes))])

    @property
    def code(self) -> object:
        return json.loads(self.said.split(b"data: ")[-1])["error"]["code"]

    @property
    def failures(self) -> list[tuple[Disposition, bool]]:
        found = [report.outcome for report in self.reports if isinstance(report, ReportFailed)]
        return [(outcome.disposition, outcome.is_blameless) for outcome in found]


def allows(seconds: bytes) -> tuple[bytes, bytes]:
    return (TIMEOUT, seconds)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("total_s", [600.0, 0.0])
@timed
async def test_a_client_may_allow_less_time_than_the_policy(stream: bool, total_s: float) -> None:
    world = World(Scripted(HANG), Scripted(), total_s=total_s, resolve_s=0.25)
    await world.chat(allows(b"2.5"), stream=stream)
    assert (world.status, world.code, world.answered_at) == (504, "upstream_timeout", pytest.approx(2.5))
    assert world.failures == [(Disposition.TIMEOUT, True)], "its haste is not the target's fault"
    assert isinstance(world.reports[-1], ReportClosed)
    assert (world.opened, world.record.status) == (1, 504)


@timed
async def test_a_client_cannot_allow_more() -> None:
    world = World(Scripted(HANG), total_s=5.0, resolve_s=0.25)
    await world.chat(allows(b"86400"), stream=False)
    assert (world.status, world.answered_at) == (504, pytest.approx(5.25))
    assert world.failures == [(Disposition.TIMEOUT, False)]


@timed
async def test_the_time_runs_while_the_resolver_is_asked() -> None:
    world = World(Scripted(HANG), resolve_s=0.25)
    await world.chat(allows(b"0.1"))
    assert (world.status, world.code, world.answered_at) == (504, "upstream_timeout", pytest.approx(0.1))
    assert (world.opened, world.reports) == (0, [])


@timed
async def test_the_time_ends_with_the_first_content() -> None:
    world = World(Scripted(HELLO, 60.0, DONE))
    await world.chat(allows(b"1"))
    assert (world.status, world.record.ending) == (200, "served")


@pytest.mark.parametrize(
    ("parts", "pieces"),
    [([HELLO + DONE], 1), ([PING, HELLO + DONE], 1), ([PING + DONE], 1), ([HELLO, DONE], 4), ([HELLO, 1.0, DONE], 4)],
)
@timed
async def test_a_stream_that_is_there_at_once_is_sent_at_once(parts: list[Part], pieces: int) -> None:
    world = World(Scripted(*parts))
    await world.chat()
    assert (world.said.endswith(DONE), len(world.client.got), world.record.ending) == (True, pieces, "served")


@pytest.mark.parametrize(
    "said",
    [
        *(
            [value]
            for value in (b"", b"0", b"0.0009", b"86400.001", b"-1", b"+1", b"1e2", b"1s", b"nan", b"inf", b".5")
        ),
        *([value] for value in (b"1.", b"1 1", b"1,5", "\u0661".encode(), b"1" * 400)),
        [b"1", b"1"],
    ],
)
@timed
async def test_what_is_no_such_time_is_told(said: list[bytes]) -> None:
    world = World(Scripted())
    await world.chat(*map(allows, said), stream=False)
    error = json.loads(world.said)["error"]
    assert (world.status, error["param"], world.opened) == (400, "x-forebay-timeout-s", 0)
    assert "'x-forebay-timeout-s' must be one number of seconds from 0.001 to 86400" in error["message"]


@pytest.mark.parametrize("said", [b"0.001", b"86400", b"86400.000", b" 7\t", b"007.50"])
@timed
async def test_any_other_is_taken(said: bytes) -> None:
    world = World(Scripted(completion("hello")))
    await world.chat(allows(said), stream=False)
    assert world.status == 200


@timed
async def test_neither_pings_nor_empty_events_keep_a_stream_from_being_idle() -> None:
    beside = [5.0, PING, 5.0, delta(content=""), 5.0, b"data:\n\n", 5.0, delta(finish_reason="stop")]
    world = World(Scripted(HELLO, 80.0, HELLO, *beside * 10, DONE))
    await world.chat()
    assert world.client.got[-1] == (80 + 90, "end")
    assert (world.code, world.record.ending) == ("upstream_timeout", "interrupted")
    assert b"[DONE]" not in world.said
    assert world.answers[0].was_left


@timed
async def test_what_a_failed_attempt_had_begun_is_not_seen() -> None:
    role = delta(role="assistant", content="")
    world = World(Scripted(role, role, HANG), Scripted(role, role, HELLO, DONE))
    await world.chat()
    assert (world.status, world.said.count(b'"role"'), world.client.got[0][0]) == (200, 2, 120)


EARLY = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-forebay-request-id", b"r-1")]


@timed
async def test_heartbeats_go_on_across_a_failover_and_disturb_no_attempt() -> None:
    slow = Scripted(PING, 100.0, delta(role="assistant"), 10.0, HELLO, 60.0, HELLO, DONE)
    world = World(Scripted(HANG), slow)
    await world.chat(heartbeat_s=15.0)
    got = world.client.got
    assert got[0] == (15, (200, EARLY))
    assert [(at, what) for at, what in got if what == HEARTBEAT] == [(15.0 * i, HEARTBEAT) for i in range(1, 12)]
    assert [at for at, what in got if what != HEARTBEAT] == [15, 170, 230, 230, 230]
    after = b"".join(what for at, what in got if isinstance(what, bytes) and at >= 170)
    assert after.startswith(PING), "what was held back is sent as ever"
    assert after.endswith(DONE)
    assert (world.failures, world.record.status, world.record.ending) == (
        [(Disposition.TIMEOUT, False)],
        200,
        "served",
    )


@timed
async def test_when_every_attempt_fails_behind_a_heartbeat_the_stream_says_so() -> None:
    world = World(Scripted(HANG), Scripted(20.0, b'{"error":{"message":"no"}}', status=503))
    await world.chat(heartbeat_s=15.0)
    assert world.client.got[0] == (15, (200, EARLY))
    assert world.client.got[-1] == (80, "end")
    assert json.loads(world.said.split(b"data: ")[-1]) == {"error": {"message": "no"}}
    assert b"[DONE]" not in world.said
    assert (world.record.status, world.record.code, world.record.ending) == (200, "upstream_overloaded", "failed")


@timed
async def test_what_comes_before_the_first_period_is_as_without_heartbeats() -> None:
    world = World(Scripted(14.0, b'{"error":{"message":"no"}}', status=400))
    await world.chat(heartbeat_s=15.0)
    assert (world.status, len(world.client.got), world.record.status) == (400, 1, 400)
    world = World(Scripted(HANG))
    await world.chat(stream=False, heartbeat_s=15.0)
    assert (world.status, len(world.client.got)) == (504, 1), "an answer that comes whole has no place for them"


@timed
async def test_nothing_is_put_into_a_stream_that_may_be_anything() -> None:
    world = World(Scripted(b""), Scripted(40.0, b"\x00\r\n", 10.0, b"\xff"))
    await world.chat(heartbeat_s=15.0, ask=partial(passed_on, APIS[0]))
    assert [(at, sent) for at, sent in world.client.got[1:]] == [
        (40, b"\x00\r\n"),
        (50, b"\xff"),
        (50, "end"),
    ]
    assert world.failures == [(Disposition.EMPTY, False)]


@timed
async def test_a_client_that_leaves_between_heartbeats_ends_them() -> None:
    world = World(Scripted(HANG))
    await world.chat(heartbeat_s=15.0, CLIENT_GONE=20.0)
    await asyncio.sleep(60)
    assert [at for at, _ in world.client.got] == [15, 15]
    assert (world.failures, world.record.status, world.record.ending) == ([(Disposition.CANCELLED, False)], 200, "gone")


@timed
async def test_a_gateway_that_ends_between_heartbeats_says_so_in_the_stream() -> None:
    world = World(Scripted(HANG))
    await world.chat(heartbeat_s=15.0, DRAINING=20.0)
    assert (world.code, world.client.got[-1]) == ("unavailable", (20, "end"))


@timed
async def test_who_is_slow_to_read_a_refusal_is_not_interrupted_in_it() -> None:
    class Refuses(World):
        async def resolve(self, question: Question) -> Plan:
            raise ModelNotFoundError("no such model")

    world = Refuses()
    world.client.reads.clear()
    asyncio.get_running_loop().call_later(60.0, world.client.reads.set)
    await world.chat(allows(b"1"), DRAINING=2.0)
    assert (world.status, world.answered_at) == (404, 60)


@timed
async def test_the_client_may_allow_so_little_that_the_error_comes_behind_a_heartbeat() -> None:
    world = World(Scripted(HANG))
    await world.chat(allows(b"20"), heartbeat_s=15.0)
    assert (world.code, world.client.got[-1]) == ("upstream_timeout", (20, "end"))


@timed
async def test_the_request_id_goes_to_the_provider_and_its_own_into_the_record() -> None:
    refuses, serves = Scripted(b"{}", status=500), Scripted(completion("hello"))
    refuses.headers.append((b"request-id", b"req_1"))
    serves.headers.append((b"x-request-id", b"a\x1b[31m"))
    world = World(refuses, serves)
    await world.chat((b"x-request-id", b"of the client"), stream=False)
    assert [dict(answer.head)[b"x-request-id"] for answer in world.answers] == [b"r-1", b"r-1"]
    assert [tried.provider_request_id for tried in world.record.tried] == ["req_1", ""]


@timed
async def test_the_headers_of_the_client_are_for_providers_of_its_dialect() -> None:
    world = World(Scripted(status=503), Scripted(status=503))
    own, other = world._plan.attempts
    world._plan = world._plan._replace(attempts=(own, replace(other, dialect="anthropic")))
    asked = b'{"model": "chat", "messages": [{"role": "user", "content": "hi"}]}'
    await world.chat((b"openai-beta", b"of the client"), stream=False, ask=lambda _, head: chat_completion(asked, head))
    heads = [dict(answer.head) for answer in world.answers]
    assert [head.get(b"openai-beta") for head in heads] == [b"of the client", None]
    assert [head.get(b"content-type") for head in heads] == [b"application/json"] * 2
    assert [b"anthropic-version" in head for head in heads] == [False, True]


# --- What is counted as whose time -----------------------------------------------------------------------------------

REFUSES = (4.0, b"{}")


@pytest.mark.parametrize(
    ("stream", "serves", "waited_s", "took_s"),
    [
        (False, [1.0, 2.0, completion("hello"), 3.0], 6.0, 6.0),
        (True, [1.0, PING, 2.0, HELLO, 10.0, HELLO, DONE], 3.0, 13.0),
        (True, [1.0, 2.0, HELLO + DONE], 3.0, 3.0),
    ],
)
@timed
async def test_what_providers_take_is_not_the_gateways_own_time(
    stream: bool, serves: list[Part], waited_s: float, took_s: float
) -> None:
    await asyncio.sleep(50)
    world = World(Scripted(*REFUSES, status=503), Scripted(*serves), resolve_s=0.25)
    await world.chat(stream=stream)
    record = world.record
    assert (record.resolve_s, record.upstream_s, record.overhead_s) == (0.25, 4.0 + waited_s, 0.25)
    assert [tried.seconds for tried in record.tried] == [4.0, took_s]
    assert record.first_content_s == (0.25 + 4.0 + waited_s if stream else None)
    assert max(world.latencies_s) == (waited_s if stream else 0.0)


@timed
async def test_what_the_client_allows_is_counted_from_when_it_came() -> None:
    await asyncio.sleep(50)
    world = World(Scripted(HANG), resolve_s=2.0)
    await world.chat(allows(b"2.5"))
    assert (world.opened, world.answered_at) == (1, 52.5)


@timed
async def test_a_stream_may_take_only_so_long_however_much_it_says() -> None:
    world = World(Scripted(HELLO, *[60.0, HELLO] * 10, DONE))
    (attempt,) = world._plan.attempts
    world._plan = world._plan._replace(attempts=(replace(attempt, timeouts=replace(TIMEOUTS, stream_s=200.0)),))
    await world.chat()
    assert world.client.got[-1] == (200, "end")
    assert b"the stream took too long" in world.said


@pytest.mark.parametrize(
    ("rest", "over_at"), [([HANG], DRAIN_S), ([BrokenError("reset")], 0.0), ([b"more", 0.5, b"and more"], 0.5)]
)
@timed
async def test_whatever_follows_the_terminal_marker_the_client_is_served_and_the_connection_read_to_its_end(
    rest: list[Part], over_at: float
) -> None:
    world = World(Scripted(HELLO, DONE, *rest))
    await world.chat()
    assert (world.client.got[-1], world.record.ending, world.answers[0].was_left) == ((0, "end"), "served", True)
    assert asyncio.get_running_loop().time() == over_at
    assert b"more" not in world.said


@timed
async def test_who_is_slow_to_read_of_a_failure_keeps_no_connection_meanwhile() -> None:
    world, left = World(Scripted(b"{}", status=503)), list[bool]()
    world.client.reads.clear()
    loop = asyncio.get_running_loop()
    loop.call_later(60.0, lambda: left.append(world.answers[0].was_left))
    loop.call_later(60.0, world.client.reads.set)
    await world.chat(stream=False)
    assert (left, world.answered_at) == ([True], 60)


@timed
async def test_a_client_that_leaves_before_there_is_a_plan_leaves_nothing_behind() -> None:
    world = World(Scripted(), resolve_s=10.0)
    await world.chat(CLIENT_GONE=5.0)
    assert (world.client.got, world.reports, world.opened, world.record.ending) == ([], [], 0, "gone")


@pytest.mark.parametrize("failures", [1, 2])
@timed
async def test_sdks_are_kept_from_repeating_a_walk_of_more_than_one_target(failures: int) -> None:
    world = World(*[Scripted(b"{}", status=503) for _ in range(failures)])
    await world.chat(stream=False)
    _, head, _ = world.client.got[0][1]  # type: ignore[misc]
    assert dict(head).get(b"x-should-retry") == (b"false" if failures > 1 else None)
