"""Two real processes between a client and providers that fail before there is content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.faulty_upstream import DONE, Connection, delta, refuses, says
from tests.support.setup import DEAD_URL, events, setup, until


async def hangs_up(connection: Connection) -> None:
    connection.writer.close()


async def breaks_before_content(connection: Connection) -> None:
    await connection.head(200, "text/event-stream", transfer_encoding="chunked")
    await connection.chunk(delta(role="assistant", content=""))
    connection.writer.close()


async def reports_an_error_in_the_stream(connection: Connection) -> None:
    await connection.head(200, "text/event-stream", transfer_encoding="chunked")
    await connection.chunk(delta(role="assistant"), b'data: {"error":{"message":"overloaded"}}\n\n', b"")


async def says_nothing(connection: Connection) -> None:
    await connection.head(200, "text/event-stream", transfer_encoding="chunked")
    await connection.chunk(b"")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "first",
    [refuses(429, retry_after="20"), refuses(503, retry_after="20"), refuses(500), refuses(401), DEAD_URL, hangs_up],
    ids=["429", "503", "500", "401", "unreachable", "hung up"],
)
async def test_the_next_target_serves_in_the_same_request(tmp_path: Path, first: object, *, stream: bool) -> None:
    async with setup(tmp_path, first, says("hello there")) as it:  # type: ignore[arg-type]
        response = await it.chat(stream=stream)
    assert response.status_code == 200
    assert response.headers["x-forebay-target"] == "p1/m#0"
    assert response.headers["x-forebay-attempts"] == "2"
    assert b"hello" in response.content


@pytest.mark.parametrize("first", [breaks_before_content, reports_an_error_in_the_stream, says_nothing])
async def test_a_stream_moves_as_long_as_there_was_no_content(tmp_path: Path, first: object) -> None:
    async with setup(tmp_path, first, says("hello there")) as it:  # type: ignore[arg-type]
        response = await it.chat(stream=True)
    assert response.headers["x-forebay-target"] == "p1/m#0"
    got = events(response.content)
    assert got[-1] == b"[DONE]"
    roles = [e for e in got[:-1] if "role" in json.loads(e)["choices"][0]["delta"]]
    assert len(roles) == 1, "what the first target had begun is not seen"


async def test_a_target_that_reached_its_limit_is_left_alone_afterwards(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429, retry_after="20"), says("hello")) as it:
        attempts = [(await it.chat()).headers["x-forebay-attempts"] for _ in range(3)]
        assert attempts == ["2", "1", "1"]
        assert it.hits == [1, 3]


async def test_after_its_cool_down_a_target_that_is_well_serves_again(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429, retry_after="1"), says("hello")) as it:
        assert (await it.chat()).headers["x-forebay-target"] == "p1/m#0"
        it.providers[0].script = says("well again")

        async def is_back() -> bool:
            return (await it.chat()).headers["x-forebay-target"] == "p0/m#0"

        await until(is_back)
        assert await is_back()


async def test_five_overloaded_targets_lead_to_the_sixth(tmp_path: Path) -> None:
    async with setup(tmp_path, *[refuses(503)] * 3, *[refuses(529)] * 2, says("sixth")) as it:
        response = await it.chat()
        assert response.headers["x-forebay-target"] == "p5/m#0"
        assert it.hits == [1] * 6


async def test_attempts_are_bounded_by_the_policy(tmp_path: Path) -> None:
    async with setup(tmp_path, *[refuses(503)] * 4, says("never asked"), policy="{attempts: 3}") as it:
        response = await it.chat()
        assert response.status_code == 503
        assert response.headers["x-forebay-attempts"] == "3"
        assert it.hits == [1, 1, 1, 0, 0]


async def test_silence_moves_on_once_only(tmp_path: Path) -> None:
    async with setup(tmp_path, hangs_up, hangs_up, says("never asked")) as it:
        response = await it.chat()
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_broken"
        assert it.hits == [1, 1, 0]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_fault_of_the_request_passes_through_unmodified(tmp_path: Path, status: int) -> None:
    async with setup(tmp_path, refuses(status, message="your fault"), says("never asked")) as it:
        response = await it.chat()
        assert response.status_code == status
        assert response.json() == {"error": {"message": "your fault", "type": "x", "param": None, "code": None}}
        assert "x-should-retry" not in response.headers
        assert it.hits == [1, 0]


async def cuts_its_429(connection: Connection) -> None:
    await connection.head(429, content_length="100", retry_after="20")
    connection.writer.close()


async def hangs_in_its_429(connection: Connection) -> None:
    await connection.head(429, content_length="100", retry_after="20")
    await connection.gone()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first", [cuts_its_429, hangs_in_its_429])
async def test_the_head_of_an_error_answer_says_enough(tmp_path: Path, first: object, *, stream: bool) -> None:
    async with setup(tmp_path, first, says("hello")) as it:  # type: ignore[arg-type]
        assert (await it.chat(stream=stream)).headers["x-forebay-attempts"] == "2"
        assert (await it.chat(stream=stream)).headers["x-forebay-attempts"] == "1", "its Retry-After was seen"


async def test_a_refusal_keeps_the_headers_that_are_for_clients(tmp_path: Path) -> None:
    script = refuses(400, x_ratelimit_remaining_requests="3", openai_organization="org-1", set_cookie="a=b")
    async with setup(tmp_path, script) as it:
        response = await it.chat()
        assert response.headers["x-ratelimit-remaining-requests"] == "3"
        assert not {"openai-organization", "set-cookie"} & response.headers.keys()


async def test_the_client_is_told_of_the_most_useful_failure(tmp_path: Path) -> None:
    scripts = [refuses(500), refuses(429, retry_after="7", message="limit"), refuses(503, retry_after="9")]
    async with setup(tmp_path, *scripts, DEAD_URL) as it:
        response = await it.chat()
        assert response.status_code == 429
        assert response.headers["retry-after"] == "7"
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["x-forebay-attempts"] == "4"
        assert response.json()["error"]["message"] == "limit"


async def test_what_a_provider_says_of_the_gateways_key_is_not_repeated(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(401, message="bad key sk-12345")) as it:
        response = await it.chat()
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_credentials"
        assert b"sk-12345" not in response.content


async def test_when_every_target_cools_the_client_is_told_for_how_long(tmp_path: Path) -> None:
    async with setup(tmp_path, refuses(429, retry_after="20"), refuses(429, retry_after="40")) as it:
        await it.chat()
        response = await it.chat()
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "rate_limited"
        assert 15 <= int(response.headers["retry-after"]) <= 20
        assert it.hits == [1, 1]


async def test_round_robin_is_real(tmp_path: Path) -> None:
    async with setup(tmp_path, says("a"), says("b"), says("c"), strategy="round-robin") as it:
        targets = [(await it.chat()).headers["x-forebay-target"] for _ in range(7)]
    assert targets == [f"p{i % 3}/m#0" for i in range(7)]


async def test_done_alone_is_an_answer(tmp_path: Path) -> None:
    async def finishes(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(role="assistant"), delta(finish_reason="stop"), DONE, b"")

    async with setup(tmp_path, finishes, says("never asked")) as it:
        response = await it.chat(stream=True)
        assert events(response.content)[-1] == b"[DONE]"
        assert response.headers["x-forebay-target"] == "p0/m#0"
