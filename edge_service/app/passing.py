"""A stream behind its first content, on its way from the provider to the client."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.app.byte_relay import ByteRelay
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import UpstreamResponse
from edge_service.app.relay import Relay, StreamFailedError
from edge_service.app.reply import Reply


class Passing:
    """While the client keeps up, what comes is written in the moment in which it comes: nobody is woken for it. What
    has to wait for the client is sent by whoever runs this."""

    __slots__ = ("_before", "_idle_s", "_interrupts", "_late", "_relay", "_reply", "_write")

    def __init__(
        self,
        relay: Relay | ByteRelay,
        reply: Reply,
        interrupts: Interrupts,
        idle_s: float,
        before: Callable[[], None] | None = None,
    ) -> None:
        """`before` is called before anything is sent."""
        self._relay = relay
        self._reply = reply
        self._write = reply.write
        self._interrupts = interrupts
        self._idle_s = idle_s
        self._before = before
        self._late = b""
        """What the client was not ready for."""

    async def run(self, response: UpstreamResponse) -> None:
        """Until the stream is complete. Raises `StreamFailedError` or `UpstreamFailure`."""
        relay = self._relay
        try:
            while not await response.pass_on(self._take):
                if self._late:
                    await self._send_late()
                if relay.complete:
                    return
        except StreamFailedError:
            await self._reply.send(relay.rest())
            raise
        ready = relay.ended()
        if self._before is not None:
            self._before()
        await self._reply.send(ready)

    def _take(self, chunk: bytes) -> bool:
        relay = self._relay
        ready = relay.feed(chunk)
        if ready:
            if self._before is not None:
                self._before()
            if not self._write(ready):
                self._late = ready
                return False
        if relay.is_new_content and self._idle_s:
            self._interrupts.put_off(Reason.IDLE, self._idle_s)
        return not relay.complete

    async def _send_late(self) -> None:
        if self._relay.is_new_content:
            self._interrupts.lift(Reason.IDLE)  # While the client takes its time the provider is not silent.
        await self._reply.send(self._late)
        self._late = b""
        if self._relay.is_new_content:
            self._interrupts.within(Reason.IDLE, self._idle_s)
