"""Carries a request through: asks the resolver once, drives the failover machine, relays the answer, reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import (
    Client,
    CredentialError,
    Question,
    Resolver,
    SilentError,
    UnreachableError,
    Upstream,
    UpstreamFailure,
    UpstreamResponse,
)
from edge_service.app.relay import Relay as StreamRelay
from edge_service.app.relay import StreamFailedError
from edge_service.dialects import openai_chat
from edge_service.dialects.openai_chat import ChatRequest, EmptyAnswerError, MalformedAnswerError
from edge_service.domain import headers
from edge_service.domain.errors import ApiError, UnavailableError, UpstreamError
from edge_service.domain.failover import (
    Cancel,
    Command,
    Ending,
    Failover,
    Finish,
    Open,
    Relay,
    ReportClosed,
    ReportContent,
    State,
)
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import CREDENTIAL_STATUSES, Disposition, ErrorBody, Outcome, classify, retry_after_s
from edge_service.domain.plan import Attempt, Plan

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
DRAIN_S = 1.0
"""How long a stream's connection may take to end after the terminal marker, before it is closed instead of kept."""

_DETAILS = {
    Reason.HEADERS: "no headers in time",
    Reason.FIRST_CONTENT: "no content in time",
    Reason.IDLE: "the stream fell silent",
    Reason.STREAM: "the stream took too long",
}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A client's request as it came over HTTP."""

    request_id: str
    headers: Headers
    body: bytes
    arrived_at: float
    """On the event loop's clock."""


class Gateway:
    """Serves requests; holds nothing between them."""

    def __init__(self, resolver: Resolver, upstream: Upstream, wall_clock: Callable[[], float]) -> None:
        self._resolver = resolver
        self._upstream = upstream
        self._wall_clock = wall_clock

    async def chat(self, incoming: Incoming, client: Client, interrupts: Interrupts) -> None:
        """Answers a chat completion, whatever comes of it."""
        try:
            request = openai_chat.read_request(incoming.body)
            walk = _Walk(self._resolver, self._upstream, self._wall_clock, incoming, request, client, interrupts)
            await walk.run()
        except ApiError as error:
            await client.respond(error.status, error_headers(error, incoming.request_id), openai_chat.error_body(error))


def error_headers(error: ApiError, request_id: str) -> Headers:
    extra = [(b"content-type", b"application/json"), (b"x-forebay-request-id", request_id.encode())]
    if error.retry_after is not None:
        extra.append((b"retry-after", error.retry_after.encode()))
    return extra


