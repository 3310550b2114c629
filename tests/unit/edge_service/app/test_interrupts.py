"""Real event loops, tasks and timers. On asyncio's loop time is that of a clock which jumps to the next timer; on
uvloop's, which knows only real time, it is short, and nothing depends on its being exact."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine

import pytest
import uvloop

from edge_service.app.interrupts import Interrupts, Reason
from tests.support.jumping_clock import run_on_a_jumping_clock

LONG_S = 20.0


def on_both_loops(test: Callable[[], Coroutine[object, object, None]]) -> Callable[..., None]:
    """Production runs on uvloop, most tests on asyncio's own loop."""

    @pytest.mark.parametrize("run", [run_on_a_jumping_clock, uvloop.run], ids=["asyncio", "uvloop"])
    def both(run: Callable[[Coroutine[object, object, None]], None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LONG_S / 10):
                await test()

        run(bounded())

    functools.update_wrapper(both, test)
    del both.__wrapped__  # type: ignore[attr-defined]
    return both


async def forever() -> None:
    await asyncio.Event().wait()


async def interrupted(interrupts: Interrupts, wait: Callable[[], Awaitable[object]] = forever) -> Reason | None:
    """What breaks the wait off."""
    try:
        await wait()
    except asyncio.CancelledError:
        return interrupts.take()
    raise AssertionError("not interrupted")


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def soon(interrupts: Interrupts, *reasons: Reason) -> None:
    """Fires the reasons one after the other as soon as the task waits."""

    def fire() -> None:
        for reason in reasons:
            interrupts.fire(reason)

    asyncio.get_running_loop().call_soon(fire)


@on_both_loops
async def test_a_deadline_breaks_off_whatever_is_awaited() -> None:
    interrupts, loop = Interrupts(), asyncio.get_running_loop()
    began_at = loop.time()
    interrupts.within(Reason.HEADERS, 0.03)
    assert await interrupted(interrupts) is Reason.HEADERS
    assert 0.02 < loop.time() - began_at < LONG_S / 4
    assert cancelling() == 0


@on_both_loops
async def test_the_soonest_deadline_breaks_off_first_and_the_others_follow() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 0.04)
    interrupts.within(Reason.FIRST_CONTENT, 0.02)
    interrupts.within(Reason.HEADERS, 0.01)
    for reason in (Reason.HEADERS, Reason.FIRST_CONTENT, Reason.TOTAL):
        assert await interrupted(interrupts) is reason


@on_both_loops
async def test_a_deadline_that_is_due_later_is_not_forgotten_for_one_set_after_it() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 0.03)
    interrupts.within(Reason.HEADERS, 0.01)
    assert await interrupted(interrupts) is Reason.HEADERS
    interrupts.within(Reason.HEADERS, LONG_S)
    assert await interrupted(interrupts) is Reason.TOTAL


@on_both_loops
async def test_a_deadline_that_is_as_good_as_due_stands_in_the_way_of_no_other() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 1e-6)
    interrupts.within(Reason.HEADERS, LONG_S)
    assert await interrupted(interrupts) is Reason.TOTAL


@on_both_loops
async def test_zero_means_no_limit() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.HEADERS, 0.0)
    interrupts.within(Reason.IDLE, 0.01)
    interrupts.within(Reason.IDLE, 0.0)
    await asyncio.sleep(0.03)
    assert interrupts.reason is None


def put_off(interrupts: Interrupts, reason: Reason, seconds: float) -> None:
    interrupts.deadlines[reason] = interrupts.now() + seconds


@pytest.mark.parametrize("move", [Interrupts.within, put_off])
def test_a_deadline_that_moves_later_holds_at_its_new_place(move: Callable[[Interrupts, Reason, float], None]) -> None:
    async def test() -> None:
        interrupts, loop = Interrupts(), asyncio.get_running_loop()
        interrupts.within(Reason.IDLE, 90.0)
        for _ in range(5):
            await asyncio.sleep(60.0)
            move(interrupts, Reason.IDLE, 90.0)
        assert await interrupted(interrupts) is Reason.IDLE
        assert loop.time() == pytest.approx(5 * 60.0 + 90.0)

    run_on_a_jumping_clock(test())


