"""Serves one request to count tokens.

There is no failover machine here, and nothing is reported: a count generates nothing and cools no target. One or two
targets of the plan that can count are asked, for a short time. If none answers, the gateway estimates, and says so in a
header.
"""

from __future__ import annotations

import asyncio

from edge_service.app import heads
from edge_service.app.answers import failure, read_whole, refusal, unusable
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import Client, CredentialError, Question, UpstreamFailure, UpstreamResponse
from edge_service.app.record import Record, Tried
from edge_service.app.reply import Reply
from edge_service.app.rulings import Rulings
from edge_service.dialects.counting import Count, Countable
from edge_service.dialects.exchange import InexpressibleError, MalformedAnswerError
from edge_service.domain import headers
from edge_service.domain.classification import classify
from edge_service.domain.errors import UnavailableError, UpstreamError
from edge_service.domain.failover import CUT_SHORT, Ending
from edge_service.domain.headers import PROVIDER_REQUEST_ID, Headers
from edge_service.domain.needs import Operation
from edge_service.domain.outcome import OF_THE_REQUEST, Disposition, Outcome
from edge_service.domain.plan import Attempt, Plan

MOST_ASKED = 2
ASKING_S = 10.0
"""For all of them together. A count takes a few hundred milliseconds."""
MAX_ANSWER_BYTES = 1024 * 1024
"""Of a number and a few words around it."""

ESTIMATE = (b"x-forebay-estimate", b"1")

_SHARE = 0.9
"""Of the time that is left, for providers: the gateway's own estimate takes some, too."""

_STATUSES_OF_THE_REQUEST = frozenset({400, 413, 422})
"""Other statuses, such as 404 and 405, come from providers that speak the dialect but do not have this call."""

_COUNTED = Outcome(Disposition.OK)


