"""Rows 14 to 18 of the fault matrix: answers that are cut, malformed, empty or huge."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.faulty_upstream import DONE, Connection, Script, completion, delta, says
from tests.support.scripts import HALF, ROLE, WHOLE, Waits, answers, cut, error, streams, trickles
from tests.support.setup import events
from tests.support.standing import Slot, Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAMINGS = ("chunked", "within a chunk", "content-length", "close")
MIB = 1024 * 1024


async def moves_on_once(slot: Slot, script: Script, *, stream: bool) -> None:
    """From the first to the second; and from the second, should it do the same, to nobody."""
    assert slot.hits == [0, 0, 0]
    slot.providers[0].script = slot.providers[1].script = script
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_broken")
    assert (response.headers["x-forebay-attempts"], response.headers["x-should-retry"]) == ("2", "false")
    assert slot.hits == [1, 1, 0]
    slot.providers[1].script = says("instead")
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert response.text.count('"role"') == 1, "what the first one said before content is nowhere"
    assert slot.hits == [2, 2, 0]


async def ends_with_an_error(slot: Slot, code: str = "upstream_broken") -> None:
    """After content: what came before it reaches the client, then an error and no marker, and nobody else is asked."""
    script = slot.providers[0].script
    response = await slot.chat(stream=True, seen=script.seen if isinstance(script, Waits) else None)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target())
    got = events(response.content)
    assert b"half an ans" in b"".join(got[:-1])
    assert json.loads(got[-1])["error"]["code"] == code
    assert b"[DONE]" not in response.content
    assert slot.hits == [1, 0]


# --- Row 14 ---


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_that_is_cut_before_content(it: Standing, framing: str) -> None:
    await moves_on_once(await it.slot(*[says("")] * 3), cut(ROLE + b"data: {", framing, stream=True), stream=True)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_that_is_cut_after_content(it: Standing, framing: str) -> None:
    await ends_with_an_error(await it.slot(cut(ROLE + HALF, framing, stream=True), says("never asked")))


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_that_is_cut_within_an_event_after_content(it: Standing, framing: str) -> None:
    await ends_with_an_error(await it.slot(cut(HALF + HALF[:-9], framing, stream=True), says("never asked")))


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_that_is_cut_after_its_terminal_marker_is_complete(it: Standing, framing: str) -> None:
    slot = await it.slot(cut(ROLE + HALF + DONE, framing, stream=True), says("never asked"))
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    assert slot.hits == [1, 0]
    await slot.cools_not()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_whole_answer_that_is_cut(it: Standing, framing: str) -> None:
    await moves_on_once(await it.slot(*[says("")] * 3), cut(WHOLE[:-20], framing, stream=False), stream=False)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_an_error_answer_that_is_cut_is_still_that_error(it: Standing, framing: str) -> None:
    async def script(connection: Connection) -> None:
        head = {"chunked": {"transfer_encoding": "chunked"}, "close": {}}.get(framing, {"content_length": "999"})
        await connection.head(429, retry_after="100", **head)
        connection.writer.close()

    slot = await it.slot(script, says("hello"))
    assert (await slot.chat()).headers["x-forebay-target"] == slot.target(1)
    assert slot.hits == [1, 1]
    await slot.cools("rate-limited", 100)


async def test_five_broken_answers_in_a_row_cool_a_target(it: Standing) -> None:
    slot = await it.slot(cut(HALF, "chunked", stream=True), says("hello"))
    await asyncio.gather(*(slot.chat(stream=True) for _ in range(5)))
    assert slot.hits == [5, 0]
    await slot.cools("broken", 30)


# --- Row 15 ---

MALFORMED = {
    "no JSON": b"data: {no json}\n\n",
    "no object": b"data: []\n\n",
    "half an object": b'data: {"choices":[\n\n',
    "invalid UTF-8": b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n',
    "half a character": b'data: {"choices":[{"delta":{"content":"\xe6\x97"}}]}\n\n',
    "half a surrogate pair": b'data: {"choices":[{"delta":{"content":"\xed\xa0\x80"}}]}\n\n',
    "NUL": b"data: \0\n\n",
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_a_malformed_event_before_content(it: Standing, what: str) -> None:
    await moves_on_once(await it.slot(*[says("")] * 3), streams(ROLE, MALFORMED[what], HALF, DONE), stream=True)


@pytest.mark.parametrize("what", MALFORMED)
async def test_a_malformed_event_after_content(it: Standing, what: str) -> None:
    await ends_with_an_error(await it.slot(Waits([ROLE, HALF], [MALFORMED[what], DONE]), says("never asked")))


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b'{"choices": {}}', b'{"id": "x"}', b'{"choices": [{"x": "\xff"}]}', b"[" * 100_000]
)
async def test_a_malformed_whole_answer(it: Standing, body: bytes) -> None:
    await moves_on_once(await it.slot(*[says("")] * 3), answers(200, body), stream=False)


async def test_events_and_characters_may_be_split_at_every_byte(it: Standing) -> None:
    raw = 'data: {"choices":[{"delta":{"content":"ü日\U0001f30a"}}]}\r\n\r\n'.encode()
    raw += delta(content="größer \U0001f30a") + DONE

    async def script(connection: Connection) -> None:
        at = int(str(connection.call.json["user"]))
        await trickles([raw[:at], raw[at:]], pause_s=0.003)(connection)

    slot = await it.slot(script, says("never asked"))
    # The first one alone: the edge then has a plan, should the resolver be late for so many at once on a busy machine.
    first = (await slot.chat(stream=True, user="1")).content
    responses = await asyncio.gather(*(slot.chat(stream=True, user=str(at)) for at in range(2, len(raw))))
    assert {response.content for response in responses} == {first}
    contents = [json.loads(e.strip())["choices"][0]["delta"]["content"] for e in _data(first)[:-1]]
    assert contents == ["ü日\U0001f30a", "größer \U0001f30a"]
    slot.providers[0].script = trickles([raw[i : i + 1] for i in range(len(raw))])
    assert (await slot.chat(stream=True)).content == first
    assert slot.hits == [len(raw), 0]


def _data(body: bytes) -> list[bytes]:
    return [line.removeprefix(b"data: ") for line in body.splitlines() if line]


# --- Row 16 ---

ERROR_EVENTS = {
    "of OpenAI": (b"data: " + error("boom", type="server_error") + b"\n\n", "upstream_error", 502),
    "of Anthropic": (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        "upstream_overloaded",
        503,
    ),
    "a limit": (b"data: " + error("slow", code="rate_limit_exceeded") + b"\n\n", "rate_limited", 429),
    "a bare string": (b'data: {"error":"boom"}\n\n', "upstream_error", 502),
}


@pytest.mark.parametrize("kind", ERROR_EVENTS)
async def test_an_error_event_before_content_moves_on(it: Standing, kind: str) -> None:
    event, code, status = ERROR_EVENTS[kind]
    slot = await it.slot(*[streams(ROLE, event)] * 2, says("third"))
    response = await slot.chat(stream=True)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(2))
    assert b"boom" not in response.content
    assert slot.hits == [1, 1, 1], "an answer, so that it moves on as often as attempts allow"
    slot = await it.slot(*[streams(ROLE, event)] * 3)
    response = await slot.chat(stream=True)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert slot.hits == [1, 1, 1]


async def test_an_error_event_behind_content_that_nobody_has_got_moves_on(it: Standing) -> None:
    """Both came in one piece: nothing has been sent, so that the stream can still move."""
    event = ERROR_EVENTS["of OpenAI"][0]
    slot = await it.slot(streams(ROLE + HALF + event), says("instead"))
    response = await slot.chat(stream=True)
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert b"half an ans" not in response.content


async def test_an_error_event_after_content(it: Standing) -> None:
    event = ERROR_EVENTS["of OpenAI"][0]
    await ends_with_an_error(await it.slot(Waits([ROLE, HALF], [event]), says("never asked")), "upstream_error")


# --- Row 17 ---

EMPTY: dict[str, tuple[Script, bool]] = {
    "no body": (answers(200, b""), False),
    "blanks": (answers(200, b" \r\n"), False),
    "no choices": (answers(200, b'{"choices": []}'), False),
    "null for choices": (answers(200, b'{"choices": null}'), False),
    "a stream without events": (streams(), True),
    "a stream with a role": (streams(ROLE), True),
    "a stream with pings": (streams(b": ping\n\n"), True),
    "a stream that was closed with a role": (cut(ROLE, "close", stream=True), True),
}


@pytest.mark.parametrize("kind", EMPTY)
async def test_an_empty_success_moves_on_and_cools_after_five_in_a_row(it: Standing, kind: str) -> None:
    script, stream = EMPTY[kind]
    slot = await it.slot(script, script, says("third"))
    for _ in range(5):
        response = await slot.chat(stream=stream)
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(2))
    assert slot.hits == [5, 5, 5]
    await slot.cools("empty", 30)
    slot.providers[2].script = script
    response = await slot.chat(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_empty")
    assert slot.hits == [5, 5, 6]


async def test_a_proper_ending_without_text_is_a_success(it: Standing) -> None:
    slot = await it.slot(streams(ROLE, delta(finish_reason="stop"), DONE), says("never asked"))
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    slot.providers[0].script = answers(200, completion(""))
    assert (await slot.chat()).json()["choices"][0]["message"]["content"] == ""
    assert slot.hits == [2, 0]


# --- Row 18, but for what is compressed: see test_answers.py ---


@pytest.mark.parametrize("ended", [True, False])
async def test_an_event_of_more_than_a_mebibyte_before_content(it: Standing, ended: bool) -> None:
    huge = delta(content="x" * MIB) if ended else b"data: " + b"x" * (MIB + 1)
    await moves_on_once(await it.slot(*[says("")] * 3), streams(ROLE, huge, DONE), stream=True)


async def test_an_event_of_more_than_a_mebibyte_after_content(it: Standing) -> None:
    slot = await it.slot(Waits([ROLE, HALF], [delta(content="x" * MIB), DONE]), says("never asked"))
    await ends_with_an_error(slot)


async def test_an_event_of_less_than_a_mebibyte(it: Standing) -> None:
    slot = await it.slot(streams(delta(content="x" * (MIB - 1000)), DONE), says("never asked"))
    response = await slot.chat(stream=True)
    assert events(response.content)[-1] == b"[DONE]"
    assert slot.hits == [1, 0]


async def test_more_than_is_held_back_before_content(it: Standing) -> None:
    many = [b": %s\n\n" % (b"x" * 1000)] * 300
    await moves_on_once(await it.slot(*[says("")] * 3), streams(*many, HALF, DONE), stream=True)


@pytest.mark.parametrize(("size_bytes", "hits"), [(32 * MIB, [1, 0]), (32 * MIB + 1, [1, 1])])
async def test_a_body_of_more_than_32_mebibytes(it: Standing, size_bytes: int, hits: list[int]) -> None:
    body = completion("x" * (size_bytes - len(completion(""))))
    assert len(body) == size_bytes
    slot = await it.slot(answers(200, body), says("instead"))
    response = await slot.chat()
    assert (response.status_code, slot.hits) == (200, hits)


@pytest.mark.parametrize("framing", ["chunked", "content-length", "close"])
async def test_a_body_without_end(it: Standing, framing: str) -> None:
    stopped = asyncio.Event()

    async def script(connection: Connection) -> None:
        head = {"chunked": {"transfer_encoding": "chunked"}, "close": {}}.get(framing, {"content_length": str(2**40)})
        await connection.head(200, **head)
        try:
            while True:
                await (connection.chunk if framing == "chunked" else connection.raw)(b"x" * 65536)
        finally:
            stopped.set()

    slot = await it.slot(script, says("instead"))
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    async with asyncio.timeout(20):
        await stopped.wait()
    assert slot.hits == [1, 1]