@on_both_loops
async def test_a_deadline_that_moves_earlier_holds_at_its_new_place() -> None:
    interrupts, loop = Interrupts(), asyncio.get_running_loop()
    began_at = loop.time()
    interrupts.within(Reason.IDLE, LONG_S)
    interrupts.within(Reason.IDLE, 0.01)
    assert await interrupted(interrupts) is Reason.IDLE
    assert loop.time() - began_at < LONG_S / 2


@on_both_loops
async def test_a_lifted_deadline_passes_unnoticed_and_the_others_do_not() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.HEADERS, 0.01)
    interrupts.within(Reason.FIRST_CONTENT, 0.03)
    interrupts.lift(Reason.HEADERS, Reason.IDLE)
    assert await interrupted(interrupts) is Reason.FIRST_CONTENT


@on_both_loops
async def test_a_timer_that_finds_every_deadline_lifted_finds_no_fault() -> None:
    interrupts, faults = Interrupts(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    interrupts.within(Reason.HEADERS, 0.01)
    interrupts.lift(Reason.HEADERS)
    await asyncio.sleep(0.03)
    assert (interrupts.reason, faults) == (None, [])
    interrupts.close()


@on_both_loops
async def test_a_client_that_left_breaks_off_whatever_is_awaited() -> None:
    interrupts = Interrupts()
    soon(interrupts, Reason.CLIENT_GONE)
    assert await interrupted(interrupts) is Reason.CLIENT_GONE


@on_both_loops
async def test_two_reasons_at_once_are_one_interruption() -> None:
    interrupts = Interrupts()
    soon(interrupts, Reason.HEADERS, Reason.TOTAL)
    assert await interrupted(interrupts) is Reason.HEADERS
    assert cancelling() == 0
    await asyncio.sleep(0)
    assert interrupts.reason is None


@on_both_loops
async def test_a_client_that_left_outweighs_a_deadline_that_has_just_passed() -> None:
    interrupts = Interrupts()
    soon(interrupts, Reason.HEADERS, Reason.CLIENT_GONE, Reason.TOTAL)
    assert await interrupted(interrupts) is Reason.CLIENT_GONE
    assert cancelling() == 0


@on_both_loops
async def test_of_two_reasons_the_weightier_counts_whichever_comes_first() -> None:
    interrupts = Interrupts()
    for lighter, weightier in itertools.combinations([Reason.TOTAL, Reason.DRAINING, Reason.CLIENT_GONE], 2):
        for reasons in ([lighter, weightier], [weightier, lighter]):
            soon(interrupts, *reasons)
            assert await interrupted(interrupts) is weightier


@on_both_loops
async def test_a_deadline_that_passes_between_fire_and_take_waits_for_its_turn() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 0.01)

    async def slow_to_clean_up() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.03)

    soon(interrupts, Reason.HEADERS)
    assert await interrupted(interrupts, slow_to_clean_up) is Reason.HEADERS
    assert await interrupted(interrupts) is Reason.TOTAL


@on_both_loops
async def test_an_interruption_arrives_even_if_what_is_awaited_is_there_in_the_same_moment() -> None:
    interrupts, loop = Interrupts(), asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()
    loop.call_soon(answer.set_result, None)
    soon(interrupts, Reason.CLIENT_GONE)
    assert await interrupted(interrupts, lambda: answer) is Reason.CLIENT_GONE
    await asyncio.sleep(0)


@on_both_loops
async def test_a_cancellation_from_elsewhere_is_no_interruption() -> None:
    interrupts, task = Interrupts(), asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    assert await interrupted(interrupts) is None
    assert task.uncancel() == 0


