from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

from forebay.resolver.v1 import resolver_service_pb2 as pb
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from tests.support.resolving import Resolving

NARROW = """
providers: [{id: one, dialect: openai, base-url: "https://one.example", models: [m], max-concurrent: 2}]
"""


async def asked(times: int) -> AsyncIterator[pb.ResolveStreamRequest]:
    request = pb.ResolveRequest(model="m", timeout_ms=300, will_report=True)
    yield pb.ResolveStreamRequest(resolves=[pb.ResolveItem(id=i, request=request) for i in range(times)])


async def test_plans_that_could_not_be_sent_any_more_are_closed() -> None:
    """gRPC closes the generator where it stands if the stream breaks while its response is being sent. Where it goes on
    the edge has the plans, and will report."""
    it = Resolving(NARROW)
    anything: Any = Mock()
    servicer = ResolverServicer(it.resolver, it.reports, it.configuration, anything, anything)
    context: Any = SimpleNamespace(send_initial_metadata=AsyncMock())

    lost: Any = servicer.ResolveStream(asked(3), context)
    answers = pb.ResolveStreamResponse.FromString(await anext(lost)).answers
    assert [answer.WhichOneof("result") for answer in answers] == ["plan", "plan", "error"]
    assert dict(it.in_flight.counts) == {"one/m#0": 2}
    await lost.aclose()
    assert dict(it.in_flight.counts) == {}

    sent = [response async for response in servicer.ResolveStream(asked(2), context)]
    assert (len(sent), dict(it.in_flight.counts)) == (1, {"one/m#0": 2})
