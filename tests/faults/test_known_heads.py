"""Rows 19, 20 and 22 once more, behind requests whose head is known: nothing is taken for one that is another."""

from __future__ import annotations

import asyncio

import pytest

from edge_service.adapters.http.protocol import Bounds
from tests.faults.talking import BODY, POST, SHORT, WHOLE, Echo, Talk, connected, serving
from tests.faults.test_client_heads import HEADS, TWO_MEANINGS

HEAD = WHOLE.removesuffix(BODY)


async def known(client: Talk) -> None:
    """Has the head of `WHOLE` known, and other lengths been told with it."""
    for body in (BODY, b"short", BODY * 100):
        client.write(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert (await client.answer())[2] == body


async def test_a_request_with_two_meanings_is_answered_400_and_nothing_after_it_is_read() -> None:
    app = Echo()
    requests = {**{name: POST + rest for name, rest in TWO_MEANINGS.items()}, **HEADS}

    async def refused(name: str, request: bytes) -> None:
        async with connected(port) as client:
            await known(client)
            client.write(request + WHOLE)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (400, "close"), name
            assert await client.rest() == b"", name

    async with serving(app, Bounds()) as port:
        await asyncio.gather(*(refused(*request) for request in requests.items()))
    assert app.served == 3 * len(requests)


@pytest.mark.parametrize("follower", [WHOLE, HEAD, b"x", BODY])
async def test_what_follows_a_body_is_no_part_of_it(follower: bytes) -> None:
    app = Echo()
    async with serving(app, Bounds()) as port, connected(port) as client:
        await known(client)
        app.served = 0
        client.write(WHOLE + follower)
        status, headers, content = await client.answer()
        assert (status, headers["connection"], content) == (200, "close", BODY)
        assert await client.rest() == b""
        assert app.served == 1


async def test_a_body_may_come_behind_its_head() -> None:
    async with serving(Echo(), Bounds()) as port, connected(port) as client:
        await known(client)
        for _ in range(3):
            client.write(HEAD)
            await client.writer.drain()
            client.write(BODY[:5])
            await client.writer.drain()
            client.write(BODY[5:])
            assert (await client.answer())[2] == BODY


@pytest.mark.parametrize("part", [HEAD, HEAD + BODY[:5]])
async def test_one_that_does_not_come_is_answered_408(part: bytes) -> None:
    async with serving(Echo(), SHORT) as port, connected(port) as client:
        await known(client)
        client.write(part)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (408, "close")


async def test_one_that_is_larger_than_may_be_is_answered_413() -> None:
    app = Echo()
    async with serving(app, Bounds()) as port, connected(port) as client:
        await known(client)
        app.served = 0
        client.write(POST + b"content-length: 30000000\r\n\r\n" + BODY)
        assert (await client.answer())[0] == 413
        assert app.served == 0
