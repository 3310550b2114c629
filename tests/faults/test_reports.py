"""Row 25 of the fault matrix: outcome reports that get lost or arrive twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio
import pytest

from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.app.ports import Question
from edge_service.domain.failover import ReportClosed, ReportEnded, ReportFailed
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import Attempt
from forebay.resolver.v1 import plan_pb2, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.support.away import away
from tests.support.faulty_upstream import refuses
from tests.support.setup import until

TARGET = Attempt("p/m#0", "p", "openai", "http://p", "m", "")
FAILED = ReportFailed(TARGET, Outcome(Disposition.OVERLOADED))


class Notes(resolver_service_pb2_grpc.ResolverServiceServicer):
    """A resolver that notes the reports it gets, and acknowledges them when it likes."""

    def __init__(self) -> None:
        self.items: list[pb.ReportItem] = []
        self.streams = 0
        self.acknowledges = True
        self.heeds_closes = True
        self.hangs_up = asyncio.Event()

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        await context.send_initial_metadata((("x-forebay-closes", "1"),) if self.heeds_closes else ())
        self.streams += 1
        async for message in requests:
            self.items += message.reports
            response = pb.ResolveStreamResponse()
            if self.acknowledges:
                response.acknowledged.extend(item.id for item in message.reports)
            for item in message.resolves:
                plan = plan_pb2.Plan(decision_id=item.request.request_id, attempts_allowed=1)
                plan.attempts.add(target_id="p/m#0")
                response.answers.add(id=item.id, plan=plan)
            yield response
            if self.hangs_up.is_set():
                self.hangs_up.clear()
                return

    @property
    def told(self) -> list[tuple[str, str | None]]:
        return [(item.report.decision_id, item.report.WhichOneof("event")) for item in self.items]


@contextlib.asynccontextmanager
async def noting(notes: Notes) -> AsyncIterator[str]:
    server = grpc.aio.server()
    resolver_service_pb2_grpc.add_ResolverServiceServicer_to_server(notes, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def holds(condition: Callable[[], bool]) -> None:
    async def told() -> bool:
        return condition()

    await until(told)


async def test_reports_that_were_not_acknowledged_come_again_and_no_others() -> None:
    notes = Notes()
    async with noting(notes) as address:
        client = ResolverClient([address], "")
        await client.resolve(Question("d1", "chat", False))
        client.report("d1", FAILED)
        await holds(lambda: len(notes.items) == 1)
        await asyncio.sleep(0.05)  # For the acknowledgement.
        notes.acknowledges = False
        notes.hangs_up.set()
        client.report("d1", ReportEnded(TARGET))
        await holds(lambda: notes.streams == 2)
        notes.acknowledges = True
        await holds(lambda: len(notes.items) >= 3)
        await client.aclose()
    assert notes.told == [("d1", "failed"), ("d1", "ended"), ("d1", "ended")]
    assert notes.items[1] == notes.items[2]
    assert len({item.id for item in notes.items}) == 2


@pytest.mark.parametrize(
    ("heeds_closes", "told"), [(True, [("d1", "ended")]), (False, [("d1", "ended"), ("d1", "closed")])]
)
async def test_what_ends_closes_and_a_resolver_that_does_not_know_it_is_told_so_apart(
    *, heeds_closes: bool, told: list[tuple[str, str]]
) -> None:
    notes = Notes()
    notes.heeds_closes = heeds_closes
    async with noting(notes) as address:
        client = ResolverClient([address], "")
        await client.resolve(Question("d1", "chat", False))
        client.report("d1", ReportEnded(TARGET))
        client.report("d1", ReportClosed())  # Of a decision that is closed nothing more is told.
        await client.aclose()
    assert notes.told == told
    assert notes.items[0].report.closes


async def test_the_last_reports_are_out_before_the_edge_is() -> None:
    notes = Notes()
    async with noting(notes) as address:
        client = ResolverClient([address], "")
        await client.resolve(Question("d1", "chat", False))
        client.report("d1", ReportClosed())
        await client.aclose()
        assert notes.told == [("d1", "closed")]


async def test_an_edge_does_not_wait_for_ever_for_an_acknowledgement() -> None:
    notes = Notes()
    notes.acknowledges = False
    async with noting(notes) as address:
        client = ResolverClient([address], "")
        await client.resolve(Question("d1", "chat", False))
        client.report("d1", ReportClosed())
        async with asyncio.timeout(20):
            await client.aclose()


async def test_a_failure_meant_for_a_resolver_that_is_away_goes_to_another() -> None:
    one, other = Notes(), Notes()
    async with noting(other) as there:
        async with noting(one) as address:
            client = ResolverClient([address, there], "")
            await holds(lambda: (one.streams, other.streams) == (1, 1))
            await client.resolve(Question("d1", "chat", False))
        await holds(lambda: not client._streams[0].is_up)
        client.report("d1", FAILED)
        client.report("d1", ReportClosed())
        await holds(lambda: other.told == [("d1", "failed")])
        await client.aclose()
    assert one.told == []


async def test_a_failure_in_an_outage_is_known_after_it(tmp_path: Path) -> None:
    async with away(tmp_path, strategy="priority") as it:
        first = it.providers[0]
        assert (await it.chat()).headers["x-forebay-target"] == "p0/m#0"
        await it.resolver.stop(signal.SIGKILL)
        first.script = refuses(429, retry_after="60")
        response = await it.chat()
        assert (response.headers["x-forebay-target"], response.headers["x-forebay-stale"]) == ("p1/m#0", "1")
        assert len(first.calls) == 2
        await it.restart(signal.SIGKILL)

        async def is_asked_again() -> bool:
            # In the outage the failing target may be tried anew; a resolver that knows of the failure leaves it out.
            return (await it.chat("m")).status_code == 200

        await until(is_asked_again)
        tried = len(first.calls)
        response = await it.chat()
        assert (response.headers["x-forebay-target"], response.headers["x-forebay-attempts"]) == ("p1/m#0", "1")
        assert "x-forebay-stale" not in response.headers
        assert len(first.calls) == tried == 2
