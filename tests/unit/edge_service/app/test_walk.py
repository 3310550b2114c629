"""What no real provider can bring about: mistakes of our own in the middle of a walk. All else is tested over sockets,
in `tests/integration`."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge_service.app.gateway import Gateway
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import Model, Question, Report
from edge_service.app.record import Record
from edge_service.dialects.asked import OPENAI, chat_completion
from edge_service.domain.failover import IllegalEventError, ReportClosed, ReportFailed
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt, Plan

BODY = b'{"model": "chat", "messages": []}'


class OnePlan:
    """A resolver with one plan, which notes what is reported."""

    def __init__(self, dialect: str = "openai") -> None:
        self.reports: list[Report] = []
        self._plan = Plan("d", (Attempt("p/m#0", "p", dialect, "http://p", "m", ""),), 1, 0.0)

    async def resolve(self, question: Question) -> Plan:
        return self._plan

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        assert decision_id == "d"
        self.reports.append(report)

    async def models(self) -> list[Model]:
        raise NotImplementedError


class Mistaken:
    async def send(self, attempt: Attempt, path: str, headers: Headers, body: bytes, method: str = "POST") -> None:
        raise ZeroDivisionError


class Watcher:
    def began(self) -> None:
        pass

    def ended(self, record: Record, now: float) -> None:
        pass


class Notes:
    """A client that notes the status it was answered with."""

    status = 0

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        self.status = status

    async def send(self, content: bytes) -> None:
        raise NotImplementedError

    def write(self, content: bytes) -> bool:
        raise NotImplementedError

    async def end(self, content: bytes = b"") -> None:
        raise NotImplementedError


async def chat(resolver: OnePlan) -> Notes:
    client = Notes()
    services = Services(
        resolver, Mistaken(), clock=time.perf_counter, wall_clock=time.time, telemetry=Watcher(), estimator=None
    )  # type: ignore[arg-type]
    await Gateway(services).serve(Incoming("r", [], BODY, 0.0), client, Interrupts(), chat_completion, OPENAI)  # type: ignore[arg-type]
    return client


async def test_a_mistake_of_our_own_leaves_no_decision_open() -> None:
    resolver = OnePlan()
    with pytest.raises(ZeroDivisionError):
        await chat(resolver)
    assert [type(report) for report in resolver.reports] == [ReportFailed, ReportClosed]


async def test_a_plan_of_nothing_is_closed_too() -> None:
    resolver = OnePlan()
    resolver._plan = resolver._plan._replace(attempts=())
    with pytest.raises(IllegalEventError, match="anything to try"):
        await chat(resolver)
    assert [type(report) for report in resolver.reports] == [ReportClosed]


async def test_a_gateway_that_ends_while_it_waits_for_a_plan_says_so() -> None:
    class Waits(OnePlan):
        async def resolve(self, question: Question) -> Plan:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets the event")

    client = Notes()
    interrupts = Interrupts()
    asyncio.get_running_loop().call_soon(interrupts.fire, Reason.DRAINING)
    services = Services(
        Waits(), Mistaken(), clock=time.perf_counter, wall_clock=time.time, telemetry=Watcher(), estimator=None
    )  # type: ignore[arg-type]
    await Gateway(services).serve(Incoming("r", [], BODY, 0.0), client, interrupts, chat_completion, OPENAI)  # type: ignore[arg-type]
    assert client.status == 503


async def test_a_plan_that_cannot_be_walked_is_closed() -> None:
    resolver = OnePlan(dialect="martian")
    assert (await chat(resolver)).status == 400
    assert [type(report) for report in resolver.reports] == [ReportFailed, ReportClosed]