class _Walk:
    """One request on its way through the plan: the hands of the failover machine."""

    def __init__(
        self,
        resolver: Resolver,
        upstream: Upstream,
        wall_clock: Callable[[], float],
        incoming: Incoming,
        request: ChatRequest,
        client: Client,
        interrupts: Interrupts,
    ) -> None:
        self._resolver = resolver
        self._upstream = upstream
        self._wall_clock = wall_clock
        self._incoming = incoming
        self._request = request
        self._client = client
        self._interrupts = interrupts
        self._machine = Failover()
        self._clock = asyncio.get_running_loop().time
        self._decision_id = ""
        self._attempt: Attempt | None = None
        self._opened_at = 0.0
        self._upstream_s = 0.0
        self._response: UpstreamResponse | None = None
        self._head: tuple[int, Headers] = (0, [])
        self._ready = b""

    async def run(self) -> None:
        """Raises `ApiError` if there is no plan."""
        try:
            plan = await self._resolver.resolve(
                Question(self._incoming.request_id, self._request.model, self._request.stream)
            )
        except asyncio.CancelledError:
            if self._interrupts.take() is None:
                raise
            self._machine.client_gone()
            return
        self._decision_id = plan.decision_id
        self._interrupts.within(Reason.TOTAL, plan.total_s)
        try:
            commands = self._machine.resolved(self._expressible(plan))
            while (attempt := await self._carry_out(commands)) is not None:
                commands = await self._try(attempt)
                if self._machine.state is State.DONE:
                    self._interrupts.close()  # What is left to do is quick, and the machine takes no more events.
        finally:
            await self._release()

    def _expressible(self, plan: Plan) -> Plan:
        """The plan without targets of other dialects: requests are not translated yet."""
        attempts = tuple(a for a in plan.attempts if a.dialect == "openai")
        if len(attempts) == len(plan.attempts):
            return plan
        if not attempts:
            self._resolver.report(plan.decision_id, ReportClosed())
            raise UnavailableError(f"no target of '{self._request.model}' speaks the OpenAI dialect")
        return replace(plan, attempts=attempts)

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
                    self._resolver.report(self._decision_id, command, self._clock() - self._opened_at)
                case _:
                    self._resolver.report(self._decision_id, command)
        return None

    async def _try(self, attempt: Attempt) -> list[Command]:
        """Makes one attempt and tells the machine what became of it."""
        self._attempt = attempt
        self._opened_at = self._clock()
        try:
            await self._release()
            if self._request.stream:
                self._interrupts.within(Reason.HEADERS, attempt.timeouts.headers_s)
                self._interrupts.within(Reason.FIRST_CONTENT, attempt.timeouts.first_content_s)
            response = await self._send(attempt)
            disposition = classify(response.status)
            if disposition is not Disposition.OK:
                return self._machine.failed(await self._refusal(response, disposition))
            if self._request.stream:
                return await self._stream(attempt, response)
            return await self._whole(response)
        except asyncio.CancelledError:
            return self._interrupted(self._interrupts.take())
        except StreamFailedError as error:
            return self._machine.failed(error.outcome)
        except UnreachableError as error:
            return self._machine.failed(Outcome(Disposition.UNREACHABLE, detail=str(error)))
        except SilentError as error:
            return self._machine.failed(Outcome(Disposition.TIMEOUT, detail=str(error)))
        except UpstreamFailure as error:
            return self._machine.failed(Outcome(Disposition.BROKEN, detail=str(error)))
        except CredentialError as error:
            return self._machine.failed(Outcome(Disposition.CREDENTIAL, detail=str(error)))

    async def _send(self, attempt: Attempt) -> UpstreamResponse:
        body = self._request.body(attempt.upstream_model)
        waiting_from = self._clock()
        try:
            self._response = await self._upstream.send(
                attempt, openai_chat.PATH, headers.to_upstream(self._incoming.headers), body
            )
        finally:
            self._upstream_s += self._clock() - waiting_from
        self._interrupts.lift(Reason.HEADERS)
        return self._response

    async def _whole(self, response: UpstreamResponse) -> list[Command]:
        """An answer that comes all at once."""
        waiting_from = self._clock()
        body = await _read(response, MAX_ANSWER_BYTES)
        self._upstream_s += self._clock() - waiting_from
        if body is None:
            return self._machine.failed(
                Outcome(Disposition.BROKEN, status=response.status, detail=f"more than {MAX_ANSWER_BYTES} bytes")
            )
        try:
            self._ready = openai_chat.complete(body, self._request.model)
        except EmptyAnswerError as error:
            return self._machine.failed(Outcome(Disposition.EMPTY, status=response.status, detail=str(error)))
        except MalformedAnswerError as error:
            return self._machine.failed(Outcome(Disposition.BROKEN, status=response.status, detail=str(error)))
        self._head = (response.status, response.headers)
        return self._machine.ended()

    async def _stream(self, attempt: Attempt, response: UpstreamResponse) -> list[Command]:
        """An answer that comes in events."""
        self._head = (response.status, response.headers)
        relay = StreamRelay(openai_chat.StreamReader(self._request.model))
        committed = False
        waiting_from = self._clock()
        async for chunk in response.chunks():
            if not committed:
                self._upstream_s += self._clock() - waiting_from
            ready = relay.feed(chunk)
            if relay.is_new_content:
                self._interrupts.within(Reason.IDLE, attempt.timeouts.idle_s)
            if committed:
                if ready:
                    await self._client.send(ready)
            else:
                self._ready = ready
                if relay.has_content:
                    committed = True
                    self._interrupts.within(Reason.STREAM, attempt.timeouts.stream_s)
                    await self._carry_out(self._machine.content())
                waiting_from = self._clock()
            if relay.complete:
                return self._machine.ended()
        relay.ended()
        return self._machine.ended()

    async def _refusal(self, response: UpstreamResponse, disposition: Disposition) -> Outcome:
        """What an answer with an error status comes to."""
        body = await _read(response, MAX_ERROR_BYTES) or b""
        after = headers.first(response.headers, b"retry-after")
        error_body = None
        if disposition is Disposition.CLIENT_FAULT or openai_chat.is_error_body(body):
            kind = headers.first(response.headers, b"content-type") or b"application/octet-stream"
            error_body = ErrorBody(kind, body)
        return Outcome(
            disposition,
            status=response.status,
            retry_after_s=retry_after_s(after.decode("latin-1") if after else None, self._wall_clock()),
            body=error_body,
            detail=f"HTTP {response.status}",
        )

    def _interrupted(self, reason: Reason | None) -> list[Command]:
        if reason is None:
            return self._machine.draining()
        if reason is Reason.CLIENT_GONE:
            return self._machine.client_gone()
        if reason is Reason.TOTAL:
            return self._machine.expired()
        return self._machine.failed(Outcome(Disposition.TIMEOUT, detail=_DETAILS[reason]))

    async def _begin(self) -> None:
        """Begins the answer with what is ready; a whole answer is all of it."""
        status, upstream_headers = self._head
        extra = [*headers.to_client(upstream_headers), *self._own_headers()]
        if self._request.stream:
            await self._client.start(status, extra)
            await self._client.send(self._ready)
        else:
            await self._client.respond(status, extra, self._ready)

    async def _finish(self, ending: Ending, outcome: Outcome | None) -> None:
        match ending:
            case Ending.SERVED:
                if self._request.stream:
                    await self._client.end()
                    await self._drain()
            case Ending.FAILED:
                assert outcome is not None  # noqa: S101 - the machine's promise
                await self._refuse(outcome)
            case Ending.INTERRUPTED:
                assert outcome is not None  # noqa: S101 - the machine's promise
                error = UpstreamError(outcome, self._machine.opened)
                await self._client.send(openai_chat.error_event(error))
                await self._client.end()
            case Ending.GONE:
                pass

    async def _refuse(self, outcome: Outcome) -> None:
        """Tells the client of the most useful failure: in the provider's own words where they are of its dialect."""
        error = UpstreamError(outcome, self._machine.opened)
        if outcome.body is not None and outcome.status not in CREDENTIAL_STATUSES:
            status, content_type, content = outcome.status, outcome.body.content_type, outcome.body.content
        else:
            status, content_type, content = error.status, b"application/json", openai_chat.error_body(error)
        extra: Headers = [(b"content-type", content_type)]
        if error.retry_after is not None:
            extra.append((b"retry-after", error.retry_after.encode()))
        if self._machine.opened > 1:
            # SDKs would repeat the whole walk: https://github.com/openai/openai-python#retries
            extra.append((b"x-should-retry", b"false"))
        await self._client.respond(status, [*extra, *self._own_headers()], content)

    def _own_headers(self) -> Headers:
        now = self._clock()
        overhead_ms = (now - self._incoming.arrived_at - self._upstream_s) * 1000
        own = [
            (b"x-forebay-attempts", b"%d" % self._machine.opened),
            (b"x-forebay-request-id", self._incoming.request_id.encode()),
            (b"x-forebay-overhead-ms", b"%.2f" % overhead_ms),
        ]
        if self._attempt is not None:
            own.append((b"x-forebay-target", self._attempt.target_id.encode()))
        return own

    async def _release(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    async def _drain(self) -> None:
        """Reads a complete stream to the end of its body, so that the connection can be used again."""
        if self._response is None:
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._response.chunks():
                    pass
        except (TimeoutError, UpstreamFailure):
            pass


async def _read(response: UpstreamResponse, limit_bytes: int) -> bytes | None:
    """The whole body, or None if it is larger than the limit."""
    parts: list[bytes] = []
    size = 0
    async for part in response.chunks():
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            return None
    return b"".join(parts)
