"""All resolvers that the edge knows, used as one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Container, Hashable, Sequence

import grpc.aio
from grpc_status import rpc_status

from edge_service.adapters.resolver_grpc import messages
from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.management import ManagementClient
from edge_service.adapters.resolver_grpc.stream import ResolveStream, StreamLostError
from edge_service.app.ports import Certificates, Model, Question, Report, ReportBound
from edge_service.domain.affinity import AffinityKeys
from edge_service.domain.errors import ClientKeyError, ModelNotFoundError, NoPlanError, UnavailableError
from edge_service.domain.failover import ReportClosed, ReportEnded, ReportFailed
from edge_service.domain.needs import UNREPORTED, Operation
from edge_service.domain.plan import Plan
from edge_service.domain.remembered import RememberedPlans
from forebay.resolver.v1 import resolver_service_pb2 as pb

RESOLVE_TIMEOUT_S = 0.3
"""How long one resolver may take. A stream that misses it is dropped, and another resolver is asked."""
RESOLVE_TOTAL_S = 0.45
"""How long all of them together may take: a client hears within half a second that none can be asked."""
RETRY_AFTER_S = 1.0
_AUTHENTICATE = Operation.AUTHENTICATE
_URGENT = (ReportFailed, ReportBound)
_LAST = (ReportEnded, ReportClosed)
LET_IN_S = 1.0
"""How long after a plan a client counts as known, and may send a large request. Whether that is served is asked with
the request itself."""
LONGEST_REMEMBERED = 256
"""Characters. What a reasoning suffix may be is not bounded, and what is remembered has to be."""

_LET_IN = Plan("", (), 0, 0.0)


class ResolverClient:
    """A `Resolver`. Needs a running event loop."""

    def __init__(
        self, addresses: Sequence[str], token: str, channels: Channels | None = None, *, key_required: bool = False
    ) -> None:
        """Without `channels` they are plaintext. `key_required`: nobody is served whose key is not known, even where
        there are no clients."""
        self._key_required = key_required
        self._channels = channels or Channels()
        self._streams = [ResolveStream(address, token, self._channels) for address in addresses]
        self._keys = AffinityKeys(token)
        self._made_by: dict[str, ResolveStream] = {}
        """The stream that made each decision, until its last report."""
        self._remembered = RememberedPlans()
        self._clock = asyncio.get_running_loop().time
        self.management = ManagementClient(self._streams)
        """The same resolvers' management side."""

    @property
    def is_ready(self) -> bool:
        """Whether any resolver has accepted a stream, or plans are remembered: an outage of the resolvers is not to
        take every edge out of service in the same moment."""
        return self.is_connected or self._remembered.any_at(self._clock())

    @property
    def is_connected(self) -> bool:
        """Whether any resolver has accepted a stream."""
        return any(stream.is_up for stream in self._streams)

    @property
    def reports_dropped(self) -> int:
        """How many reports were given up because no resolver acknowledged them."""
        return sum(stream.reports_dropped for stream in self._streams)

    @property
    def reports_unacknowledged(self) -> int:
        """How many reports are kept until a resolver acknowledges them."""
        return sum(stream.reports_unacknowledged for stream in self._streams)

    async def resolve(self, question: Question) -> Plan:
        """As the port says."""
        if question.operation is _AUTHENTICATE and self._was_let_in(question.client_key):
            return _LET_IN
        try:
            plan = await self._ask(question)
        except ClientKeyError:
            self._remembered.forget_client(question.client_key)
            raise
        except ModelNotFoundError:
            for known_by in (_key(question), _of_any_needs(question)):
                self._remembered.forget(question.client_key, known_by)
            raise
        if not plan.is_stale and question.goes_on_from is None and len(question.model) <= LONGEST_REMEMBERED:
            known_by = _key(question) if plan.depends_on_needs else _of_any_needs(question)
            self._remembered.remember(question.client_key, known_by, plan, self._clock())
        return plan

    def _was_let_in(self, client: bytes) -> bool:
        return self._remembered.was_let_in(client, self._clock() - LET_IN_S)

    async def _ask(self, question: Question) -> Plan:
        deadline = self._clock() + RESOLVE_TOTAL_S
        affinity_key = b"" if question.goes_on_from is None else self._keys.of(question.goes_on_from)
        tried: set[ResolveStream] = set()
        while (left_s := deadline - self._clock()) > 0:
            stream = self._next(tried)
            if not stream.is_up and not self.is_connected and (plan := self._recall(question)) is not None:
                return plan  # They are known to be away: waiting for them would cost every request its deadline.
            tried.add(stream)
            timeout_s = min(RESOLVE_TIMEOUT_S, left_s)
            try:
                timeout_ms = int(timeout_s * 1000) or 1
                request = messages.resolve_request(question, timeout_ms, affinity_key, key_required=self._key_required)
                answer = await stream.resolve(request, timeout_s)
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
                if question.operation not in UNREPORTED:
                    self._made_by[plan.decision_id] = stream
                if not plan.attempts and question.operation is not _AUTHENTICATE:
                    self.report(plan.decision_id, ReportClosed())
                    raise NoPlanError("the resolver answered without a target to try")
                return plan
        if (plan := self._recall(question)) is not None:
            return plan
        raise UnavailableError("the resolver cannot be reached", retry_after_s=RETRY_AFTER_S)

    def _next(self, tried: Container[ResolveStream]) -> ResolveStream:
        """A resolver that was asked in vain is asked again only if there is no other."""
        for stream in self._streams:
            if stream.is_up and stream not in tried:
                return stream
        return min(self._streams, key=lambda s: (s in tried, not s.is_up))

    def _recall(self, question: Question) -> Plan | None:
        """A remembered plan, with a decision id of its own: reports on the old id would be dropped as repetitions,
        while those on an unknown one still apply to the target. None for a request that only one target can serve: it
        is not known here which."""
        if question.goes_on_from is not None:
            return None
        now, client = self._clock(), question.client_key
        if question.operation is _AUTHENTICATE:
            # Whoever has no plan is not let in; what becomes of the others is told by what they ask for.
            return _LET_IN._replace(is_stale=True) if self._remembered.has_any_of(client) else None
        plan = self._remembered.recall(client, _key(question), now)
        plan = plan or self._remembered.recall(client, _of_any_needs(question), now)
        if plan is None:
            return None
        decision_id = f"stale-{secrets.token_hex(12)}"
        if question.operation not in UNREPORTED:
            self._made_by[decision_id] = min(self._streams, key=lambda s: not s.is_up)
        return plan._replace(decision_id=decision_id, is_stale=True)

    def report(self, decision_id: str, report: Report, latency_s: float = 0.0) -> None:
        """As the port says. A report goes to the resolver that made the plan; a failure goes to another one if that one
        is away. A stored response is told to all of them, since any may be asked for it."""
        made_by = self._made_by
        stream = made_by.pop(decision_id, None) if isinstance(report, _LAST) else made_by.get(decision_id)
        if stream is None:
            return
        if isinstance(report, _URGENT):
            self._report_at_once(stream, decision_id, report)
            return
        stream.report(messages.outcome_report(decision_id, report, latency_s))
        if isinstance(report, ReportEnded) and not stream.heeds_closes:
            stream.report(messages.outcome_report(decision_id, ReportClosed()))

    def _report_at_once(self, stream: ResolveStream, decision_id: str, report: ReportFailed | ReportBound) -> None:
        """Reports that others are waiting for: a failure concerns all edges, and a stored response whoever asks for it
        next."""
        if isinstance(report, ReportBound):
            bound = messages.outcome_report(decision_id, report, affinity_key=self._keys.of(report.made))
            for each in self._streams:
                each.report(bound, at_once=True)
            return
        if not stream.is_up:
            stream = next((other for other in self._streams if other.is_up), stream)
        stream.report(messages.outcome_report(decision_id, report), at_once=True)

    async def models(self, client_key: bytes) -> Sequence[Model]:
        """As the port says."""
        request = pb.ListModelsRequest(client_key_sha256=client_key, client_key_required=self._key_required)
        deadline = self._clock() + RESOLVE_TOTAL_S
        best, *others = sorted(self._streams, key=lambda s: not s.is_up)
        # However many there are, the time is enough to hear from one that is well.
        for asked in ([best], others):
            timeout_s = min(RESOLVE_TIMEOUT_S, deadline - self._clock())
            if (listed := await _first_listing(asked, request, timeout_s)) is not None:
                return messages.models(listed)
        raise UnavailableError("the resolver cannot be reached", retry_after_s=RETRY_AFTER_S)

    def renew(self, certificates: Certificates) -> None:
        """The next connection to each resolver uses these. Only if there were certificates before."""
        self._channels.renew(certificates)
        for stream in self._streams:
            stream.renewed()

    async def aclose(self) -> None:
        await asyncio.gather(*(stream.aclose() for stream in self._streams))


