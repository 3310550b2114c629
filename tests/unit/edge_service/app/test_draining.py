from __future__ import annotations

import asyncio

import pytest

from edge_service.app.draining import UnderWay
from edge_service.app.interrupts import Interrupts, Reason


async def waits(under_way: UnderWay, interrupts: Interrupts | None = None) -> Reason | None:
    """What a request that waits for ever is interrupted for."""
    interrupts = interrupts or Interrupts()
    under_way.enter(interrupts)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return interrupts.take()
    finally:
        under_way.leave(interrupts)
        interrupts.close()
    raise AssertionError("nobody sets the event")


async def test_draining_disturbs_nobody_and_its_end_everybody() -> None:
    under_way = UnderWay()
    requests = [asyncio.create_task(waits(under_way)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not under_way.is_draining
    under_way.drain()
    await asyncio.sleep(0)
    assert under_way.is_draining
    assert not any(request.done() for request in requests)
    under_way.end()
    assert await asyncio.gather(*requests) == [Reason.DRAINING] * 2


async def test_whoever_comes_after_the_end_is_told_at_once() -> None:
    under_way = UnderWay()
    under_way.end()
    async with asyncio.timeout(20):
        assert await asyncio.create_task(waits(under_way)) is Reason.DRAINING


async def test_whoever_is_done_is_not_disturbed() -> None:
    under_way = UnderWay()
    interrupts = Interrupts()
    under_way.enter(interrupts)
    under_way.leave(interrupts)
    under_way.end()
    await asyncio.sleep(0)
    assert interrupts.reason is None


@pytest.mark.parametrize(
    ("fired", "told"),
    [
        ([Reason.HEADERS, Reason.DRAINING], Reason.DRAINING),
        ([Reason.DRAINING, Reason.HEADERS], Reason.DRAINING),
        ([Reason.DRAINING, Reason.CLIENT_GONE], Reason.CLIENT_GONE),
        ([Reason.CLIENT_GONE, Reason.DRAINING], Reason.CLIENT_GONE),
    ],
)
async def test_of_two_reasons_the_one_that_ends_more_is_told(fired: list[Reason], told: Reason) -> None:
    interrupts = Interrupts()
    for reason in fired:
        interrupts.fire(reason)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert interrupts.take() is told
    interrupts.close()
