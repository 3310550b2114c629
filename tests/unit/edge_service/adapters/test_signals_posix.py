from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from edge_service.adapters.signals_posix import stop_by_signals


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
async def test_each_of_them_says_to_stop(number: int) -> None:
    told = asyncio.Event()
    stop_by_signals(told.set)
    signal.raise_signal(number)
    await told.wait()


async def test_a_terminal_that_is_to_be_outlived_may_be_closed() -> None:
    told = asyncio.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_by_signals(told.set)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.raise_signal(signal.SIGTERM)
    await told.wait()
