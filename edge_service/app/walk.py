"""Walks one request through its plan: carries out what the failover machine decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from edge_service.app import heads
from edge_service.app.answers import failure, refusal, unusable
from edge_service.app.asking import MAX_ANSWER_BYTES, Asking
from edge_service.app.byte_relay import ByteRelay
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.passing import Passing
from edge_service.app.ports import Client, CredentialError, Question, Report, ReportBound, UpstreamFailure
from edge_service.app.record import Record, Tokens, Tried
from edge_service.app.relay import Relay as StreamRelay
from edge_service.app.relay import StreamFailedError
from edge_service.app.reply import Reply
from edge_service.dialects.exchange import (
    Asked,
    EmptyAnswerError,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
)
from edge_service.domain.affinity import Made
from edge_service.domain.classification import classify
from edge_service.domain.errors import UnavailableError, UpstreamError
from edge_service.domain.failover import (
    CUT_SHORT,
    Cancel,
    Command,
    Ending,
    Failover,
    Finish,
    Open,
    Relay,
    ReportClosed,
    ReportContent,
    ReportEnded,
    ReportFailed,
    State,
)
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import Attempt

_AT_ONCE_S = 1e-6
"""The time that is left when none is: 0 would mean no limit."""

# To look a member of an enumeration up takes Python 3.11 longer than a call: those that each request needs have names.
_OK, _SERVED, _DONE = Disposition.OK, Ending.SERVED, State.DONE
_TOTAL, _HEADERS, _FIRST_CONTENT = Reason.TOTAL, Reason.HEADERS, Reason.FIRST_CONTENT

_DETAILS = {
    Reason.HEADERS: "no headers in time",
    Reason.FIRST_CONTENT: "no content in time",
    Reason.IDLE: "the stream fell silent",
    Reason.STREAM: "the stream took too long",
}


class Walk:
    """Carries out the failover machine's commands and tells it the results as events."""

    __slots__ = (
        "_asking",
        "_clock",
        "_incoming",
        "_interrupts",
        "_is_closed",
        "_is_cut_short",
        "_is_sent",
        "_machine",
        "_ready",
        "_record",
        "_relay",
        "_reply",
        "_request",
        "_services",
    )

    def __init__(
        self,
        services: Services,
        incoming: Incoming,
        request: Asked,
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
        self._machine = Failover()
        self._is_closed = False
        self._is_cut_short = False
        """The client's own limit is shorter than the policy's `total`."""
        self._is_sent = False
        """The whole stream has been sent to the client, since all of it had arrived at once."""
        self._record = record
        self._asking: Asking | None = None
        """The call of the last attempt."""
        self._ready = b""
        """Bytes to send next: the beginning of the answer or, once a stream has begun, its end."""
        self._relay: StreamRelay | ByteRelay | None = None
        """The relay of the last attempt whose response was a stream."""

    async def run(self, allowed_s: float | None = None) -> None:
        """Serves the request. `allowed_s` is the time that the client allows, which may be less than the plan's. Raises
        `ApiError` if there is no plan."""
        if allowed_s is not None:
            self._limit(0.0, allowed_s)
        request = self._request
        question = Question(
            self._incoming.request_id,
            request.model,
            request.stream,
            request.operation,
            request.needs,
            self._made(request.goes_on_from) if request.goes_on_from else None,
            self._incoming.client_key,
        )
        asked_at = self._clock()
        try:
            plan = await self._services.resolver.resolve(question)
        except asyncio.CancelledError:
            reason = self._interrupts.take()
            if reason is None:
                raise
            if reason is Reason.DRAINING:
                raise UnavailableError("the gateway is shutting down") from None
            if reason is Reason.TOTAL:
                raise UpstreamError(CUT_SHORT, self._machine.opened) from None
            self._machine.client_gone()
            self._record.ending = Ending.GONE
            return
        finally:
            self._record.resolve_s = self._clock() - asked_at
        self._record.decision_id, self._record.name = plan.decision_id, plan.name
        self._record.is_stale = plan.is_stale
        self._reply.tell_limits(plan, self._services.wall_clock())
        request.model = request.model or plan.name
        self._limit(plan.total_s, allowed_s)
        if self._request.stream and self._services.heartbeat_s and self._request.voice.heartbeat:
            self._reply.keep_warm(self._services.heartbeat_s, heads.early(self._record, self._request.voice))
        try:
            commands = self._machine.resolved(plan, request.acts)
            while (attempt := await self._carry_out(commands)) is not None:
                commands = await self._try(attempt)
                if self._machine.state is _DONE:
                    # The machine takes no more events, and all that is left is to write to the client.
                    self._interrupts.close()
        finally:
            if not self._is_closed:
                self._abandon()
            self._reply.close()
            await self._release()

    def _limit(self, total_s: float, allowed_s: float | None) -> None:
        """Sets the time limit of the whole request. The policy's begins now, the client's began on arrival."""
        if allowed_s is not None:
            left_s = max(_AT_ONCE_S, allowed_s - (self._clock() - self._incoming.arrived_at))
            self._is_cut_short = not total_s or left_s < total_s
            total_s = left_s if self._is_cut_short else total_s
        self._interrupts.within(_TOTAL, total_s)

    def _abandon(self) -> None:
        """Cleans up after a bug in the gateway: the caller answers the client, and the resolver is not left waiting for
        reports."""
        is_trying = self._machine.state in (State.ATTEMPTING, State.RELAYING)
        commands = self._machine.draining() if is_trying else [ReportClosed()]
        for command in commands:
            if isinstance(command, ReportFailed | ReportClosed):
                _DONE_BY[type(command)](self, command)

    def _report(self, report: Report, latency_s: float = 0.0) -> None:
        self._services.resolver.report(self._record.decision_id, report, latency_s)

    def _report_closed(self, closed: ReportClosed) -> None:
        self._is_closed = True
        self._report(closed)

    def _report_ended(self, ended: ReportEnded) -> None:
        self._is_closed = True
        tokens = self._note(ended.attempt, _OK)
        self._report(ended if tokens is None else ReportEnded(ended.attempt, tokens.input, tokens.output))

    def _report_failed(self, failed: ReportFailed) -> None:
        outcome = failed.outcome
        if outcome.is_unfit:
            self._record.passed_over.append(failed.attempt.dialect)
        tokens = self._note(failed.attempt, outcome.disposition, outcome.status, outcome.why)
        self._report(self._broken_off(failed, tokens))

    def _report_content(self, content: ReportContent) -> None:
        now = self._clock()
        self._record.first_content_s = now - self._incoming.arrived_at
        self._report(content, now - self._last.opened_at)

    def _note(self, attempt: Attempt, disposition: Disposition, status: int = 0, why: str = "") -> Tokens | None:
        """Records that the attempt is over. Returns the tokens that it used, if they are known."""
        asking = self._last
        tokens, took_s = asking.tokens, self._clock() - asking.opened_at
        tried = Tried(attempt.target_id, disposition, status, took_s, asking.provider_request_id, tokens, why)
        self._record.tried.append(tried)
        return tokens

    def _broken_off(self, report: ReportFailed, told: Tokens | None) -> ReportFailed:
        """Adds to the report the tokens that a broken-off stream used. Providers tell them at the end, which it may not
        have reached: then the input is the estimate, and each event with content counts as one token, the least that it
        can have."""
        pieces = 0 if self._relay is None else self._relay.content_events
        if not pieces:
            return report
        told = told or Tokens()
        sent = told.input or self._request.needs.estimated_input_tokens
        return replace(report, input_tokens=sent, output_tokens=max(told.output, pieces))

    @property
    def _last(self) -> Asking:
        assert self._asking is not None  # noqa: S101 - the machine tells of nothing but what it has opened
        return self._asking

    async def _carry_out(self, commands: list[Command]) -> Attempt | None:
        """Carries out the commands. Returns the attempt to open, if there is one."""
        for command in commands:
            if isinstance(command, Open):
                return command.attempt
            under_way = _DONE_BY[type(command)](self, command)
            if under_way is not None:
                await under_way
        return None

    async def _try(self, attempt: Attempt) -> list[Command]:
        """Makes one attempt and tells the machine what became of it."""
        last, asking = self._asking, Asking(self._services, self._incoming, attempt, self._record)
        self._asking = asking
        try:
            if last is not None:
                if self._request.stream:
                    self._interrupts.lift(_HEADERS, _FIRST_CONTENT)
                await last.release()
            try:
                asking.put(self._request)
            except InexpressibleError as error:
                return self._machine.unfit(", ".join(error.names))
            if self._request.stream:
                self._interrupts.within(_HEADERS, attempt.timeouts.headers_s)
                self._interrupts.within(_FIRST_CONTENT, attempt.timeouts.first_content_s)
            response = await asking.send()
            if self._request.stream:
                self._interrupts.lift(_HEADERS)
            if classify(response.status) is not _OK:
                asking.wait()
                voice = None if asking.call.is_translated else self._request.voice
                return self._machine.failed(await refusal(response, self._services.wall_clock(), voice, asking.rulings))
            return await (self._stream(asking) if self._request.stream else self._whole(asking))
        except asyncio.CancelledError:
            return self._interrupted(self._interrupts.take())
        except (StreamFailedError, UpstreamFailure, CredentialError) as error:
            if self._interrupts.reason is not None:
                # The attempt failed only because it was interrupted: the interruption is what counts.
                return self._interrupted(self._interrupts.take())
            return self._machine.failed(failure(error))
        finally:
            asking.waited()

    async def _whole(self, asking: Asking) -> list[Command]:
        """Handles a response that is not streamed."""
        body = await asking.body()
        status = asking.response.status
        if body is None:
            return self._machine.failed(
                Outcome(Disposition.BROKEN, status=status, detail=f"more than {MAX_ANSWER_BYTES} bytes")
            )
        try:
            self._ready = asking.call.complete(body)
        except (EmptyAnswerError, MalformedAnswerError, ReportedError) as error:
            return self._machine.failed(unusable(error, status, body, asking.rulings))
        if asking.call.made:
            self._bind(asking)
        return self._machine.ended()

    async def _stream(self, asking: Asking) -> list[Command]:
        """Handles a streamed response."""
        reader = asking.reader()
        relay = self._relay = ByteRelay() if reader is None else StreamRelay(reader, asking.rulings)
        asking.wait()
        async for chunk in asking.response.chunks():
            asking.waited()
            self._ready = relay.feed(chunk)
            if relay.has_content or relay.complete:
                break
            asking.wait()
        else:
            self._ready = relay.ended()
        bind = None if asking.call.made is None else partial(self._bind, asking)
        if bind is not None:
            bind()
        if relay.has_content:
            self._interrupts.lift(_TOTAL, _FIRST_CONTENT)
            self._interrupts.within(Reason.STREAM, asking.attempt.timeouts.stream_s)
            await self._carry_out(self._machine.content())
            if not relay.complete:
                idle_s = asking.attempt.timeouts.idle_s
                self._interrupts.within(Reason.IDLE, idle_s)
                passing = Passing(relay, self._reply, self._interrupts, idle_s, bind)
                self._ready = await passing.run(asking.response)
        return self._machine.ended()

    def _made(self, made_id: str) -> Made:
        return Made(made_id, self._incoming.client_key)

    def _bind(self, asking: Asking) -> None:
        """Tells the resolver which target made a stored response, before the client learns its id: a request that
        continues it must find that target."""
        if asking.call.made and not asking.is_bound:
            asking.is_bound = True
            self._report(ReportBound(asking.attempt, self._made(asking.call.made)))

    def _interrupted(self, reason: Reason | None) -> list[Command]:
        if reason is None or reason is Reason.DRAINING:
            return self._machine.draining()
        if reason is Reason.CLIENT_GONE:
            return self._machine.client_gone()
        if reason is Reason.TOTAL:
            return self._machine.expired(by_client=self._is_cut_short)
        return self._machine.failed(Outcome(Disposition.TIMEOUT, detail=_DETAILS[reason]))

    async def _begin(self, _: Relay) -> None:
        """Begins the answer to the client with the bytes that are ready: all of it, if the response came at once."""
        asking, voice, stream = self._last, self._request.voice, self._request.stream
        if asking.call.is_translated:
            head = heads.translated(voice, stream=stream)
        else:
            head = heads.passed(asking.response.headers, voice, stream=stream)
        head += [*heads.losses_of(self._record, asking.attempt, asking.call.written), *self._own_headers()]
        content, self._ready = self._ready, b""
        if not stream:
            await self._reply.respond(head, content)
        elif self._relay is not None and self._relay.complete:
            self._is_sent = True
            await self._reply.begin_and_end(head, content)
        else:
            await self._reply.begin(head, content)

    async def _finish(self, finish: Finish) -> None:
        ending, outcome = finish.ending, finish.outcome
        self._record.ending = ending
        if ending is _SERVED:
            if self._request.stream:
                if not self._is_sent:
                    await self._reply.end(self._ready)
                await self._last.drain()
        elif outcome is not None:
            error = UpstreamError(outcome, self._machine.opened)
            self._record.code = error.code
            await self._release()  # The client may take its time to read this.
            if ending is Ending.FAILED:
                own = self._own_headers()
                if self._machine.opened > 1:
                    # SDKs would repeat the whole walk: https://github.com/openai/openai-python#retries
                    own.append((b"x-should-retry", b"false"))
                await self._reply.refuse(error, own)
            else:
                await self._reply.break_off(error)

    def _own_headers(self) -> Headers:
        return heads.own(self._record, self._clock(), self._last.attempt, self._machine.opened)

    async def _release(self, _: Cancel | None = None) -> None:
        if self._asking is not None:
            await self._asking.release()


_DONE_BY: Mapping[type[Command], Callable[[Walk, Any], Awaitable[None] | None]] = MappingProxyType(
    {
        Relay: Walk._begin,
        Cancel: Walk._release,
        Finish: Walk._finish,
        ReportContent: Walk._report_content,
        ReportEnded: Walk._report_ended,
        ReportFailed: Walk._report_failed,
        ReportClosed: Walk._report_closed,
    }
)
"""The method for each command but `Open`."""