async def _first_listing(
    streams: Sequence[ResolveStream], request: pb.ListModelsRequest, timeout_s: float
) -> pb.ListModelsResponse | None:
    """None if none of them answers. Raises `ClientKeyError`."""
    asking = [asyncio.create_task(stream.list_models(request, timeout_s)) for stream in streams]
    try:
        for answer in asyncio.as_completed(asking):
            try:
                return await answer
            except grpc.aio.AioRpcError as error:
                refusal = _refusal(error)
                if refusal is not None:
                    raise refusal from None
        return None
    finally:
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def _refusal(error: grpc.aio.AioRpcError) -> ClientKeyError | None:
    with contextlib.suppress(ValueError):  # Details that contradict the status.
        return messages.key_error(rpc_status.from_call(error))  # type: ignore[arg-type]  # it has all that is asked of one
    return None


def _key(question: Question) -> Hashable:
    """The key of a plan that depends on a request's needs.

    Sizes are rounded, or hardly any request would find another one's plan. If a plan is recalled that does not fit, the
    provider says so.
    """
    return _of_any_needs(question), question.needs.roughly


def _of_any_needs(question: Question) -> Hashable:
    """The key of a plan that does not depend on needs."""
    return _name(question), question.stream, question.operation


def _name(question: Question) -> str:
    """The name as names are compared."""
    return question.model.strip().casefold()
