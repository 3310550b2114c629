"""One bidirectional stream to one resolver: kept open, and opened anew when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import grpc.aio
import structlog
from google.protobuf.message import Message

from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.outbox import Outbox
from edge_service.domain.management import Caller
from forebay.resolver.v1 import pool_admin_service_pb2_grpc, resolver_service_pb2_grpc
from forebay.resolver.v1 import resolver_service_pb2 as pb

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0
FLUSH_S = 0.5
"""How long the last reports may take when the edge stops."""
GRACE_S = 0.5
"""How long listings may go on on a channel that is replaced."""
RIDE_S = 0.005
"""How long reports that are not urgent wait for something to go with."""
TURNS = 3
"""Turns of the event loop for which questions wait for others, if several came with the last message. They are long
while much is going on, and next to nothing otherwise."""
PATIENCE_S = 2.0
"""How long to wait for a connection before the reason that there is none is looked for, and logged."""

_CLOSES = "x-forebay-closes"

_log = structlog.get_logger("forebay.edge.resolver")

Call = grpc.aio.StreamStreamCall[pb.ResolveStreamRequest, pb.ResolveStreamResponse]


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
        self._something_to_send = asyncio.Event()
        self._is_answered = asyncio.Event()
        """Set once the last message's questions are answered."""
        self._riding: asyncio.TimerHandle | None = None
        """Set while reports wait for a message to go with."""
        self._call: Call | None = None
        self._task = asyncio.create_task(self._keep_open(), name=f"resolve-stream {address}")

    def _open_channel(self) -> None:
        self._version = self._channels.version
        self._channel = self._channels.open(self.address)
        self._stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(self._channel)
        self._admin: Any = pool_admin_service_pb2_grpc.PoolAdminServiceStub(self._channel)

    async def resolve(self, request: pb.ResolveRequest, timeout_s: float) -> pb.ResolveAnswer:
        """Raises `TimeoutError` or `StreamLostError`."""
        number = next(self._ids)
        answer: asyncio.Future[pb.ResolveAnswer] = self._loop.create_future()
        self._waiting[number] = answer
        self._resolves.append(pb.ResolveItem(id=number, request=request))
        self._something_to_send.set()
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
            self._something_to_send.set()
        elif self._riding is None:
            self._riding = self._loop.call_later(RIDE_S, self._something_to_send.set)

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
            self._call.cancel()

    def renewed(self) -> None:
        """The certificates have changed. The next connection uses the new ones; an open stream stays."""
        if not self.is_up and self._call is not None:
            self._call.cancel()  # With those before it may never be accepted.

    async def aclose(self) -> None:
        if len(self._outbox):
            self._something_to_send.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._all_acknowledged.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._channel.close()

    async def _keep_open(self) -> None:
        backoff_s = BACKOFF_MIN_S
        last_code: grpc.StatusCode | None = None
        while True:
            if self._version != self._channels.version:
                replaced = self._channel
                self._open_channel()
                await replaced.close(grace=GRACE_S)
            telling = asyncio.create_task(self._tell_why_not())
            try:
                call: Call = self._stub.ResolveStream(metadata=self._metadata, wait_for_ready=True)
                self._call = call
                # The resolver sends them at once if it accepts the stream. `wait_for_connection` tells less: that the
                # request went out.
                said = await call.initial_metadata()
                telling.cancel()
                if not call.done():
                    self.is_up = True
                    self.heeds_closes = said.get(_CLOSES) == "1"
                    backoff_s, last_code = BACKOFF_MIN_S, None
                    _log.info("resolver_connected", address=self.address, reports_dropped=self._outbox.dropped)
                await self._exchange(call)
                _log.info("resolver_closed_the_stream", address=self.address)
            except grpc.aio.AioRpcError as error:
                if error.code() is not last_code:  # Once per reason, not once per try.
                    last_code = error.code()
                    _log.warning("resolver_lost", address=self.address, code=last_code.name, details=error.details())
            except asyncio.CancelledError:
                # `drop` cancels the call, and whoever waits for a call is told so as if its own task were cancelled.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                _log.warning("resolver_stream_dropped", address=self.address)
            finally:
                telling.cancel()
                self.is_up = False
                self._lose_all()
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _tell_why_not(self) -> None:
        """Logs why there is still no connection: a call that waits for one is not told."""
        await asyncio.sleep(PATIENCE_S)
        try:
            await self._stub.ListModels(pb.ListModelsRequest(), timeout=PATIENCE_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            _log.warning("resolver_unreachable", address=self.address, details=error.details())

    async def _exchange(self, call: Call) -> None:
        self._is_answered.set()
        self._outbox.reopened()
        if len(self._outbox):
            self._something_to_send.set()
        writing = asyncio.create_task(self._write(call))
        try:
            async for response in call:
                self._hand_out(response)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, call: Call) -> None:
        several = False
        while True:
            await self._something_to_send.wait()
            if several:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            self._something_to_send.clear()
            if self._riding is not None:
                self._riding.cancel()
                self._riding = None
            message = pb.ResolveStreamRequest(
                reports=self._outbox.take(),
                # Whoever stopped waiting must not take a turn.
                resolves=[item for item in self._resolves if item.id in self._waiting],
            )
            self._resolves.clear()
            if message.resolves:
                several = len(message.resolves) > 1
                self._is_answered.clear()
            await call.write(message)
            await self._is_answered.wait()

    def _hand_out(self, response: pb.ResolveStreamResponse) -> None:
        self._outbox.acknowledged(response.acknowledged)
        if not len(self._outbox):
            self._all_acknowledged.set()
        if response.answers:
            self._is_answered.set()
        for answer in response.answers:
            waiting = self._waiting.get(answer.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
            else:
                self._close_unwalked(answer)

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


def _is_late(answer: asyncio.Future[pb.ResolveAnswer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
