"""Streams through two real processes: early, whole, and honest when they break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.faulty_upstream import DONE, Connection, delta, says
from tests.support.setup import events, setup


async def test_an_event_reaches_the_client_before_the_next_one_is_sent(tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def waits_to_be_seen(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        for word in ("one", "two", "three"):
            seen.clear()
            await connection.chunk(delta(content=word))
            await seen.wait()
        await connection.chunk(DONE, b"")

    async with setup(tmp_path, waits_to_be_seen) as it:
        body = {"model": "chat", "messages": [], "stream": True}
        pieces = []
        async with it.client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for piece in response.aiter_raw():
                pieces.append(piece)
                seen.set()
    assert b"".join(pieces).count(b"data: ") == 4
    assert [word for word in (b"one", b"two", b"three") if any(word in p for p in pieces)] == [b"one", b"two", b"three"]
    assert len(pieces) >= 3, "none was held back"


async def test_what_the_gateway_does_not_know_passes_through(tmp_path: Path) -> None:
    odd = b'event: odd\nid: 7\ndata: {"model":"up","z":1,  "a":null,"x":{"model":"inner"},"choices":[]}\n\n'

    async def script(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked", openai_version="2020-10-01")
        await connection.chunk(b": a comment\n\n", odd, delta(content="x"), DONE, b"")

    async with setup(tmp_path, script) as it:
        response = await it.chat(stream=True)
    got = response.content
    assert got.startswith(b": a comment\n\n")
    assert b"event: odd\nid: 7\ndata: " in got
    assert b'"z":1,"a":null,"x":{"model":"inner"},"choices":[]' in got, "order, nulls and nested values are kept"
    assert b'"model":"up"' not in got
    assert response.headers["openai-version"] == "2020-10-01"


async def test_every_byte_may_come_by_itself(tmp_path: Path) -> None:
    whole = delta(role="assistant") + delta(content="größer 🌊") + DONE

    async def trickles(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(*[whole[i : i + 1] for i in range(len(whole))], b"")

    async with setup(tmp_path, trickles) as it:
        response = await it.chat(stream=True)
    contents = [json.loads(e)["choices"][0]["delta"].get("content") for e in events(response.content)[:-1]]
    assert contents == [None, "größer 🌊"]


async def test_a_break_after_content_is_an_error_and_no_end(tmp_path: Path) -> None:
    async def breaks(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="half an ans"))
        connection.writer.close()

    async with setup(tmp_path, breaks, says("never asked")) as it:
        response = await it.chat(stream=True)
        got = events(response.content)
        assert "half an ans" in got[0].decode()
        assert json.loads(got[-1])["error"]["code"] == "upstream_broken"
        assert b"[DONE]" not in response.content
        assert it.hits == [1, 0], "once content has reached the client nothing moves"


async def test_content_that_comes_together_with_an_error_is_not_lost(tmp_path: Path) -> None:
    async def reports_an_error(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="one"))
        await asyncio.sleep(0.05)  # So that the next piece is one of its own.
        await connection.chunk(delta(content="two") + b'data: {"error":{"message":"no"}}\n\n', b"")

    async with setup(tmp_path, reports_an_error) as it:
        response = await it.chat(stream=True)
    got = events(response.content)
    assert [b"one" in got[0], b"two" in got[1]] == [True, True]
    assert json.loads(got[2])["error"]["code"] == "upstream_error"


async def test_a_connection_that_closes_properly_proves_nothing(tmp_path: Path) -> None:
    async def stops_early(connection: Connection) -> None:
        await connection.head(200, "text/event-stream")
        await connection.raw(delta(content="half an ans"))
        connection.writer.close()

    async with setup(tmp_path, stops_early) as it:
        response = await it.chat(stream=True)
    assert json.loads(events(response.content)[-1])["error"]["code"] == "upstream_broken"


async def test_a_stream_that_falls_silent_is_ended(tmp_path: Path) -> None:
    async def falls_silent(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(content="half an ans"))
        while not connection.reader.at_eof():
            await connection.chunk(b": ping\n\n", delta(content=""))  # They do not count.
            await asyncio.sleep(0.02)

    async with setup(tmp_path, falls_silent, policy="{timeouts: {idle: 200ms}}") as it:
        response = await it.chat(stream=True)
    assert json.loads(events(response.content)[-1])["error"]["code"] == "upstream_timeout"
    assert b"[DONE]" not in response.content


async def test_a_target_that_never_comes_to_content_is_left_for_the_next(tmp_path: Path) -> None:
    async def only_pings(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        while not connection.reader.at_eof():
            await connection.chunk(b": ping\n\n")
            await asyncio.sleep(0.02)

    async with setup(tmp_path, only_pings, says("hello"), policy="{timeouts: {first-content: 200ms}}") as it:
        response = await it.chat(stream=True)
        assert response.headers["x-forebay-target"] == "p1/m#0"
        assert b"ping" not in response.content


async def test_a_whole_answer_may_take_longer_than_a_stream_may(tmp_path: Path) -> None:
    async def thinks(connection: Connection) -> None:
        await asyncio.sleep(0.4)
        await says("at last")(connection)

    policy = "{timeouts: {headers: 100ms, first-content: 100ms}}"
    async with setup(tmp_path, thinks, policy=policy) as it:
        assert (await it.chat()).status_code == 200


async def test_the_time_for_the_whole_request_is_bounded(tmp_path: Path) -> None:
    async def hangs(connection: Connection) -> None:
        await connection.gone()

    async with setup(tmp_path, hangs, says("never asked"), policy="{timeouts: {total: 300ms}}") as it:
        response = await it.chat()
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "upstream_timeout"
        assert it.hits == [1, 0]
