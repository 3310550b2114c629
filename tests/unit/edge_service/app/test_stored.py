"""Responses that providers keep, on a clock that jumps: when they are bound, and how long what was made before is
waited for. Over real processes it is in `tests/integration/test_stored_responses.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_service.app.ports import Question, ReportBound
from edge_service.dialects.asked_responses import response
from edge_service.dialects.asked_stored import Stored
from edge_service.dialects.exchange import Asked
from edge_service.domain.affinity import Made
from edge_service.domain.failover import ReportContent, ReportEnded, ReportFailed
from edge_service.domain.headers import Headers
from edge_service.domain.needs import Operation
from edge_service.domain.plan import Plan
from tests.unit.edge_service.app.test_reply import timed
from tests.unit.edge_service.app.test_time import HANG, Scripted, World


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def about(response_id: str | None, status: str = "in_progress") -> dict[str, object]:
    return {"response": {"id": response_id, "model": "up", "status": status}, "sequence_number": 7}


CREATED = event("response.created", **about("resp_1"))
DELTA = event("response.output_text.delta", delta="hello", sequence_number=8)
COMPLETED = event("response.completed", **about("resp_1", "completed"))
WHOLE = json.dumps({"id": "resp_1", "model": "up", "status": "completed", "output": [{}]}).encode()


class Storing(World):
    """A world whose targets have the Responses API. It notes what had been reported when the client first heard."""

    def __init__(self, *answers: Scripted) -> None:
        super().__init__(*answers)
        attempts = tuple(replace(attempt, responses=True) for attempt in self._plan.attempts)
        self._plan = self._plan._replace(attempts=attempts, name="Chat")
        self.questions: list[Question] = []
        self.before: list[type] = []
        for name in ("start", "respond"):
            setattr(self.client, name, self._noting(getattr(self.client, name)))

    def _noting(self, tell: Callable[..., object]) -> Callable[..., object]:
        def told(*arguments: object) -> object:
            self.before = [type(report) for report in self.reports]
            return tell(*arguments)

        return told

    async def resolve(self, question: Question) -> Plan:
        self.questions.append(question)
        return await super().resolve(question)

    @property
    def bound(self) -> list[tuple[str, Made]]:
        return [(r.attempt.target_id, r.made) for r in self.reports if isinstance(r, ReportBound)]


def asking(**fields: object) -> Callable[[bytes, Headers], Asked]:
    return lambda body, head: response(json.dumps({**json.loads(body), **fields}).encode(), head)


MADE = [("p0/m#0", Made("resp_1", b""))]


@timed
async def test_a_whole_answer_is_bound_before_the_client_has_it() -> None:
    world = Storing(Scripted(WHOLE))
    await world.chat(stream=False, ask=asking())
    assert world.bound == MADE
    assert world.before == [ReportBound]
    assert [type(report) for report in world.reports] == [ReportBound, ReportEnded]


@timed
async def test_a_stream_is_bound_before_the_client_has_anything_of_it_and_once() -> None:
    world = Storing(Scripted(CREATED, DELTA, DELTA, COMPLETED))
    await world.chat(ask=asking())
    assert world.bound == MADE
    assert world.before == [ReportBound, ReportContent]


@timed
async def test_where_the_id_comes_late_it_is_bound_as_soon_as_it_does() -> None:
    world = Storing(Scripted(event("response.created", **about(None)), DELTA, COMPLETED))
    await world.chat(ask=asking())
    assert world.bound == MADE
    kinds = [type(report) for report in world.reports]
    assert kinds == [ReportContent, ReportBound, ReportEnded]


@pytest.mark.parametrize("stream", [False, True])
@timed
async def test_what_is_not_stored_is_not_bound(stream: bool) -> None:
    world = Storing(Scripted(*([CREATED, DELTA, COMPLETED] if stream else [WHOLE])))
    await world.chat(stream=stream, ask=asking(store=False))
    assert (world.status, world.bound) == (200, [])


@timed
async def test_nor_is_what_has_failed_and_who_serves_then_is() -> None:
    world = Storing(
        Scripted(CREATED, event("response.failed", **about("resp_0", "failed"))), Scripted(CREATED, DELTA, COMPLETED)
    )
    await world.chat(ask=asking())
    assert world.bound == [("p1/m#0", Made("resp_1", b""))]
    assert world.status == 200


@timed
async def test_a_stream_that_ends_within_its_last_event_is_bound_too() -> None:
    nameless = event("response.created", **about(None))
    world = Storing(Scripted(nameless, DELTA, COMPLETED.rstrip()))
    await world.chat(ask=asking())
    assert (world.bound, world.record.ending) == (MADE, "served")


@timed
async def test_what_it_goes_on_from_is_told_to_the_resolver() -> None:
    world = Storing(Scripted(WHOLE))
    await world.chat(stream=False, ask=asking(previous_response_id="resp_0"))
    assert [each.goes_on_from for each in world.questions] == [Made("resp_0", b"")]


# --- What was made before ---------------------------------------------------------------------------------------------


def stored(query: str = "") -> Callable[[bytes, Headers], Asked]:
    return lambda body, head: Stored("GET", "resp_1", query=query)


@timed
async def test_it_is_asked_for_without_a_name_and_told_under_the_plans() -> None:
    world = Storing(Scripted(WHOLE))
    await world.chat(ask=stored())
    question = world.questions[0]
    assert (question.model, question.operation, question.goes_on_from) == ("", Operation.RETRIEVE, Made("resp_1", b""))
    assert json.loads(world.said)["model"] == "Chat"
    assert (world.record.operation, world.record.name, world.bound) == (Operation.RETRIEVE, "Chat", [])


@timed
async def test_its_stream_is_not_held_back_and_its_silence_is_bounded() -> None:
    world = Storing(Scripted(CREATED, HANG))
    await world.chat(ask=stored("stream=true"))
    assert world.answered_at == 0, "nothing is held back"
    assert world.client.got[-1] == (90, "end"), "as idle says"
    last = json.loads(world.said.split(b"data: ")[-1])
    assert (last["type"], last["code"], last["sequence_number"]) == ("error", "upstream_timeout", 8)


@pytest.mark.parametrize("stream", [False, True])
@timed
async def test_the_time_for_it_is_bounded(stream: bool) -> None:
    world = Storing(Scripted(HANG))
    await world.chat(ask=stored("stream=true" if stream else ""))
    assert (world.status, world.code, world.answered_at) == (504, "upstream_timeout", 60 if stream else 600)


@timed
async def test_more_than_may_be_is_not_taken() -> None:
    world = Storing(Scripted(*[b" " * 2**20] * 33))
    await world.chat(ask=stored())
    assert (world.status, world.code) == (502, "upstream_broken")
    assert isinstance(world.reports[0], ReportFailed)


@timed
async def test_who_has_left_is_told_nothing() -> None:
    world = Storing(Scripted(HANG))
    await world.chat(ask=stored(), CLIENT_GONE=5.0)
    assert (world.client.got, world.record.ending) == ([], "gone")