class Counting:
    """Asks targets that can count, or estimates."""

    __slots__ = (
        "_client",
        "_clock",
        "_incoming",
        "_interrupts",
        "_record",
        "_reply",
        "_request",
        "_response",
        "_services",
    )

    def __init__(
        self,
        services: Services,
        incoming: Incoming,
        request: Countable,
        client: Client,
        interrupts: Interrupts,
        record: Record,
    ) -> None:
        self._services = services
        self._clock = services.clock
        self._incoming = incoming
        self._request = request
        self._reply = Reply(client, request.voice, record)
        self._interrupts = interrupts
        self._record = record
        self._response: UpstreamResponse | None = None

    async def run(self, allowed_s: float | None = None) -> None:
        """Raises `ApiError` if there is no plan. The client may allow less time than the plan does."""
        try:
            plan = await self._resolve(allowed_s)
            if not await self._ask_providers(plan, self._until(plan, allowed_s)):
                await self._estimate()
        except asyncio.CancelledError:
            reason = self._interrupts.take()
            if reason is None:
                raise
            if reason is Reason.DRAINING:
                raise UnavailableError("the gateway is shutting down") from None
            if reason is Reason.TOTAL:
                raise UpstreamError(CUT_SHORT, 0) from None
            self._record.ending = Ending.GONE
        finally:
            await self._release()

    async def _resolve(self, allowed_s: float | None) -> Plan:
        if allowed_s is not None:
            self._interrupts.within(Reason.TOTAL, allowed_s)
        question = Question(
            self._incoming.request_id,
            self._request.model,
            stream=False,
            operation=Operation.COUNT,
            client_key=self._incoming.client_key,
        )
        asked_at = self._clock()
        try:
            plan = await self._services.resolver.resolve(question)
        finally:
            self._record.resolve_s = self._clock() - asked_at
        self._interrupts.lift(Reason.TOTAL)
        self._record.decision_id, self._record.name = plan.decision_id, plan.name
        self._record.is_stale = plan.is_stale
        self._reply.tell_limits(plan, self._services.wall_clock())
        return plan

    def _until(self, plan: Plan, allowed_s: float | None) -> float:
        """When the asking ends, on the gateway's clock."""
        limits = (limit * _SHARE for limit in (plan.total_s, allowed_s) if limit)
        return self._incoming.arrived_at + min([ASKING_S, *limits])

    async def _ask_providers(self, plan: Plan, until: float) -> bool:
        """Whether the client has its answer."""
        able = self._able(plan)
        for asked, (attempt, count) in enumerate(able, 1):
            left_s = until - self._clock()
            if left_s <= 0:
                return False
            # Those who are asked later get what is left: silence of the first is not to use up all of it.
            self._interrupts.within(Reason.TOTAL, left_s / (len(able) - asked + 1))
            if await self._ask(attempt, count, asked):
                return True
        return False

    def _able(self, plan: Plan) -> list[tuple[Attempt, Count]]:
        """The attempts to ask, with the request for each."""
        able: list[tuple[Attempt, Count]] = []
        for attempt in plan.attempts:
            try:
                count = self._request.of(attempt)
            except InexpressibleError:
                continue
            if count is not None:
                able.append((attempt, count))
            if len(able) == MOST_ASKED:
                break
        return able

    async def _ask(self, attempt: Attempt, count: Count, asked: int) -> bool:
        opened_at = self._clock()
        outcome, answer = await self._outcome(attempt, count)
        self._interrupts.lift(Reason.TOTAL)
        now = self._clock()
        self._record.upstream_s += now - opened_at
        told = "" if self._response is None else headers.provider_request_id(self._response.headers)
        tried = Tried(attempt.target_id, outcome.disposition, outcome.status, now - opened_at, told, why=outcome.why)
        self._record.tried.append(tried)
        if outcome is _COUNTED:
            await self._respond(self._shown_headers(attempt, count, asked), answer)
            return True
        await self._release()
        if outcome.status in _STATUSES_OF_THE_REQUEST and outcome.disposition in OF_THE_REQUEST:
            self._interrupts.close()
            error = UpstreamError(outcome, asked)
            self._record.code = error.code
            await self._reply.refuse(error, self._own_headers(attempt, asked))
            return True
        return False

    async def _outcome(self, attempt: Attempt, count: Count) -> tuple[Outcome, bytes]:
        """What came of one call, and the answer for the client if it was a success."""
        try:
            response = await self._send(attempt, count)
            rulings = Rulings(attempt.rules, self._incoming.headers, self._incoming.body)
            if classify(response.status) is not Disposition.OK:
                voice = None if count.is_translated else self._request.voice
                return await refusal(response, self._services.wall_clock(), voice, rulings), b""
            body = await read_whole(response, MAX_ANSWER_BYTES)
            if body is None:
                return Outcome(Disposition.BROKEN, status=response.status), b""
            try:
                return _COUNTED, count.complete(body)
            except MalformedAnswerError as error:
                return unusable(error, response.status, body, rulings), b""
        except asyncio.CancelledError:
            if not self._has_run_out():
                raise
            return Outcome(Disposition.TIMEOUT), b""
        except (UpstreamFailure, CredentialError) as error:
            if self._interrupts.reason is None:
                return failure(error), b""
            # What was interrupted came to its end as a failure of its own.
            if not self._has_run_out():
                raise asyncio.CancelledError from error
            return Outcome(Disposition.TIMEOUT), b""

    def _has_run_out(self) -> bool:
        """Whether it was the time for this one provider that ran out, and not the request that was interrupted."""
        return self._interrupts.reason is Reason.TOTAL and self._interrupts.take() is not None

    async def _send(self, attempt: Attempt, count: Count) -> UpstreamResponse:
        written = count.written
        head = [] if count.is_translated else headers.to_upstream(self._incoming.headers)
        head += written.headers
        head.append((PROVIDER_REQUEST_ID, self._incoming.request_id.encode()))
        self._response = await self._services.upstream.send(attempt, written.path, head, written.body)
        return self._response

    async def _estimate(self) -> None:
        tokens = await self._services.estimator.estimate(self._request.request)
        tried = len(self._record.tried)
        head = [*heads.translated(self._request.voice, stream=False), ESTIMATE, *self._own_headers(None, tried)]
        await self._respond(head, self._request.write(tokens))

    async def _respond(self, head: Headers, content: bytes) -> None:
        self._interrupts.close()  # What is left to do waits for nobody but the client.
        self._record.ending = Ending.SERVED
        await self._reply.respond(head, content)

    def _shown_headers(self, attempt: Attempt, count: Count, asked: int) -> Headers:
        assert self._response is not None  # noqa: S101 - it has just been read
        voice = self._request.voice
        if count.is_translated:
            head = heads.translated(voice, stream=False)
        else:
            head = heads.passed(self._response.headers, voice, stream=False)
        return [*head, *heads.losses_of(self._record, attempt, count.written), *self._own_headers(attempt, asked)]

    def _own_headers(self, attempt: Attempt | None, asked: int) -> Headers:
        return heads.own(self._record, self._clock(), attempt, asked)

    async def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()
