"""One request on its way through its plan: the hands of the failover machine."""

from __future__ import annotations

import asyncio

from edge_service.app.answers import failure, read_whole, refusal, unusable
from edge_service.app.byte_relay import ByteRelay
from edge_service.app.incoming import Incoming, Services
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import (
    Client,
    CredentialError,
    Question,
    UpstreamFailure,
    UpstreamResponse,
)
from edge_service.app.record import Record, Tried
from edge_service.app.relay import Relay as StreamRelay
from edge_service.app.relay import StreamFailedError
from edge_service.app.reply import Reply
from edge_service.app.rulings import Rulings
from edge_service.dialects import overrides
from edge_service.dialects.exchange import (
    EVENT_STREAM,
    Asked,
    Call,
    EmptyAnswerError,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
    Voice,
)
from edge_service.domain import headers
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
from edge_service.domain.headers import PROVIDER_REQUEST_ID, REQUEST_ID, Headers
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import Attempt

MAX_ANSWER_BYTES = 32 * 1024 * 1024
DRAIN_S = 1.0
"""How long a stream's connection may take to end after the terminal marker, before it is closed instead of kept."""

_AT_ONCE_S = 1e-6
"""0 would be no limit."""

_SERVED = Outcome(Disposition.OK)

_DETAILS = {
    Reason.HEADERS: "no headers in time",
    Reason.FIRST_CONTENT: "no content in time",
    Reason.IDLE: "the stream fell silent",
    Reason.STREAM: "the stream took too long",
}


