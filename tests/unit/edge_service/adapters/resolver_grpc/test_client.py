from __future__ import annotations

import pytest

from edge_service.adapters.resolver_grpc import stream
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.adapters.resolver_grpc.outbox import MOST
from forebay.resolver.v1 import resolver_service_pb2 as pb

NOBODY = "127.0.0.1:9"
"""The discard port: nothing listens there."""


async def test_reports_that_are_kept_and_given_up_are_counted_over_all_resolvers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "FLUSH_S", 0)
    client = ResolverClient([NOBODY, NOBODY], token="")
    try:
        for one, reports in zip(client._streams, (MOST + 2, 5), strict=True):
            for _ in range(reports):
                one.report(pb.OutcomeReport())
        assert (client.reports_dropped, client.reports_unacknowledged) == (2, MOST + 5)
    finally:
        await client.aclose()
