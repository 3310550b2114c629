from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.stream import ResolveStream
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc


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


@pytest.mark.parametrize(("at_first", "then"), [(1, [0, 1, 1]), (2, [0, 2])])
async def test_questions_wait_for_each_other_where_several_came_at_a_time(at_first: int, then: list[int]) -> None:
    counting = Counting()
    server = grpc.aio.server()
    resolver_service_pb2_grpc.add_ResolverServiceServicer_to_server(counting, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stream = ResolveStream(f"127.0.0.1:{port}", "", Channels())
    try:
        await asyncio.gather(*(stream.resolve(pb.ResolveRequest(), 10) for _ in range(at_first)))
        stream.report(pb.OutcomeReport(), at_once=True)
        while stream.reports_unacknowledged:
            await asyncio.sleep(0.001)
        one = asyncio.create_task(stream.resolve(pb.ResolveRequest(), 10))
        for _ in range(2):  # Turns, in which whoever does not wait goes.
            await asyncio.sleep(0)
        await asyncio.gather(one, stream.resolve(pb.ResolveRequest(), 10))
        assert counting.at_a_time == [at_first, *then]
    finally:
        await stream.aclose()
        await server.stop(None)
