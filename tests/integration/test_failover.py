"""Two real processes between a client and providers that fail before there is content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.faulty_upstream import DONE, Connection, Script, delta, refuses, says
from tests.support.setup import DEAD_URL, events, setup, until
from tests.support.standing import Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
    [
        refuses(429, retry_after="20"),
        refuses(503, retry_after="20"),
        refuses(500),
        refuses(401),
        "unreachable",
        hangs_up,
    ],
    ids=["429", "503", "500", "401", "unreachable", "hung up"],
)
async def test_the_next_target_serves_in_the_same_request(it: Standing, first: Script | str, *, stream: bool) -> None:
    serves = says("hello there")
    slot = await (it.another(first, serves) if isinstance(first, str) else it.exactly(first, serves))
    response = await slot.chat(stream=stream)
    assert response.status_code == 200
    assert response.headers["x-forebay-target"] == slot.target(1)
    assert response.headers["x-forebay-attempts"] == "2"
    assert b"hello" in response.content


@pytest.mark.parametrize("first", [breaks_before_content, reports_an_error_in_the_stream, says_nothing])
async def test_a_stream_moves_as_long_as_there_was_no_content(it: Standing, first: Script) -> None:
    slot = await it.exactly(first, says("hello there"))
    response = await slot.chat(stream=True)
    assert response.headers["x-forebay-target"] == slot.target(1)
    got = events(response.content)
    assert got[-1] == b"[DONE]"
    roles = [e for e in got[:-1] if "role" in json.loads(e)["choices"][0]["delta"]]
    assert len(roles) == 1, "what the first target had begun is not seen"


async def test_a_target_that_reached_its_limit_is_left_alone_afterwards(it: Standing) -> None:
    slot = await it.exactly(refuses(429, retry_after="20"), says("hello"))
    attempts = [(await slot.chat()).headers["x-forebay-attempts"] for _ in range(3)]
    assert attempts == ["2", "1", "1"]
    assert slot.hits == [1, 3]


async def test_after_its_cool_down_a_target_that_is_well_serves_again(it: Standing) -> None:
    slot = await it.exactly(refuses(429, retry_after="1"), says("hello"))
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    slot.providers[0].script = says("well again")

    async def is_back() -> bool:
        return (await slot.chat()).headers["x-forebay-target"] == slot.target()

    await until(is_back)
    assert await is_back()


async def test_five_overloaded_targets_lead_to_the_sixth(it: Standing) -> None:
    slot = await it.exactly(*[refuses(503)] * 3, *[refuses(529)] * 2, says("sixth"))
    response = await slot.chat()
    assert response.headers["x-forebay-target"] == slot.target(5)
    assert slot.hits == [1] * 6


async def test_attempts_are_bounded_by_the_policy(it: Standing) -> None:
    slot = await it.slot(*[refuses(503)] * 4, says("never asked"), kind="three of five")
    response = await slot.chat()
    assert response.status_code == 503
    assert response.headers["x-forebay-attempts"] == "3"
    assert slot.hits == [1, 1, 1, 0, 0]


async def test_silence_moves_on_once_only(it: Standing) -> None:
    slot = await it.exactly(hangs_up, hangs_up, says("never asked"))
    response = await slot.chat()
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_broken"
    assert slot.hits == [1, 1, 0]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_fault_of_the_request_passes_through_unmodified(it: Standing, status: int) -> None:
    slot = await it.exactly(refuses(status, message="your fault"), says("never asked"))
    response = await slot.chat()
    assert response.status_code == status
    assert response.json() == {"error": {"message": "your fault", "type": "x", "param": None, "code": None}}
    assert "x-should-retry" not in response.headers
    assert slot.hits == [1, 0]


async def cuts_its_429(connection: Connection) -> None:
    await connection.head(429, content_length="100", retry_after="20")
    connection.writer.close()


async def hangs_in_its_429(connection: Connection) -> None:
    await connection.head(429, content_length="100", retry_after="20")
    await connection.gone()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first", [cuts_its_429, hangs_in_its_429])
async def test_the_head_of_an_error_answer_says_enough(it: Standing, first: Script, *, stream: bool) -> None:
    slot = await it.exactly(first, says("hello"))
    assert (await slot.chat(stream=stream)).headers["x-forebay-attempts"] == "2"
    assert (await slot.chat(stream=stream)).headers["x-forebay-attempts"] == "1", "its Retry-After was seen"


async def test_a_refusal_keeps_the_headers_that_are_for_clients(it: Standing) -> None:
    script = refuses(400, x_ratelimit_remaining_requests="3", openai_organization="org-1", set_cookie="a=b")
    slot = await it.exactly(script)
    response = await slot.chat()
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


async def test_what_a_provider_says_of_the_gateways_key_is_not_repeated(it: Standing) -> None:
    slot = await it.exactly(refuses(401, message="bad key sk-12345"))
    response = await slot.chat()
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_credentials"
    assert b"sk-12345" not in response.content


async def test_when_every_target_cools_the_client_is_told_for_how_long(it: Standing) -> None:
    slot = await it.exactly(refuses(429, retry_after="20"), refuses(429, retry_after="40"))
    await slot.chat()
    response = await slot.chat()
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limited"
    assert 15 <= int(response.headers["retry-after"]) <= 20
    assert slot.hits == [1, 1]


async def test_round_robin_is_real(tmp_path: Path) -> None:
    async with setup(tmp_path, says("a"), says("b"), says("c"), strategy="round-robin") as it:
        targets = [(await it.chat()).headers["x-forebay-target"] for _ in range(7)]
    assert targets == [f"p{i % 3}/m#0" for i in range(7)]


async def test_done_alone_is_an_answer(it: Standing) -> None:
    async def finishes(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(delta(role="assistant"), delta(finish_reason="stop"), DONE, b"")

    slot = await it.exactly(finishes, says("never asked"))
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    assert response.headers["x-forebay-target"] == slot.target()
