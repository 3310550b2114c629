"""Writes the answer to the client: a whole one, or a stream whose head may have to be sent before there is content."""

from __future__ import annotations

import asyncio

from edge_service.app.ports import Client
from edge_service.app.record import Record
from edge_service.dialects.exchange import Voice
from edge_service.domain.errors import UpstreamError
from edge_service.domain.headers import Headers, without_limits
from edge_service.domain.plan import Plan

SERVED = 200
"""The status of every successful answer, whichever 2xx status the provider sent."""


class Reply:
    """Begins and ends the answer. In between `send` or `write` is called."""

    __slots__ = (
        "_beat",
        "_client",
        "_early",
        "_has_begun",
        "_is_stopped",
        "_limits",
        "_period_s",
        "_record",
        "_timer",
        "_voice",
        "end",
        "send",
        "write",
    )

    def __init__(self, client: Client, voice: Voice, record: Record) -> None:
        self._client = client
        self._voice = voice
        self._record = record
        self.send = client.send
        self.write = client.write
        self.end = client.end
        self._has_begun = False
        self._early: Headers = []
        self._limits: Headers | None = None
        self._period_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None
        self._is_stopped = False

    def tell_limits(self, plan: Plan, now: float) -> None:
        """Puts the client's own rate limits into the answer's headers, if it has any, instead of the provider's. A
        remembered plan has none: nobody knows them. `now` is in seconds since the epoch."""
        if plan.limits is not None:
            self._record.is_unmetered = plan.is_stale
            self._limits = [] if plan.is_stale else self._voice.limit_headers(plan.limits, now)

    def keep_warm(self, period_s: float, head: Headers) -> None:
        """Sends a heartbeat to a stream's client each period, until there is content. Before the first one the answer
        begins, with this head, as a success. Attempts go on undisturbed."""
        self._period_s, self._early = period_s, self._limited(head)
        self._timer = asyncio.get_running_loop().call_later(period_s, self._due)

    async def begin(self, head: Headers, content: bytes) -> None:
        """Sends the head and the first content of a stream."""
        if await self._has_begun_early():
            await self._client.send(content)
        else:
            self._record.status = SERVED
            await self._client.start(SERVED, self._limited(head), content)

    async def begin_and_end(self, head: Headers, content: bytes) -> None:
        """Sends a stream all of which is there at once."""
        if await self._has_begun_early():
            await self._client.end(content)
        else:
            await self.respond(head, content)

    async def respond(self, head: Headers, content: bytes) -> None:
        """Sends an answer that is not streamed."""
        self._record.status = SERVED
        await self._client.respond(SERVED, self._limited(head), content)

    async def refuse(self, error: UpstreamError, head: Headers) -> None:
        """Sends the most useful failure: the provider's own body if it is of the client's dialect."""
        answer = error.outcome.answer()
        if await self._has_begun_early():
            said = None if answer is None else self._voice.said_event(answer.content)
            await self._client.end(self._voice.error_event(error) if said is None else said)
            return
        if answer is not None:
            status, first, content = error.outcome.status, list(answer.headers), answer.content
        else:
            status, first, content = error.status, error.headers, self._voice.error_body(error)
        self._record.status = status
        await self._client.respond(status, self._limited([*first, *head]), content)

    async def break_off(self, error: UpstreamError) -> None:
        """Ends a stream that is not complete, with an error event."""
        await self._client.end(self._voice.error_event(error))

    def close(self) -> None:
        """Sends nothing more, whatever is under way."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()

    def _limited(self, head: Headers) -> Headers:
        return head if self._limits is None else [*without_limits(head), *self._limits]

    def _due(self) -> None:
        self._beat = asyncio.create_task(self._send_heartbeat())

    async def _send_heartbeat(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._record.status = SERVED
            await self._client.start(SERVED, self._early)
        await self._client.send(self._voice.heartbeat)  # The next one waits until the client has taken this.
        if not self._is_stopped:
            self._timer = asyncio.get_running_loop().call_later(self._period_s, self._due)

    async def _has_begun_early(self) -> bool:
        """Stops the heartbeats; tells whether the answer has begun with one. One that is being sent is finished first:
        there may be only one writer at a time."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            await asyncio.shield(self._beat)
        return self._has_begun
