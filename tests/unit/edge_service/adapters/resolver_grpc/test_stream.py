from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import uvloop
from hyperframe.frame import WindowUpdateFrame
from structlog.testing import capture_logs

from edge_service.adapters.resolver_grpc import stream as stream_module
from edge_service.adapters.resolver_grpc.channels import Channels, LookUp
from edge_service.adapters.resolver_grpc.management import CHANGE_TIMEOUT_S
from edge_service.adapters.resolver_grpc.stream import ResolveStream, StreamLostError
from forebay.resolver.v1 import plan_pb2, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb


class Counting(resolver_service_pb2_grpc.ResolverServiceServicer):
    """A resolver that notes how many questions come at a time."""

    def __init__(self) -> None:
        self.at_a_time: list[int] = []

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        await context.send_initial_metadata(())
        async for message in requests:
            self.at_a_time.append(len(message.resolves))
            answers = [pb.ResolveAnswer(id=item.id) for item in message.resolves]
            yield pb.ResolveStreamResponse(answers=answers, acknowledged=[item.id for item in message.reports])


@contextlib.asynccontextmanager
async def streaming(
    servicer: Any, listen: str = "127.0.0.1:0", *, name: str = "", look_up: LookUp | None = None
) -> AsyncIterator[ResolveStream]:
    """A stream to the servicer, by a name if one is given."""
    server = grpc.aio.server()
    if isinstance(servicer, grpc.GenericRpcHandler):
        server.add_generic_rpc_handlers((servicer,))
    else:
        resolver_service_pb2_grpc.add_ResolverServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(listen)
    await server.start()
    address = listen if listen.startswith("unix:") else f"{name or listen.rpartition(':')[0]}:{port}"
    stream = ResolveStream(address, "", Channels(look_up=look_up))
    try:
        yield stream
    finally:
        await stream.aclose()
        await server.stop(None)


@pytest.mark.parametrize(("at_first", "then"), [(1, [0, 1, 1]), (2, [0, 2])])
async def test_questions_wait_for_each_other_where_several_came_at_a_time(at_first: int, then: list[int]) -> None:
    counting = Counting()
    async with streaming(counting) as stream:
        await asyncio.gather(*(stream.resolve(pb.ResolveRequest(), 10) for _ in range(at_first)))
        stream.report(pb.OutcomeReport(), at_once=True)
        while stream.reports_unacknowledged:
            await asyncio.sleep(0.001)
        one = asyncio.create_task(stream.resolve(pb.ResolveRequest(), 10))
        for _ in range(2):  # Turns, in which whoever does not wait goes.
            await asyncio.sleep(0)
        await asyncio.gather(one, stream.resolve(pb.ResolveRequest(), 10))
        assert counting.at_a_time == [at_first, *then]


