"""On a clock that jumps: what happens when is exact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edge_service.app.byte_relay import ByteRelay
from edge_service.app.interrupts import Interrupts, Reason
from edge_service.app.passing import Passing
from edge_service.app.ports import BrokenError
from edge_service.app.record import Record
from edge_service.app.relay import Relay, StreamFailedError
from edge_service.app.reply import Reply
from edge_service.dialects.asked import OPENAI
from edge_service.dialects.openai_chat.passthrough import EventReader
from edge_service.domain.outcome import Disposition
from tests.support.faulty_upstream import DONE, delta
from tests.unit.edge_service.app.test_reply import Client, timed

HELLO = delta(content="hello")
PING = b": ping\n\n"
IDLE_S = 90.0


class Provider:
    """Says what it is told to, to whoever listens."""

    def __init__(self, *said: bytes) -> None:
        self._unread = list(said)
        self._take: Callable[[bytes], bool] | None = None
        self._enough = asyncio.Event()
        self._failure: Exception | None = None
        self._is_over = False

    def says(self, part: bytes) -> None:
        if self._take is None:
            self._unread.append(part)
            return
        try:
            if self._take(part):
                return
        except StreamFailedError as error:
            self._failure = error
        self._take = None
        self._enough.set()

    def ends(self, failure: Exception | None = None) -> None:
        self._is_over, self._failure = True, failure
        self._enough.set()

    async def pass_on(self, take: Callable[[bytes], bool]) -> bool:
        while self._unread:
            if not take(self._unread.pop(0)):
                return False
        self._take = take
        await self._enough.wait()
        self._enough.clear()
        self._take = None
        if self._failure is not None:
            raise self._failure
        return self._is_over


class Passed:
    """A stream under way, behind its first content."""

    def __init__(
        self,
        relay: Relay | ByteRelay | None = None,
        before: Callable[[], None] | None = None,
        idle_s: float = IDLE_S,
        **within_s: float,
    ) -> None:
        """`within_s` are other time limits, by reason."""
        self.client, self.provider = Client(), Provider()
        self._idle_s, self._within_s = idle_s, within_s
        if relay is None:
            relay = Relay(EventReader("chat"))
            relay.feed(HELLO)
        self.task = asyncio.create_task(self._run(relay, before))

    async def _run(self, relay: Relay | ByteRelay, before: Callable[[], None] | None) -> bytes:
        response: Any = self.provider
        reply, interrupts = Reply(self.client, OPENAI, Record("r", 0.0)), Interrupts()
        interrupts.within(Reason.IDLE, self._idle_s)
        for reason, seconds in self._within_s.items():
            interrupts.within(Reason[reason], seconds)
        try:
            return await Passing(relay, reply, interrupts, self._idle_s, before).run(response)
        except asyncio.CancelledError:
            self.reason = interrupts.reason
            raise
        finally:
            interrupts.close()

    @property
    def got(self) -> list[object]:
        return [what for _, what in self.client.got]


def later(seconds: float, call: Callable[..., object], *arguments: object) -> None:
    asyncio.get_running_loop().call_later(seconds, call, *arguments)


@timed
async def test_what_comes_is_written_while_it_comes() -> None:
    it = Passed()
    await asyncio.sleep(1)
    it.provider.says(PING)
    assert it.got == [PING], "nobody has had a turn in between"
    it.provider.says(DONE)
    assert (await it.task, it.got) == (DONE, [PING]), "the end goes with the last of it"


@timed
async def test_what_the_client_is_not_ready_for_waits_and_keeps_its_place() -> None:
    it = Passed(ByteRelay())
    await asyncio.sleep(1)
    it.client.reads.clear()
    for part in (b"a", b"b", b"c"):
        it.provider.says(part)
    later(4, it.client.reads.set)
    later(5, it.provider.says, b"d")
    later(6, it.provider.ends)
    await it.task
    assert it.client.got == [(5, b"a"), (5, b"b"), (5, b"c"), (6, b"d")]


@timed
async def test_while_the_client_takes_its_time_the_provider_is_not_silent() -> None:
    it = Passed()
    await asyncio.sleep(80)
    it.client.reads.clear()
    it.provider.says(HELLO)
    later(500, it.client.reads.set)
    later(500 + IDLE_S - 1, it.provider.says, HELLO + DONE)
    assert (await it.task).endswith(DONE)
    assert ([at for at, _ in it.client.got], asyncio.get_running_loop().time()) == ([580], 580 + IDLE_S - 1)


@timed
async def test_once_the_client_has_it_the_provider_s_silence_is_counted_again() -> None:
    it = Passed()
    await asyncio.sleep(80)
    it.client.reads.clear()
    it.provider.says(HELLO)
    later(500, it.client.reads.set)
    with pytest.raises(asyncio.CancelledError):
        await it.task
    assert (asyncio.get_running_loop().time(), it.reason) == (580 + IDLE_S, Reason.IDLE)


@timed
async def test_without_a_limit_a_provider_may_be_silent_for_as_long_as_the_stream_may_take() -> None:
    it = Passed(idle_s=0.0, STREAM=1000.0)
    later(1, it.provider.says, HELLO)
    with pytest.raises(asyncio.CancelledError):
        await it.task
    assert (asyncio.get_running_loop().time(), it.reason) == (1000, Reason.STREAM)


@timed
async def test_nothing_is_sent_twice_to_a_client_that_was_behind() -> None:
    class Drops(ByteRelay):
        """As a reader does that drops the terminal marker."""

        def feed(self, data: bytes) -> bytes:
            self.complete = data == DONE
            return b"" if self.complete else data

    it = Passed(Drops())
    await asyncio.sleep(1)
    it.client.reads.clear()
    it.provider.says(b"a")
    later(1, it.client.reads.set)
    later(2, it.provider.says, DONE)
    assert (await it.task, it.got) == (b"", [b"a"])


@pytest.mark.parametrize("pings", [[], [PING] * 8])
@timed
async def test_content_puts_the_end_of_patience_off_and_nothing_else_does(pings: list[bytes]) -> None:
    it = Passed()
    later(80, it.provider.says, HELLO)
    for number, ping in enumerate(pings, 9):
        later(10 * number, it.provider.says, ping)
    with pytest.raises(asyncio.CancelledError):
        await it.task
    assert asyncio.get_running_loop().time() == 80 + IDLE_S


@timed
async def test_what_came_before_a_failure_is_sent() -> None:
    it = Passed()
    await asyncio.sleep(1)
    it.provider.says(HELLO + b"data: {\n\n")
    with pytest.raises(StreamFailedError) as raised:
        await it.task
    assert raised.value.outcome.disposition is Disposition.BROKEN
    assert "JSON" in raised.value.outcome.detail, "its own reason, not that the marker is missing"
    assert b'"hello"' in b"".join(what for what in it.got if isinstance(what, bytes))


@timed
async def test_a_connection_that_breaks_is_for_whoever_waits() -> None:
    it = Passed()
    later(1, it.provider.ends, BrokenError("reset"))
    with pytest.raises(BrokenError):
        await it.task


@timed
async def test_an_end_without_the_marker_is_none() -> None:
    it = Passed()
    later(1, it.provider.ends)
    with pytest.raises(StreamFailedError):
        await it.task


@timed
async def test_what_has_to_be_done_before_the_client_hears_of_it_is_done() -> None:
    order: list[object] = []
    it = Passed(ByteRelay(), before=lambda: order.append(len(it.got)))
    await asyncio.sleep(1)
    it.provider.says(b"a")
    it.provider.ends()
    await it.task
    assert (order, it.got) == ([0, 1], [b"a"])
