from __future__ import annotations

import asyncio

import pytest

from edge_service.app.gate import Gate
from edge_service.domain.errors import UnavailableError
from edge_service.domain.failed_keys import MOST
from edge_service.domain.management import Caller, KeyRefusedError, NotServedError, TooManyFailedKeysError

HOST = "192.0.2.1"


class Asking:
    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.calls = 0
        self.gate = Gate(lambda: self.now, self.told.append)

    async def show(self, key: str, error: BaseException | None = None, host: str = HOST) -> str:
        async def call() -> str:
            self.calls += 1
            await asyncio.sleep(0)
            if error is not None:
                raise error
            return "done"

        return await self.gate.admit(Caller(key, host), call)

    async def fail(self, key: str = "wrong", host: str = HOST) -> None:
        with pytest.raises(KeyRefusedError):
            await self.show(key, KeyRefusedError(), host)


async def test_after_five_wrong_keys_nobody_is_asked_whatever_is_shown() -> None:
    it = Asking()
    for _ in range(MOST):
        await it.fail()
    for key in ("wrong", "right", ""):
        with pytest.raises(TooManyFailedKeysError) as caught:
            await it.show(key)
        assert (caught.value.status, caught.value.retry_after) == (429, "60")
    assert (it.calls, it.told) == (MOST, ["too_many_failed_keys"] * 3)
    assert await it.show("right", host="192.0.2.2") == "done"
    it.now = 60.0
    assert await it.show("right") == "done"


async def test_a_missing_key_is_no_guess() -> None:
    it = Asking()
    for _ in range(2 * MOST):
        await it.fail(key="")
    assert await it.show("right") == "done"


@pytest.mark.parametrize(
    "error", [NotServedError(), UnavailableError("away"), ZeroDivisionError(), asyncio.CancelledError()]
)
async def test_what_does_not_tell_that_the_key_is_wrong_does_not_count(error: BaseException) -> None:
    it = Asking()
    for _ in range(2 * MOST):
        with pytest.raises(type(error)):
            await it.show("key", error)
    assert await it.show("right") == "done"


async def test_guesses_at_once_are_heard_no_more_than_five_times() -> None:
    it = Asking()
    guesses = [it.show(f"guess {number}", KeyRefusedError()) for number in range(100)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert it.calls == MOST
    assert [type(each) for each in results] == [KeyRefusedError] * MOST + [TooManyFailedKeysError] * (100 - MOST)


async def test_many_requests_at_once_with_the_right_key_are_all_heard() -> None:
    it = Asking()
    assert await asyncio.gather(*(it.show("right") for _ in range(100))) == ["done"] * 100
