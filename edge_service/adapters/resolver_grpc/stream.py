"""One bidirectional stream to one resolver: kept open, and opened anew when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.management import CHANGE_TIMEOUT_S
from edge_service.adapters.resolver_grpc.outbox import Outbox
from edge_service.adapters.resolver_grpc.streaming_call import CallEndedError, StreamingCall
from edge_service.domain.management import Caller
from forebay.resolver.v1 import pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0
FLUSH_S = 0.5
"""How long the last reports may take when the edge stops."""
GRACE_S = CHANGE_TIMEOUT_S
"""How long calls may go on on a channel that is replaced. None takes longer: whoever waits for one is not cancelled."""
RIDE_S = 0.005
"""How long reports that are not urgent wait for something to go with."""
TURNS = 3
"""Turns of the event loop for which questions wait for others, if several came with the last message. They are long
while much is going on, and next to nothing otherwise."""
PATIENCE_S = 2.0
"""How long there may be no connection before the reason is logged."""

_CLOSES = "x-forebay-closes"
_METHOD = "/forebay.resolver.v1.ResolverService/ResolveStream"

_log = structlog.get_logger("forebay.edge.resolver")


class StreamLostError(Exception):
    """The stream broke before the answer came."""


class ResolveStream:
    """Sends what is queued as one message, and hands each answer to its caller.

    One message with questions is under way at a time. The resolver answers them one after the other anyway, and what is
    asked meanwhile goes in the next message, so that a question costs less the more there are.
    """

    def __init__(self, address: str, token: str, channels: Channels) -> None:
        self.address = address
        self.is_up = False
        """The resolver has accepted the stream."""
        self.heeds_closes = False
        """The resolver heeds `OutcomeReport.closes`; older ones ignore it."""
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channels = channels
        self._loop = asyncio.get_running_loop()
        self._open_channel()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[pb.ResolveAnswer]] = {}
        self._resolves: list[pb.ResolveItem] = []
        self._outbox = Outbox()
        self._all_acknowledged = asyncio.Event()
        self._turns = 1
        """Turns of the event loop until the next message."""
        self._is_due = False
        """There is something to send that waits for nothing but its turn, and the last message's answers."""
        self._is_scheduled = False
        self._is_answered = True
        """The last message's questions are answered."""
        self._riding: asyncio.TimerHandle | None = None
        """Set while reports wait for a message to go with."""
        self._call: StreamingCall | None = None
        self._closing: set[asyncio.Task[None]] = set()
        """Channels that were replaced."""
        self._task = asyncio.create_task(self._keep_open(), name=f"resolve-stream {address}")

    def _open_channel(self) -> None:
        self._channel = self._channels.open(self.address)
        self._stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(self._channel)
        self._admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(self._channel)

    async def resolve(self, request: pb.ResolveRequest, timeout_s: float) -> pb.ResolveAnswer:
        """Raises `TimeoutError` or `StreamLostError`."""
        number = next(self._ids)
        answer: asyncio.Future[pb.ResolveAnswer] = self._loop.create_future()
        self._waiting[number] = answer
        self._resolves.append(pb.ResolveItem(id=number, request=request))
        self._send_soon()
        timer = self._loop.call_later(timeout_s, _is_late, answer)  # A fifth of what `asyncio.timeout` costs.
        try:
            return await answer
        except BaseException:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._close_unwalked(answer.result())  # It came in the very moment in which the waiting ended.
            raise
        finally:
            timer.cancel()
            del self._waiting[number]

    def report(self, report: pb.OutcomeReport, *, at_once: bool = False) -> None:
        """Never waits. The report is sent again on the next stream unless it is acknowledged on this one. If it is not
        `at_once`, it waits a moment for a message to go with."""
        self._outbox.put(report)
        self._all_acknowledged.clear()
        if at_once:
            self._send_soon()
        elif self._riding is None:
            self._riding = self._loop.call_later(RIDE_S, self._send_soon)

    @property
    def reports_dropped(self) -> int:
        return self._outbox.dropped

    @property
    def reports_unacknowledged(self) -> int:
        return len(self._outbox)

    async def list_models(self, request: pb.ListModelsRequest, timeout_s: float) -> pb.ListModelsResponse:
        """Raises `grpc.aio.AioRpcError`."""
        response: pb.ListModelsResponse = await self._stub.ListModels(
            request, timeout=timeout_s, metadata=self._metadata, wait_for_ready=True
        )
        return response

    async def administer(self, method: str, request: Message, caller: Caller, timeout_s: float) -> Any:
        """Calls `PoolAdminService` with the caller's key and address. Raises `grpc.aio.AioRpcError`."""
        metadata = (*self._metadata, ("x-management-key", caller.key), ("x-forebay-client", caller.host or "unix"))
        return await getattr(self._admin, method)(request, timeout=timeout_s, metadata=metadata)

    def drop(self) -> None:
        """Drops the stream and opens another."""
        self.is_up = False
        if self._call is not None:
            self._call.abort()

    def renewed(self) -> None:
        """The certificates have changed. The next connection uses the new ones; an open stream stays."""
        closing = asyncio.create_task(self._channel.close(grace=GRACE_S))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._open_channel()

    async def aclose(self) -> None:
        if len(self._outbox):
            self._send_soon()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._all_acknowledged.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(self._channel.close(), *self._closing)

    async def _keep_open(self) -> None:
        backoff_s = BACKOFF_MIN_S
        away_since, told = self._loop.time(), ""
        while True:
            try:
                call = await self._open()
                backoff_s, told = BACKOFF_MIN_S, ""
                await self._use(call)
                away_since = self._loop.time()
            except (CallEndedError, OSError) as error:
                reason = str(error) or type(error).__name__
                is_refused = isinstance(error, CallEndedError) and error.code is not grpc.StatusCode.UNAVAILABLE
                if reason != told and (is_refused or self._loop.time() - away_since >= PATIENCE_S):
                    told = reason  # Once per reason, not once per try.
                    _log.warning("resolver_unreachable", address=self.address, details=reason)
            finally:
                self.is_up = False
                if self._call is not None:
                    await self._call.aclose()
                    self._call = None
                self._lose_all()
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _open(self) -> StreamingCall:
        """Raises `OSError`, or `CallEndedError` if the resolver does not accept the stream."""
        call = self._call = await self._channels.call(self.address, _METHOD, self._metadata, self._receive)
        # The resolver accepts the stream before anything is asked. A connection alone would tell less.
        said = await call.accepted
        self.heeds_closes = said.get(_CLOSES) == "1"
        return call

    async def _use(self, call: StreamingCall) -> None:
        """Until it ends."""
        self.is_up = True
        self._channel.get_state(try_to_connect=True)  # Whoever lists next need not wait for that.
        _log.info("resolver_connected", address=self.address, reports_dropped=self._outbox.dropped)
        self._turns = 1
        self._is_answered = True
        self._outbox.reopened()
        if self._resolves or len(self._outbox):
            self._send_soon()
        try:
            await call.ended
        except CallEndedError as error:
            if error.code is grpc.StatusCode.OK:
                _log.info("resolver_closed_the_stream", address=self.address)
            elif error.code is grpc.StatusCode.CANCELLED:
                _log.warning("resolver_stream_dropped", address=self.address)
            else:
                _log.warning("resolver_lost", address=self.address, code=error.code.name, details=error.details)

    def _send_soon(self) -> None:
        """Not in this turn of the loop: others may have something that goes with it."""
        self._is_due = True
        if self._is_answered and self.is_up and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._send, self._turns)

    def _send(self, turns: int) -> None:
        if turns > 1:
            self._loop.call_soon(self._send, turns - 1)
            return
        self._is_scheduled = False
        if self._call is None or not self.is_up:
            return  # What is kept goes with the next stream.
        if self._riding is not None:
            self._riding.cancel()
            self._riding = None
        if self._call.is_behind:
            self._riding = self._loop.call_later(RIDE_S, self._send_soon)
            return
        self._is_due = False
        message = pb.ResolveStreamRequest(
            reports=self._outbox.take(),
            # Whoever stopped waiting must not take a turn.
            resolves=[item for item in self._resolves if item.id in self._waiting],
        )
        self._resolves.clear()
        if message.resolves:
            self._turns = TURNS if len(message.resolves) > 1 else 1
            self._is_answered = False
        self._call.write(message.SerializeToString())

    def _receive(self, message: bytes) -> None:
        try:
            response = pb.ResolveStreamResponse.FromString(message)
        except DecodeError:
            self.drop()
        else:
            self._hand_out(response)

    def _hand_out(self, response: pb.ResolveStreamResponse) -> None:
        self._outbox.acknowledged(response.acknowledged)
        if not len(self._outbox):
            self._all_acknowledged.set()
        for answer in response.answers:
            waiting = self._waiting.get(answer.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
            else:
                self._close_unwalked(answer)
        if response.answers:
            self._is_answered = True
            if self._is_due:
                self._send_soon()

    def _close_unwalked(self, answer: pb.ResolveAnswer) -> None:
        """Reports a plan that nobody will walk as closed, so that its probes go back."""
        if answer.HasField("plan"):
            closed = pb.OutcomeReport(decision_id=answer.plan.decision_id)
            closed.closed.SetInParent()
            self.report(closed)

    def _lose_all(self) -> None:
        self._resolves.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(StreamLostError(self.address))
                waiting.exception()  # Marked as seen: its owner may have stopped waiting.


def _is_late(answer: asyncio.Future[pb.ResolveAnswer], turns: int = 2) -> None:
    """Waits for some more turns of the event loop: if it was this process that was held up, an answer that came in time
    may be unread still."""
    if answer.done():
        return
    if turns:
        answer.get_loop().call_soon(_is_late, answer, turns - 1)
    else:
        answer.set_exception(TimeoutError())
