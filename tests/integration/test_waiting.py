"""Clients that wait, and how long: heartbeats and time limits of their own, through two real processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.faulty_upstream import Connection, completion, delta, refuses, says
from tests.support.setup import Setup, events, setup, until

HEARTBEAT = b": forebay"


async def hangs(connection: Connection) -> None:
    await connection.gone()


async def test_a_stream_that_waits_gets_heartbeats_until_there_is_content(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def waits(connection: Connection) -> None:
        await connection.gone()
        gone.set()

    policy = "{timeouts: {first-content: 350ms}}"
    async with setup(tmp_path, hangs, says("hello there"), policy=policy, FOREBAY_EDGE_HEARTBEAT="0.1") as it:
        response = await it.chat(stream=True)
        got = events(response.content)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert "x-forebay-request-id" in response.headers
        assert "x-forebay-target" not in response.headers, "that was not known yet"
        heartbeats = got.count(HEARTBEAT)
        assert got[:heartbeats] == [HEARTBEAT] * heartbeats
        assert 2 <= heartbeats <= 4
        assert got[-1] == b"[DONE]"
        assert it.hits == [1, 1]

        it.providers[0].script = says("at once")
        response = await it.chat(stream=True)
        assert HEARTBEAT not in response.content
        assert response.headers["x-forebay-target"] == "p0/m#0"

        it.providers[0].script = hangs
        it.providers[1].script = refuses(503)
        response = await it.chat(stream=True)
        got = events(response.content)
        assert (response.status_code, got[0]) == (200, HEARTBEAT)
        assert json.loads(got[-1]) == {"error": {"message": "no", "type": "x", "param": None, "code": None}}
        assert b"[DONE]" not in response.content

        it.providers[0].script = waits
        body = {"model": "chat", "messages": [], "stream": True}
        async with it.client.stream("POST", "/v1/chat/completions", json=body) as left:
            async for piece in left.aiter_raw():
                assert piece == HEARTBEAT + b"\n\n"
                break
        async with asyncio.timeout(20):
            await gone.wait()
        assert it.hits == [4, 2], "nobody was asked in place of the one that was left"


async def asks(it: Setup, **headers: str) -> tuple[int, dict[str, str], object]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"model": "chat", "messages": []}
    response = await it.client.post("/v1/chat/completions", json=body, headers=sent)
    return response.status_code, dict(response.headers), response.json()


async def test_a_client_may_allow_less_time_and_no_target_suffers_for_it(tmp_path: Path) -> None:
    async with setup(tmp_path, hangs, says("never asked")) as it:
        # After as many time-outs of its own a target would be out of rotation.
        for status, _, body in await asyncio.gather(*[asks(it, x_forebay_timeout_s="0.5") for _ in range(6)]):
            assert (status, body["error"]["code"]) == (504, "upstream_timeout")  # type: ignore[index]
        assert it.hits[1] == 0
        assert not any("x-forebay-timeout-s" in call.headers for call in it.providers[0].calls)
        status, _, body = await asks(it, x_forebay_timeout_s="soon")
        assert (status, body["error"]["param"]) == (400, "x-forebay-timeout-s")  # type: ignore[index]
        it.providers[0].script = says("well all along")
        assert (await asks(it))[1]["x-forebay-target"] == "p0/m#0"


def lines(log: Path, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == event]


async def test_one_request_id_joins_client_edge_resolver_and_provider(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429, retry_after="20", x_request_id="req_of-the-provider")) as it:
        _, headers, _ = await asks(it, x_forebay_request_id="mine-1", x_request_id="unchecked")
        assert headers["x-forebay-request-id"] == "mine-1"
        assert "x-request-id" not in headers
        assert it.providers[0].calls[0].headers["x-request-id"] == "mine-1"
        await asks(it, x_forebay_request_id="mine-2")

        async def is_told() -> bool:
            return bool(lines(tmp_path / "resolver.log", "no_target"))

        await until(is_told)
    (told,) = lines(tmp_path / "resolver.log", "no_target")
    assert (told["request_id"], told["code"]) == ("mine-2", "rate_limited")
    first = lines(tmp_path / "edge.log", "request")[0]
    assert first["request_id"] == "mine-1"
    assert first["walk"][0]["provider_request_id"] == "req_of-the-provider"  # type: ignore[index]


async def test_whatever_success_a_provider_means_clients_see_one(tmp_path: Path) -> None:
    def answers(status: int, content: bytes) -> None:
        async def script(connection: Connection) -> None:
            if status == 204:
                await connection.raw(b"HTTP/1.1 204 X\r\n\r\n")
            else:
                await connection.answer(status, content, retry_after="soon")

        it.providers[0].script = script

    async with setup(tmp_path, says(""), says("instead")) as it:
        for status in (200, 201, 202, 299):
            answers(status, completion("hello"))
            told, headers, _ = await asks(it)
            assert (told, headers["x-forebay-target"], "retry-after" in headers) == (200, "p0/m#0", False)
        for status, content in ((204, b""), (205, b""), (206, completion("hel"))):
            answers(status, content)
            told, headers, _ = await asks(it)
            assert (told, headers["x-forebay-target"]) == (200, "p1/m#0")


async def ends_in_chunks(connection: Connection) -> None:
    await connection.head(200, "text/event-stream", transfer_encoding="chunked")
    await connection.chunk(delta(content="hello"), b"data: [DONE]", b"")


async def ends_by_closing(connection: Connection) -> None:
    await connection.head(200, "text/event-stream")
    await connection.raw(delta(content="hello"), b"data: [DONE]")
    connection.writer.close()


async def test_a_marker_at_the_very_end_completes_a_stream(tmp_path: Path) -> None:
    async with setup(tmp_path, ends_in_chunks) as it:
        for script in (ends_in_chunks, ends_by_closing):
            it.providers[0].script = script
            response = await it.chat(stream=True)
            assert response.content.endswith(b"}\n\ndata: [DONE]\n\n")
            assert len(events(response.content)) == 2
