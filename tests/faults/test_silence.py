"""Rows 11, 12 and 13 of the fault matrix: providers that take the request and say nothing, or nothing more. They may
have run it, so that a request moves on from one of them once."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.support.faulty_upstream import DONE, Connection, delta, says
from tests.support.scripts import HALF, ROLE, Holds, breaks_off, hangs, trickles
from tests.support.setup import events
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADERS_S, CONTENT_S, IDLE_S = 0.5, 0.6, 0.6
"""As the configuration has them."""
PLENTY_S = 15.0
"""Less than whatever else there is a limit for."""

SILENT = {
    "before headers": (lambda: hangs(), HEADERS_S),
    "after headers": (lambda: Holds(), CONTENT_S),
    "after a role": (lambda: Holds(ROLE), CONTENT_S),
    "but for pings": (lambda: Holds(ROLE, pings_s=0.02), CONTENT_S),
}


@pytest.mark.parametrize("when", SILENT)
async def test_a_stream_that_falls_silent_before_content_moves_on_once(it: Standing, when: str) -> None:
    make, limit_s = SILENT[when]
    first, second = make(), make()
    slot = await it.slot(first, second, says("never asked"), kind="hasty twice")
    began_at = time.monotonic()
    response = await slot.chat(stream=True)
    assert 2 * limit_s <= time.monotonic() - began_at < 2 * limit_s + PLENTY_S
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert (response.headers["x-forebay-attempts"], response.headers["x-should-retry"]) == ("2", "false")
    assert slot.hits == [1, 1, 0]
    await first.is_left()
    await second.is_left()


@pytest.mark.parametrize("when", SILENT)
async def test_the_next_one_serves_and_the_silent_one_is_left(it: Standing, when: str) -> None:
    make, _ = SILENT[when]
    silent = make()
    slot = await it.slot(silent, says("hello there"), kind="hasty")
    before = (await it.metrics())["forebay_possible_duplicates_total"]
    response = await slot.chat(stream=True)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    got = events(response.content)
    assert got[-1] == b"[DONE]"
    assert sum("role" in json.loads(event)["choices"][0]["delta"] for event in got[:-1]) == 1
    assert b"ping" not in response.content
    await silent.is_left()
    assert slot.hits == [1, 1]
    await it.requests({response.headers["x-forebay-request-id"]})
    assert (await it.metrics())["forebay_possible_duplicates_total"] == before + 1


async def test_five_time_outs_in_a_row_cool_a_target(it: Standing) -> None:
    slot = await it.slot(hangs(), says("hello"), kind="hasty")
    await asyncio.gather(*(slot.chat(stream=True) for _ in range(5)))
    assert slot.hits == [5, 5]
    await slot.cools("timeout", 30)


async def test_an_answer_that_comes_whole_may_take_its_time(it: Standing) -> None:
    async def thinks(connection: Connection) -> None:
        await asyncio.sleep(2 * CONTENT_S)
        await says("at last")(connection)

    slot = await it.slot(thinks, says("never asked"), kind="hasty")
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target())
    assert slot.hits == [1, 0]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_time_for_the_whole_request_is_bounded(it: Standing, stream: bool) -> None:
    silent = hangs()
    slot = await it.slot(silent, says("never asked"), kind="brief")
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert slot.hits == [1, 0]
    await silent.is_left()


@pytest.mark.parametrize("pings_s", [0.0, 0.02], ids=["silence", "pings"])
async def test_a_stream_that_falls_silent_after_content_ends_with_an_error(it: Standing, pings_s: float) -> None:
    silent = Holds(ROLE, HALF, pings_s=pings_s)
    slot = await it.slot(silent, says("never asked"), kind="hasty")
    began_at = time.monotonic()
    response = await slot.chat(stream=True)
    assert IDLE_S <= time.monotonic() - began_at < IDLE_S + PLENTY_S
    assert response.status_code == 200
    assert b"half an ans" in response.content
    assert json.loads(events(response.content)[-1])["error"]["code"] == "upstream_timeout"
    assert b"[DONE]" not in response.content
    await silent.is_left()
    assert slot.hits == [1, 0]


async def test_a_stream_that_keeps_coming_is_not_idle(it: Standing) -> None:
    words = [delta(content=f"{number} ") for number in range(10)]
    slot = await it.slot(trickles([*words, DONE], pause_s=IDLE_S / 5), says("never asked"), kind="hasty")
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    assert slot.hits == [1, 0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_hangs_up_is_as_good_as_silent(it: Standing, stream: bool) -> None:
    slot = await it.slot(breaks_off, breaks_off, says("never asked"))
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_broken")
    assert slot.hits == [1, 1, 0]
