"""Rows 7, 8 and 10 of the fault matrix: providers to which no connection can be made. They never see the request, so
that moving on costs nothing."""

from __future__ import annotations

import time

import pytest

from tests.support.elsewhere import UNCALLABLE
from tests.support.faulty_upstream import says
from tests.support.scripts import breaks_off
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT_S = 0.3
"""As the configuration has it."""
PLENTY_S = 15.0
"""Less than the system would go on for: it tries to connect for minutes."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["refused", "no such host", "no such host again", "black hole"])
async def test_an_unreachable_provider_is_passed_over(it: Standing, place: str, stream: bool) -> None:
    slot = await it.another(place, says("instead"))
    began_at = time.monotonic()
    response = await slot.chat(stream=stream)
    took_s = time.monotonic() - began_at
    assert (CONNECT_S if place == "black hole" else 0) <= took_s < PLENTY_S
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert response.headers["x-forebay-attempts"] == "2"
    await slot.cools_not()
    await slot.chat(stream=stream)
    await slot.cools("unreachable", 30)
    assert (await slot.chat(stream=stream)).headers["x-forebay-attempts"] == "1"
    assert slot.hits == [3]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("refused", "Connection refused"),
        ("no such host", "the name cannot be resolved"),
        ("black hole", "no connection in time"),
    ],
)
async def test_the_log_says_why_though_another_one_serves(it: Standing, place: str, why: str) -> None:
    slot = await it.another(place, says("instead"))
    request_id = (await slot.chat()).headers["x-forebay-request-id"]
    line = (await it.requests({request_id}))[request_id]
    failed, served = line["walk"]
    assert why in failed["why"]
    assert "why" not in served


@pytest.mark.parametrize("place", ["refused", "no such host", "black hole"])
async def test_when_nobody_can_be_reached_the_client_is_told(it: Standing, place: str) -> None:
    slot = await it.another(place)
    response = await slot.chat("n")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert response.headers["x-forebay-attempts"] == "1"


async def test_an_unreachable_provider_does_not_use_up_the_one_move_after_silence(it: Standing) -> None:
    slot = await it.another("refused", breaks_off, says("hello"))
    before = (await it.metrics())["forebay_possible_duplicates_total"]
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-attempts"]) == (200, "3")
    assert slot.hits == [1, 1]
    await it.requests({response.headers["x-forebay-request-id"]})
    assert (await it.metrics())["forebay_possible_duplicates_total"] == before + 1


@pytest.mark.parametrize("host", UNCALLABLE)
async def test_a_provider_that_must_not_be_called_is_passed_over_and_not_even_tried(it: Standing, host: str) -> None:
    slot = await it.another(host, says("hello"))
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert response.headers["x-forebay-attempts"] == "2"
    assert "169.254" not in response.text
    message = (await slot.chat("n")).json()["error"]["message"]
    assert "never called" in message or "not a URL" in message, "and that is why"
    assert slot.hits == [1]