@on_both_loops
async def test_a_cancellation_from_elsewhere_outweighs_an_interruption() -> None:
    interrupts, task = Interrupts(), asyncio.current_task()
    assert task is not None
    soon(interrupts, Reason.HEADERS)
    asyncio.get_running_loop().call_soon(task.cancel)
    assert await interrupted(interrupts) is None
    assert task.uncancel() == 0


@on_both_loops
async def test_an_older_cancellation_of_the_task_does_not_count() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    interrupts = Interrupts()
    soon(interrupts, Reason.HEADERS)
    assert await interrupted(interrupts) is Reason.HEADERS
    assert task.uncancel() == 0


@on_both_loops
async def test_time_outs_of_asyncio_keep_their_meaning_around_and_within() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.HEADERS, 0.02)

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await forever()
        async with asyncio.timeout(LONG_S):
            await forever()

    async with asyncio.timeout(LONG_S):
        assert await interrupted(interrupts, wait) is Reason.HEADERS
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await forever()


@on_both_loops
async def test_a_time_out_of_asyncio_in_the_same_moment_does_not_hide_an_interruption() -> None:
    interrupts = Interrupts()

    async def wait() -> None:
        async with asyncio.timeout(0) as timeout:
            soon(interrupts, Reason.CLIENT_GONE)
            timeout.reschedule(asyncio.get_running_loop().time())
            await forever()

    assert await interrupted(interrupts, wait) is Reason.CLIENT_GONE
    assert cancelling() == 0


@on_both_loops
async def test_nothing_is_interrupted_after_the_close() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 0.01)
    interrupts.close()
    interrupts.fire(Reason.CLIENT_GONE)
    await asyncio.sleep(0.03)
    assert interrupts.reason is None
    assert interrupts.take() is None
    interrupts.close()


@on_both_loops
async def test_a_close_right_after_an_interruption_calls_off_what_was_due_next() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.TOTAL, 0.01)

    async def late() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.03)

    soon(interrupts, Reason.HEADERS)
    assert await interrupted(interrupts, late) is Reason.HEADERS
    interrupts.close()
    await asyncio.sleep(0.02)
    assert cancelling() == 0


@on_both_loops
async def test_no_timer_is_left_behind_to_hold_on_to_a_request_that_is_over() -> None:
    interrupts, timers = Interrupts(), list[asyncio.Handle | None]()
    for seconds in (LONG_S, LONG_S / 2):
        interrupts.within(Reason.STREAM, seconds)
        timers.append(interrupts._timer)
    interrupts.close()
    assert [timer is not None and timer.cancelled() for timer in timers] == [True, True]


@on_both_loops
async def test_it_interrupts_the_task_that_made_it_and_no_other() -> None:
    async def request(reason: Reason) -> Reason | None:
        interrupts = Interrupts()
        soon(interrupts, reason)
        return await interrupted(interrupts)

    assert await asyncio.gather(request(Reason.IDLE), request(Reason.STREAM)) == [Reason.IDLE, Reason.STREAM]


@on_both_loops
async def test_moving_a_deadline_later_needs_no_new_timer() -> None:
    interrupts = Interrupts()
    interrupts.within(Reason.IDLE, 5.0)
    timer = interrupts._timer
    for seconds in range(6, 100):
        interrupts.within(Reason.IDLE, float(seconds))
    assert interrupts._timer is timer
    interrupts.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("in_time", [True, False])
def test_who_was_held_up_reads_what_came_meanwhile(
    run: Callable[[Coroutine[object, object, None]], None], *, in_time: bool
) -> None:
    """As a process that was stopped, or one whose machine was."""

    async def test() -> None:
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)
        interrupts = Interrupts()
        interrupts.within(Reason.IDLE, 0.01)

        def be_held_up() -> None:
            if in_time:
                there.send(b"x")
            time.sleep(0.05)

        asyncio.get_running_loop().call_soon(be_held_up)
        try:
            read: bytes | Reason | None = await reader.read(1)
        except asyncio.CancelledError:
            read = interrupts.take()
        finally:
            interrupts.close()
            writer.close()
            there.close()
        assert read == (b"x" if in_time else Reason.IDLE)

    run(test())