class Slow(Counting):
    """One that answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.has_come, self.may_answer = asyncio.Event(), asyncio.Event()

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        async for answers in super().ResolveStream(requests, context):
            self.has_come.set()
            await self.may_answer.wait()
            yield answers


async def test_what_is_asked_while_a_message_is_under_way_goes_in_the_next_one() -> None:
    slow = Slow()
    async with streaming(slow) as stream:
        asking = [asyncio.create_task(stream.resolve(pb.ResolveRequest(), 10))]
        await slow.has_come.wait()
        for _ in range(3):
            asking.append(asyncio.create_task(stream.resolve(pb.ResolveRequest(), 10)))
            for _ in range(5):  # Turns, in which whoever does not wait goes.
                await asyncio.sleep(0)
        slow.may_answer.set()
        await asyncio.gather(*asking)
    assert slow.at_a_time == [1, 3]


class Echoing(resolver_service_pb2_grpc.ResolverServiceServicer):
    """A resolver that gives back the name that it is asked for."""

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        await context.send_initial_metadata(())
        async for message in requests:
            for item in message.resolves:
                plan = plan_pb2.Plan(name=item.request.model)
                yield pb.ResolveStreamResponse(answers=[pb.ResolveAnswer(id=item.id, plan=plan)])


@pytest.mark.parametrize(
    ("listen", "host"),
    # A name is served at one of its addresses: a port that is free at one may be somebody else's at the other.
    [("127.0.0.1:0", ""), ("127.0.0.1:0", "localhost"), ("[::1]:0", ""), ("unix:", "")],
)
async def test_large_messages_come_through_wherever_a_resolver_is(listen: str, host: str, tmp_path: Path) -> None:
    """More than HTTP/2 lets anyone send unasked, each way."""
    name = "x" * 3_000_000
    async with streaming(Echoing(), f"unix:{tmp_path / 's'}" if listen == "unix:" else listen, name=host) as stream:
        for _ in range(3):
            answer = await stream.resolve(pb.ResolveRequest(model=name), 20)
            assert answer.plan.name == name


async def test_each_address_of_a_name_is_tried() -> None:
    asked = []

    async def look_up(host: str, port: int) -> list[object]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"]  # At the first one there is nobody.

    async with streaming(Echoing(), name="resolver.test", look_up=look_up) as stream:
        assert (await stream.resolve(pb.ResolveRequest(model="chat"), 10)).plan.name == "chat"
    assert asked == ["resolver.test"]


async def test_an_address_is_no_name_to_look_up() -> None:
    async def look_up(host: str, port: int) -> list[object]:
        raise AssertionError(host)

    async with streaming(Echoing(), look_up=look_up) as stream:
        assert (await stream.resolve(pb.ResolveRequest(model="chat"), 10)).plan.name == "chat"


async def test_what_can_be_no_name_is_tried_again_like_any_other() -> None:
    """It may be a mistake of whoever looks names up."""
    tries = asyncio.Queue[str]()

    async def look_up(host: str, port: int) -> list[object]:
        tries.put_nowait(host)
        raise UnicodeError("label empty or too long")

    async with asyncio.timeout(20), streaming(Echoing(), name="a..b", look_up=look_up):
        assert [await tries.get() for _ in range(2)] == ["a..b"] * 2


class Silent(resolver_service_pb2_grpc.ResolverServiceServicer):
    """A resolver that notes the reports that it gets, and acknowledges them. It answers no question of the stream."""

    def __init__(self) -> None:
        self.reports: list[pb.OutcomeReport] = []

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        await context.send_initial_metadata(())
        async for message in requests:
            self.reports += [item.report for item in message.reports]
            yield pb.ResolveStreamResponse(acknowledged=[item.id for item in message.reports])

    async def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(revision=7)


async def test_the_last_reports_go_out_before_it_is_closed() -> None:
    silent = Silent()
    async with streaming(silent) as stream:
        while not stream.is_up:
            await asyncio.sleep(0.001)
        stream.report(pb.OutcomeReport(decision_id="d"))
    assert [report.decision_id for report in silent.reports] == ["d"]


async def test_a_plan_that_comes_as_the_waiting_ends_is_closed() -> None:
    async with streaming(Silent()) as stream:
        asking = asyncio.create_task(stream.resolve(pb.ResolveRequest(), 10))
        await asyncio.sleep(0)
        (number,) = stream._waiting
        answer = pb.ResolveAnswer(id=number, plan=plan_pb2.Plan(decision_id="d"))
        stream._hand_out(pb.ResolveStreamResponse(answers=[answer]))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        (item,) = stream._outbox.take()
        assert (item.report.decision_id, item.report.WhichOneof("event")) == ("d", "closed")


async def test_listings_go_on_when_certificates_are_renewed() -> None:
    async with streaming(Silent()) as stream:
        for _ in range(2):
            assert (await stream.list_models(pb.ListModelsRequest(), 10)).revision == 7
            stream.renewed()


async def test_so_does_a_change_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    graces: list[float | None] = []
    async with streaming(Silent()) as stream:
        close = stream._channel.close

        async def closed(grace: float | None = None) -> None:
            graces.append(grace)
            await close(grace)

        monkeypatch.setattr(stream._channel, "close", closed)
        stream.renewed()
    assert graces == [CHANGE_TIMEOUT_S]


class Refusing(resolver_service_pb2_grpc.ResolverServiceServicer):
    def __init__(self) -> None:
        self.calls = 0

    async def ResolveStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ResolveStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ResolveStreamResponse]:
        self.calls += 1
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        yield pb.ResolveStreamResponse()


async def test_why_a_resolver_refuses_is_told_at_once_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "BACKOFF_MIN_S", 0.001)
    refusing = Refusing()
    with capture_logs() as logged:
        async with streaming(refusing) as stream:
            while refusing.calls < 4:
                await asyncio.sleep(0.001)
            assert not stream.is_up
    assert [(line["event"], line["address"], line["details"]) for line in logged] == [
        ("resolver_unreachable", stream.address, "UNAUTHENTICATED: who are you?")
    ]


class Babbling(grpc.GenericRpcHandler):
    """A server that accepts every call, and says what is no message of ours."""

    def __init__(self) -> None:
        self.calls = 0

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return grpc.stream_stream_rpc_method_handler(self._say)

    async def _say(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        self.calls += 1
        await context.send_initial_metadata(())
        async for _ in requests:
            yield b"\xff\xff"


async def test_a_resolver_that_makes_no_sense_is_left_and_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "BACKOFF_MIN_S", 0.01)
    babbling = Babbling()
    async with streaming(babbling) as stream:
        for _ in range(2):
            with pytest.raises(StreamLostError):
                await stream.resolve(pb.ResolveRequest(), 10)
    assert babbling.calls >= 2


async def test_reports_wait_for_a_resolver_that_does_not_keep_up() -> None:
    """They are kept, 1,000 at most: written without an end they would be kept twice."""
    async with streaming(Echoing()) as stream:
        await stream.resolve(pb.ResolveRequest(), 10)
        call = stream._call
        assert call is not None
        call._stream_room_bytes = 0  # As if it had not read for a while.
        written = set()
        for _ in range(3):
            stream.report(pb.OutcomeReport(), at_once=True)
            for _ in range(5):  # Turns, in which whoever does not wait goes.
                await asyncio.sleep(0)
            written.add(bytes(call._unsent))
        assert len(written) == 1, "one message waits, and no other behind it"
        call._window_update(WindowUpdateFrame(1, window_increment=65_535))
        while stream._outbox._unsent:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("in_time", [True, False])
def test_an_edge_that_was_held_up_reads_the_answer_that_came_meanwhile(
    run: Callable[[Coroutine[object, object, None]], None], *, in_time: bool
) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        answer: asyncio.Future[pb.ResolveAnswer] = loop.create_future()

        def hold_up() -> None:
            loop.remove_reader(there)
            if in_time:
                there.send(b"x")
            time.sleep(0.05)

        with here, there:
            loop.add_reader(here, answer.set_result, pb.ResolveAnswer())
            loop.add_reader(there, hold_up)
            loop.call_later(0.01, stream_module._is_late, answer)
            here.send(b"x")
            with contextlib.nullcontext() if in_time else pytest.raises(TimeoutError):
                await answer
            loop.remove_reader(here)

    run(test())
