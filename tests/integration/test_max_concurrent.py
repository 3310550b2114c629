"""Two real processes, and providers that take one request at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2

from tests.support.faulty_upstream import Connection, Script, says
from tests.support.setup import setup, until


def holds(until_told: asyncio.Event) -> Script:
    """A provider that takes its time, and then says hello."""

    async def script(connection: Connection) -> None:
        await until_told.wait()
        await says("hello")(connection)

    return script


async def test_full_targets_are_passed_over_until_they_have_room(tmp_path: Path) -> None:
    told = [asyncio.Event(), asyncio.Event()]
    async with setup(tmp_path, *map(holds, told), each="max-concurrent: 1") as it:
        asking: list[asyncio.Task[httpx2.Response]] = []
        for number, stream in enumerate((False, True)):
            asking.append(asyncio.create_task(it.chat(stream=stream)))

            async def is_called(number: int = number) -> bool:
                return it.hits[number] == 1

            await until(is_called)
        assert it.hits == [1, 1], "the second request went to the second target"

        for _ in range(2):
            refused = await it.chat()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["message"].startswith("every target of 'chat' is busy")

        told[0].set()
        assert (await asking[0]).headers["x-forebay-target"] == "p0/m#0"
        for _ in range(10):
            assert (await it.chat()).headers["x-forebay-target"] == "p0/m#0", "whoever has been answered is not counted"
            assert (await it.chat(stream=True)).headers["x-forebay-target"] == "p0/m#0"
        told[1].set()
        assert (await asking[1]).headers["x-forebay-target"] == "p1/m#0"
        assert it.hits == [21, 1]

        it.providers[0].script = holds(asyncio.Event())
        leaving = asyncio.create_task(it.chat())

        async def is_called_again() -> bool:
            return it.hits[0] == 22

        await until(is_called_again)
        assert (await it.chat()).headers["x-forebay-target"] == "p1/m#0"
        leaving.cancel()
        it.providers[0].script = says("hello")

        async def has_room() -> bool:
            return (await it.chat()).headers["x-forebay-target"] == "p0/m#0"

        await until(has_room)
