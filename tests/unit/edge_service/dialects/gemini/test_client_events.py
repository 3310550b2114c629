from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    Media,
    MediaDelta,
    MediaKind,
    RefusalDelta,
    Request,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.gemini import CLIENT
from edge_service.domain.errors import UnavailableError
from tests.support import gemini_types

REQUEST = Request("chat", True, ())


def chunks(*events: Event) -> list[Any]:
    written = CLIENT.events(REQUEST).write(events)
    gemini_types.chunks(written)
    return [msgspec.json.decode(chunk[6:]) for chunk in written.split(b"\n\n")[:-1]]


def said(*events: Event) -> list[Any]:
    """Parts and reasons to finish, by candidate."""
    return [
        (candidate["index"], candidate["content"]["parts"], candidate.get("finishReason"))
        for chunk in chunks(*events)
        for candidate in chunk.get("candidates", [])
    ]


def test_text() -> None:
    assert chunks(Started("id", usage=Usage(3)), TextDelta("Hé"), TextDelta(""), Finished(Finish.STOP), Ended()) == [
        {
            "candidates": [{"content": {"parts": [{"text": "Hé"}], "role": "model"}, "index": 0}],
            "modelVersion": "chat",
            "responseId": "id",
        },
        {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 0, "totalTokenCount": 3},
            "modelVersion": "chat",
            "responseId": "id",
        },
    ]


def test_calls_are_written_when_they_are_complete() -> None:
    events: list[Event] = [
        Started("id"),
        TextDelta("a"),
        ToolCallStarted(0, "x", "f", "QQ=="),
        ToolCallDelta(0, '{"a'),
        ToolCallStarted(1, "y", "g"),
        ToolCallDelta(0, '":1.0}'),
        ToolCallDelta(7, "lost"),
    ]
    assert len(said(*events)) == 1
    calls = [
        {"functionCall": {"id": "x", "name": "f", "args": {"a": 1.0}}, "thoughtSignature": "QQ=="},
        {"functionCall": {"id": "y", "name": "g", "args": {}}},
    ]
    assert said(*events, Finished(Finish.TOOL_CALLS)) == [(0, [{"text": "a"}], None), (0, calls, None)]
    assert said(*events, TextDelta("b"))[1:] == [(0, calls, None), (0, [{"text": "b"}], None)]
    assert said(*events, TextDelta("b", choice=1))[1:] == [(1, [{"text": "b"}], None)]
    assert said(*events, Ended())[1:] == [(0, calls, None), (0, [{"text": ""}], "STOP")]


@pytest.mark.parametrize("arguments", ["{", "[1]", '"a"', '{"a":' * 100_000])
def test_a_call_that_is_no_object_is_said_to_be_malformed(arguments: str) -> None:
    call = [ToolCallStarted(0, "x", "f"), ToolCallDelta(0, arguments), Finished(Finish.TOOL_CALLS), Ended()]
    assert said(*call) == [(0, [{"text": ""}], "MALFORMED_FUNCTION_CALL")]


def test_thoughts_and_their_signatures() -> None:
    assert said(
        ThinkingDelta("a"),
        ThinkingDelta("b", "QQ==", family=Family.GEMINI),
        ThinkingDelta(signature="Qg==", family=Family.GEMINI),
        ThinkingDelta(signature="Qw==", family=Family.ANTHROPIC),
        ThinkingDelta("c", "Qw==", family=Family.ANTHROPIC),
    ) == [
        (0, [{"text": "a", "thought": True}], None),
        (0, [{"text": "b", "thought": True, "thoughtSignature": "QQ=="}], None),
        (0, [{"text": "", "thoughtSignature": "Qg=="}], None),
        (0, [{"text": "c", "thought": True}], None),
    ]


def test_media_and_refusals() -> None:
    assert said(
        MediaDelta(Media(MediaKind.IMAGE, "image/png", data="QUJD")),
        MediaDelta(Media(MediaKind.FILE, file_id="x", family=Family.OPENAI)),
        RefusalDelta("no"),
        Finished(Finish.REFUSED),
        Ended(),
    ) == [
        (0, [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}], None),
        (0, [{"text": "no"}], None),
        (0, [{"text": ""}], "SAFETY"),
    ]


def test_a_refusal_that_ends_like_any_other_answer_is_told() -> None:
    events = [RefusalDelta("no"), TextDelta("b", 1), Finished(Finish.STOP), Finished(Finish.STOP, choice=1), Ended()]
    assert [reason for _, _, reason in said(*events)][-2:] == ["SAFETY", "STOP"]


def test_candidates_finish_together() -> None:
    events = [TextDelta("a"), TextDelta("b", 1), Finished(Finish.STOP), Finished(Finish.LENGTH, choice=1)]
    assert all(reason is None for _, _, reason in said(*events))
    assert said(*events, UsageSeen(Usage(1, 2)), Ended())[2:] == [
        (0, [{"text": ""}], "STOP"),
        (1, [{"text": ""}], "MAX_TOKENS"),
    ]


def test_logprobs() -> None:
    raw = Raw(b'{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}],"refusal":null}')
    (chunk,) = chunks(TextDelta("a", logprobs=raw))
    assert chunk["candidates"][0]["logprobsResult"] == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": []}],
    }
    assert "logprobsResult" not in chunks(TextDelta("a", logprobs=Raw(b"[7]")))[0]["candidates"][0]


def test_a_stream_as_one_array() -> None:
    writer = CLIENT.events(REQUEST, array=True)
    assert writer.write([Started("id")]) == b""
    written = writer.write([TextDelta("a")]) + writer.write([TextDelta("b")])
    assert written.startswith(b'[{"candidates"')
    assert b"},\r\n{" in written
    written += writer.write([Finished(Finish.STOP), Ended()])
    assert [chunk["candidates"][0].get("finishReason") for chunk in msgspec.json.decode(written)] == [
        None,
        None,
        "STOP",
    ]


def test_a_stream_that_breaks_off() -> None:
    error = UnavailableError("out of service", retry_after_s=2.5)
    array, events = CLIENT.events(REQUEST, array=True), CLIENT.events(REQUEST)
    assert events.error(error) == CLIENT.error_event(error)
    elements = msgspec.json.decode(array.write([TextDelta("a")]) + array.error(error))
    assert [*elements[0]] == ["candidates", "modelVersion"]
    assert elements[1] == msgspec.json.decode(CLIENT.error_body(error))
    assert msgspec.json.decode(CLIENT.events(REQUEST, array=True).error(error))[0]["error"]["code"] == 503
