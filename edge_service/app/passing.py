"""Passes a stream on to the client after its first content."""

from __future__ import annotations

from collections.abc import Callable

from edge_service.app.byte_relay import ByteRelay
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.ports import UpstreamResponse
from edge_service.app.relay import Relay, StreamFailedError
from edge_service.app.reply import Reply

_IDLE = Reason.IDLE


class Passing:
    """While the client keeps up, each piece is written as it arrives, in the callback that brought it, without waking a
    task. If the client does not keep up, the task that awaits `run` sends the rest."""

    __slots__ = ("_before", "_deadlines", "_idle_s", "_interrupts", "_late", "_now", "_relay", "_reply", "_write")

    def __init__(
        self,
        relay: Relay | ByteRelay,
        reply: Reply,
        interrupts: Interrupts,
        idle_s: float,
        before: Callable[[], None] | None = None,
    ) -> None:
        """`idle_s` is the longest silence that the provider may keep, 0 for no limit; its timer is running already.
        `before` is called before anything is sent."""
        self._relay = relay
        self._reply = reply
        self._write = reply.write
        self._interrupts = interrupts
        self._deadlines, self._now = interrupts.deadlines, interrupts.now
        self._idle_s = idle_s
        self._before = before
        self._late = b""
        """The piece that the client was not ready for, or the last one."""

    async def run(self, response: UpstreamResponse) -> bytes:
        """Passes on until the stream is complete. Returns what is still to be sent. Raises `StreamFailedError` or
        `UpstreamFailure`."""
        relay = self._relay
        try:
            while not await response.pass_on(self._take):
                if relay.complete:
                    return self._late
                await self._send_late()
        except StreamFailedError:
            await self._reply.send(relay.rest())
            raise
        ready = relay.ended()
        if self._before is not None:
            self._before()
        return ready

    def _take(self, chunk: bytes) -> bool:
        relay = self._relay
        ready = relay.feed(chunk)
        if ready:
            if self._before is not None:
                self._before()
            if relay.complete or not self._write(ready):
                self._late = ready
                return False
        if relay.is_new_content and self._idle_s:
            self._deadlines[_IDLE] = self._now() + self._idle_s
        return not relay.complete

    async def _send_late(self) -> None:
        if self._relay.is_new_content:
            self._interrupts.lift(_IDLE)  # While the client takes its time the provider is not silent.
        await self._reply.send(self._late)
        self._late = b""
        if self._relay.is_new_content:
            self._interrupts.within(_IDLE, self._idle_s)
