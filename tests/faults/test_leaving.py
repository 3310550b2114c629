"""Row 22 of the fault matrix: clients that leave. Nobody is asked for them any more, and whoever is being asked is left
within a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import pytest

from tests.support.away import away
from tests.support.faulty_upstream import Connection, says
from tests.support.scripts import HALF, ROLE, Holds, hangs
from tests.support.setup import until
from tests.support.standing import Slot, Standing

on_the_standing_services = pytest.mark.asyncio(loop_scope="session")


async def ask_and_leave(it: Standing, slot: Slot, when: asyncio.Event, *, stream: bool, abruptly: bool) -> bytes:
    """What came until then. Abruptly is with a reset, as when a process is killed; else the connection is closed."""
    body = json.dumps({"model": slot.name, "stream": stream, "messages": []}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-forebay-request-id: %s\r\ncontent-length: %d\r\n\r\n%s"
        % (slot.name.encode(), len(body), body)
    )
    await when.wait()
    got = b""
    if slot.hits[0] and stream:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                got = await reader.read(65536)
    writer.transport.abort() if abruptly else writer.close()
    return got


@on_the_standing_services
@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("stream", "script"),
    [
        (False, hangs),
        (True, hangs),
        (True, lambda: Holds(ROLE)),
        (True, lambda: Holds(ROLE, HALF)),
        (True, lambda: Holds(ROLE, HALF, pings_s=0.01)),
    ],
    ids=["whole", "stream, no headers", "stream, no content", "stream, content", "stream, pings after content"],
)
async def test_when_the_client_leaves_the_provider_is_left(
    it: Standing, stream: bool, script: type[Holds], abruptly: bool
) -> None:
    holds = script()
    slot = await it.slot(holds, says("never asked"))
    await ask_and_leave(it, slot, holds.called, stream=stream, abruptly=abruptly)
    await holds.is_left()
    (line,) = (await it.requests({slot.name})).values()
    assert line["ending"] == "gone"
    assert [(tried["target"], tried["disposition"]) for tried in line["walk"]] == [(slot.target(), "cancelled")]
    assert slot.hits == [1, 0]
    await slot.cools_not()


@on_the_standing_services
async def test_in_the_midst_of_a_walk_nobody_else_is_asked(it: Standing) -> None:
    refused = asyncio.Event()

    async def refuses_slowly(connection: Connection) -> None:
        await connection.head(503, content_length="1000")
        refused.set()
        await connection.gone()  # Its error's body is waited for.

    slot = await it.slot(refuses_slowly, says("never asked"))
    await ask_and_leave(it, slot, refused, stream=True, abruptly=False)
    (line,) = (await it.requests({slot.name})).values()
    assert line["ending"] == "gone"
    assert slot.hits == [1, 0]


@on_the_standing_services
async def test_many_that_leave_cool_nobody(it: Standing) -> None:
    holds = [hangs() for _ in range(20)]
    waiting = iter(holds)

    async def script(connection: Connection) -> None:
        await next(waiting)(connection)

    slot = await it.slot(script, says("never asked"))
    await asyncio.gather(
        *(
            ask_and_leave(it, slot, each.called, stream=number % 2 == 1, abruptly=False)
            for number, each in enumerate(holds)
        )
    )
    await asyncio.gather(*(each.is_left() for each in holds))
    assert slot.hits == [20, 0]
    await slot.cools_not()


@pytest.mark.parametrize("stream", [False, True])
async def test_while_its_plan_is_awaited_no_provider_is_asked(tmp_path: Path, stream: bool) -> None:
    async with away(tmp_path) as it:
        assert (await it.chat()).status_code == 200
        it.resolver.process.send_signal(signal.SIGSTOP)
        body = {"model": "m", "stream": stream, "messages": []}
        asking = asyncio.create_task(it.client.post("/v1/chat/completions", json=body))
        await asyncio.sleep(0.1)  # Less than a resolve may take.
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking

        async def is_told() -> bool:
            lines = map(json.loads, it.edge.errors.read_text().splitlines())
            return any(line.get("ending") == "gone" and line["walk"] == [] for line in lines)

        await until(is_told)
        it.resolver.process.send_signal(signal.SIGCONT)
        assert (await it.chat()).status_code == 200
        assert it.hits == 2
