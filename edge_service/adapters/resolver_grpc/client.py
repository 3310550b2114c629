"""The resolvers that the edge knows of, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc.aio

from edge_service.adapters.resolver_grpc import messages
from edge_service.adapters.resolver_grpc.stream import ResolveStream, StreamLostError
from edge_service.app.ports import Model, Question, Report
from edge_service.domain.errors import UnavailableError
from edge_service.domain.failover import ReportClosed
from edge_service.domain.plan import Plan

RESOLVE_TIMEOUT_S = 0.3
"""For one resolver's answer. Whoever misses it is dropped, and another is asked."""
RESOLVE_TOTAL_S = 0.45
"""For all of them together: a client hears within half a second that nobody can tell."""
RETRY_AFTER_S = 1.0
LIST_TIMEOUT_S = 1.0


class ResolverClient:
    """A `Resolver`. Needs a running event loop."""

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        self._streams = [ResolveStream(address, token) for address in addresses]
        self._made_by: dict[str, ResolveStream] = {}

    @property
    def is_ready(self) -> bool:
        """Whether any resolver has accepted a stream."""
        return any(stream.is_up for stream in self._streams)

    async def resolve(self, question: Question) -> Plan:
        """As the port says."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + RESOLVE_TOTAL_S
        tried: set[ResolveStream] = set()
        while (left_s := deadline - clock()) > 0:
            # A resolver that was asked in vain is asked again only if there is no other.
            stream = min(self._streams, key=lambda s: (s in tried, not s.is_up))
            tried.add(stream)
            timeout_s = min(RESOLVE_TIMEOUT_S, left_s)
            try:
                answer = await stream.resolve(messages.resolve_request(question, int(timeout_s * 1000) or 1), timeout_s)
            except TimeoutError:
                if stream.is_up:
                    stream.drop()
                if len(tried) == len(self._streams):
                    break
            except StreamLostError:
                continue
            else:
                if answer.HasField("error"):
                    raise messages.api_error(answer.error)
                plan = messages.plan(answer.plan)
                self._made_by[plan.decision_id] = stream
                return plan
        raise UnavailableError("the resolver cannot be reached", retry_after_s=RETRY_AFTER_S)

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        """As the port says. A report goes to the resolver that made the plan."""
        closing = isinstance(report, ReportClosed)
        stream = self._made_by.pop(decision_id, None) if closing else self._made_by.get(decision_id)
        if stream is not None:
            stream.report(messages.outcome_report(decision_id, report, latency_s))

    async def models(self) -> Sequence[Model]:
        """As the port says."""
        for stream in sorted(self._streams, key=lambda s: not s.is_up):
            try:
                return messages.models(await stream.list_models(LIST_TIMEOUT_S))
            except grpc.aio.AioRpcError:
                continue
        raise UnavailableError("the resolver cannot be reached", retry_after_s=RETRY_AFTER_S)

    async def aclose(self) -> None:
        await asyncio.gather(*(stream.aclose() for stream in self._streams))