class Walk:
    """Carries out the machine's commands and tells it what comes of them."""

    __slots__ = (
        "_attempt",
        "_call",
        "_clock",
        "_incoming",
        "_interrupts",
        "_is_closed",
        "_is_cut_short",
        "_is_stale",
        "_machine",
        "_opened_at",
        "_provider_request_id",
        "_ready",
        "_record",
        "_reply",
        "_request",
        "_response",
        "_services",
        "_waiting_from",
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
        """The client allows less time than the policy."""
        self._is_stale = False
        self._record = record
        self._attempt: Attempt | None = None
        self._call: Call | None = None
        """That the last attempt was made with."""
        self._opened_at = 0.0
        self._waiting_from: float | None = None
        self._response: UpstreamResponse | None = None
        self._provider_request_id = ""
        self._ready = b""
        """What the answer begins with."""

    async def run(self, allowed_s: float | None = None) -> None:
        """Raises `ApiError` if there is no plan. The client may allow less time than the plan does."""
        self._limit(0.0, allowed_s)
        question = Question(
            self._incoming.request_id,
            self._request.model,
            self._request.stream,
            client_key=self._incoming.client_key,
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
        self._is_stale = plan.is_stale
        self._reply.tell_limits(plan, self._services.wall_clock())
        self._limit(plan.total_s, allowed_s)
        if self._request.stream and self._services.heartbeat_s and self._request.voice.heartbeat:
            self._reply.keep_warm(self._services.heartbeat_s, self._early_headers())
        try:
            commands = self._machine.resolved(plan)
            while (attempt := await self._carry_out(commands)) is not None:
                commands = await self._try(attempt)
                if self._machine.state is State.DONE:
                    # The machine takes no more events, and what is left to do waits for nobody but the client.
                    self._interrupts.close()
        finally:
            if not self._is_closed:
                self._abandon()
            self._reply.close()
            await self._release()

    def _limit(self, total_s: float, allowed_s: float | None) -> None:
        """Sets the time for the whole request, which begins now, or for what the client allows with its arrival."""
        if allowed_s is not None:
            left_s = max(_AT_ONCE_S, allowed_s - (self._clock() - self._incoming.arrived_at))
            self._is_cut_short = not total_s or left_s < total_s
            total_s = left_s if self._is_cut_short else total_s
        self._interrupts.within(Reason.TOTAL, total_s)

    def _abandon(self) -> None:
        """After a mistake of our own: whoever gets the request now answers it, and nobody is to wait for reports."""
        commands = [ReportClosed()] if self._machine.state is State.DONE else self._machine.draining()
        for command in commands:
            if isinstance(command, ReportFailed | ReportClosed):
                self._report(command)

    def _report(self, report: ReportFailed | ReportEnded | ReportClosed) -> None:
        self._services.resolver.report(self._record.decision_id, report)
        if isinstance(report, ReportClosed):
            self._is_closed = True
        else:
            outcome = report.outcome if isinstance(report, ReportFailed) else _SERVED
            took_s = self._clock() - self._opened_at
            target_id = report.attempt.target_id
            told = self._provider_request_id
            self._record.tried.append(Tried(target_id, outcome.disposition, outcome.status, took_s, told))

    async def _carry_out(self, commands: list[Command]) -> Attempt | None:
        """Does what the machine says; the attempt to open, if one is."""
        for command in commands:
            match command:
                case Open(attempt):
                    return attempt
                case Relay():
                    self._interrupts.lift(Reason.TOTAL, Reason.HEADERS, Reason.FIRST_CONTENT)
                    await self._begin()
                case Cancel():
                    await self._release()
                case Finish(ending, outcome):
                    await self._finish(ending, outcome)
                case ReportContent():
                    now = self._clock()
                    self._record.first_content_s = now - self._incoming.arrived_at
                    self._services.resolver.report(self._record.decision_id, command, now - self._opened_at)
                case _:
                    self._report(command)
        return None

    async def _try(self, attempt: Attempt) -> list[Command]:
        """Makes one attempt and tells the machine what became of it."""
        self._attempt = attempt
        self._provider_request_id = ""
        self._interrupts.lift(Reason.HEADERS, Reason.FIRST_CONTENT)
        try:
            await self._release()
            self._opened_at = self._clock()
            try:
                self._call = call = self._request.of(attempt)
            except InexpressibleError as error:
                return self._machine.unfit(", ".join(error.names))
            if self._request.stream:
                self._interrupts.within(Reason.HEADERS, attempt.timeouts.headers_s)
                self._interrupts.within(Reason.FIRST_CONTENT, attempt.timeouts.first_content_s)
            response = await self._send(attempt, call)
            if classify(response.status) is not Disposition.OK:
                self._wait()
                now = self._services.wall_clock()
                return self._machine.failed(await refusal(response, now, self._voice_of(call), self._rulings(attempt)))
            if self._request.stream:
                return await self._stream(attempt, call, response)
            return await self._whole(attempt, call, response)
        except asyncio.CancelledError:
            return self._interrupted(self._interrupts.take())
        except (StreamFailedError, UpstreamFailure, CredentialError) as error:
            if self._interrupts.reason is not None:
                # What was interrupted came to its end as a failure of its own.
                return self._interrupted(self._interrupts.take())
            return self._machine.failed(failure(error))
        finally:
            self._waited()

    def _wait(self) -> None:
        """From now on it is the provider that takes its time."""
        self._waiting_from = self._clock()

    def _waited(self) -> None:
        """If the provider was waited for, it is not any more."""
        if self._waiting_from is not None:
            self._record.upstream_s += self._clock() - self._waiting_from
            self._waiting_from = None

    def _voice_of(self, call: Call) -> Voice | None:
        return None if call.is_translated else self._request.voice

    async def _send(self, attempt: Attempt, call: Call) -> UpstreamResponse:
        written = call.written
        head = [] if call.is_translated else headers.to_upstream(self._incoming.headers)
        head += written.headers
        head.append((b"content-type", written.content_type))
        head.append((PROVIDER_REQUEST_ID, self._incoming.request_id.encode()))
        self._wait()
        self._response = await self._services.upstream.send(
            attempt, written.path, head, overrides.applied(attempt, written)
        )
        self._waited()
        self._interrupts.lift(Reason.HEADERS)
        self._provider_request_id = headers.provider_request_id(self._response.headers)
        return self._response

    def _rulings(self, attempt: Attempt) -> Rulings:
        return Rulings(attempt.rules, self._incoming.headers, self._incoming.body)

    async def _whole(self, attempt: Attempt, call: Call, response: UpstreamResponse) -> list[Command]:
        """An answer that comes all at once."""
        self._wait()
        body = await read_whole(response, MAX_ANSWER_BYTES)
        self._waited()
        if body is None:
            return self._machine.failed(
                Outcome(Disposition.BROKEN, status=response.status, detail=f"more than {MAX_ANSWER_BYTES} bytes")
            )
        try:
            self._ready = call.complete(body)
        except (EmptyAnswerError, MalformedAnswerError, ReportedError) as error:
            return self._machine.failed(unusable(error, response.status, body, self._rulings(attempt)))
        return self._machine.ended()

    async def _stream(self, attempt: Attempt, call: Call, response: UpstreamResponse) -> list[Command]:
        """An answer that comes in events."""
        reader = call.reader()
        relay = ByteRelay() if reader is None else StreamRelay(reader, self._rulings(attempt))
        committed = False
        self._wait()
        async for chunk in response.chunks():
            if not committed:
                self._waited()
            try:
                ready = relay.feed(chunk)
            except StreamFailedError:
                if committed:
                    await self._reply.send(relay.rest())
                raise
            if relay.is_new_content:
                self._interrupts.lift(Reason.IDLE)  # While the client takes its time the provider is not silent.
            if committed:
                if ready:
                    await self._reply.send(ready)
            else:
                self._ready = ready
                if relay.has_content:
                    committed = True
                    self._interrupts.within(Reason.STREAM, attempt.timeouts.stream_s)
                    await self._carry_out(self._machine.content())
                else:
                    self._wait()
            if relay.is_new_content:
                self._interrupts.within(Reason.IDLE, attempt.timeouts.idle_s)
            if relay.complete:
                return self._machine.ended()
        ready = relay.ended()
        if committed:
            await self._reply.send(ready)
        else:
            self._ready = ready
        return self._machine.ended()

    def _interrupted(self, reason: Reason | None) -> list[Command]:
        if reason is None or reason is Reason.DRAINING:
            return self._machine.draining()
        if reason is Reason.CLIENT_GONE:
            return self._machine.client_gone()
        if reason is Reason.TOTAL:
            return self._machine.expired(by_client=self._is_cut_short)
        return self._machine.failed(Outcome(Disposition.TIMEOUT, detail=_DETAILS[reason]))

    async def _begin(self) -> None:
        """Begins the answer with what is ready; of an answer that came whole, that is all."""
        assert self._response is not None  # noqa: S101 - the machine relays what it has opened
        head = self._shown_headers()
        if self._request.stream:
            await self._reply.begin(head, self._ready)
        else:
            await self._reply.respond(head, self._ready)

    async def _finish(self, ending: Ending, outcome: Outcome | None) -> None:
        self._record.ending = ending
        if ending is Ending.SERVED:
            if self._request.stream:
                await self._reply.end()
                await self._drain()
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

    def _shown_headers(self) -> Headers:
        """Of an answer. What kind of content it is the provider says, unless it is not the provider's any more."""
        assert self._response is not None and self._call is not None  # noqa: S101, PT018 - as above
        stream_type = self._request.voice.stream_type
        if self._call.is_translated:
            head = [(b"content-type", stream_type if self._request.stream else b"application/json")]
        else:
            head = headers.to_client(self._response.headers)
            if self._request.stream and stream_type != EVENT_STREAM:
                head = [(name, stream_type if name == b"content-type" else value) for name, value in head]
        if self._call.written.dropped:
            head.append((b"x-forebay-dropped", ", ".join(self._call.written.dropped).encode()))
        return [*head, *self._own_headers()]

    def _early_headers(self) -> Headers:
        """Of a stream that begins before a provider has said what it sends."""
        kind = (b"content-type", self._request.voice.stream_type)
        return [kind, (b"cache-control", b"no-cache"), *self._common_headers()]

    def _own_headers(self) -> Headers:
        assert self._attempt is not None  # noqa: S101 - a walk that answers has tried someone
        overhead_s = self._clock() - self._incoming.arrived_at - self._record.upstream_s
        self._record.overhead_s = overhead_s
        return [
            (b"x-forebay-target", self._attempt.target_id.encode()),
            (b"x-forebay-attempts", b"%d" % self._machine.opened),
            (b"x-forebay-overhead-ms", b"%.2f" % (overhead_s * 1000)),
            *self._common_headers(),
        ]

    def _common_headers(self) -> Headers:
        """Those that are known before anyone has served."""
        common = [(REQUEST_ID, self._incoming.request_id.encode())]
        if self._is_stale:
            common.append((b"x-forebay-stale", b"1"))
        return common

    async def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    async def _drain(self) -> None:
        """Reads a complete stream to the end of its body, so that the connection can be used again."""
        assert self._response is not None  # noqa: S101 - it has just been relayed
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._response.chunks():
                    pass
        except (TimeoutError, UpstreamFailure):
            pass
