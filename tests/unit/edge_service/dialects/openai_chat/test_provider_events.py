from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edge_service.dialects import openai_chat
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
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "id", **fields}).encode() + b"\n\n"


def delta(said: Any, reason: str | None = None, **fields: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": said, "finish_reason": reason, **fields}])


def read(*events: bytes) -> list[Event]:
    """Behind the first event, with which the stream begins."""
    reader = openai_chat.PROVIDER.events()
    assert reader.read(event(created=7)) == [Started("id", 7)]
    return [each for said in events for each in reader.read(said)]


@pytest.mark.parametrize(
    ("said", "events"),
    [
        ({"role": "assistant", "content": "", "refusal": None}, []),
        ({"content": "a"}, [TextDelta("a")]),
        ({"refusal": "a"}, [RefusalDelta("a")]),
        ({"reasoning_content": "a", "content": None}, [ThinkingDelta("a")]),
        ({"reasoning": "a", "content": ""}, [ThinkingDelta("a")]),
        ({"reasoning_content": "a", "content": "b"}, [ThinkingDelta("a"), TextDelta("b")]),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"text": "b"}]},
            [ThinkingDelta("a"), TextDelta("b")],
        ),
        (
            {"images": [{"image_url": {"url": "data:image/png;base64,AA=="}}]},
            [MediaDelta(Media(MediaKind.IMAGE, "image/png", data="AA=="))],
        ),
        (
            {"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]},
            [ThinkingDelta("a")],
        ),
        (
            {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1"}]},
            [ThinkingDelta(signature="s", family=Family.ANTHROPIC)],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1", "id": "r"}
                ]
            },
            [ThinkingDelta(encrypted="e", family=Family.OPENAI, id="r")],
        ),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "format": "unknown"}]}, []),
        (None, []),
    ],
)
def test_deltas(said: Any, events: list[Event]) -> None:
    assert read(delta(said)) == events


def test_the_end() -> None:
    assert read(delta({}, "length"), event(choices=[], usage={"prompt_tokens": 1}), b"data: [DONE]\n\n") == [
        Finished(Finish.LENGTH),
        UsageSeen(Usage(1)),
        Ended(),
    ]


def test_text_and_its_end_may_come_at_once() -> None:
    said = event(choices=[{"delta": {"content": "a"}, "finish_reason": "stop"}], usage={"completion_tokens": 2})
    assert read(said) == [TextDelta("a"), Finished(Finish.STOP), UsageSeen(Usage(0, 2))]


def test_logprobs_and_other_choices() -> None:
    raw = b'data: {"choices":[{"index":1,"delta":{"content":"a"},"logprobs":{ "content":[]}}]}\n\n'
    assert read(raw) == [TextDelta("a", 1, msgspec.Raw(b'{ "content":[]}'))]


def call(index: int | None = 0, name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"function": {"name": name, "arguments": arguments}, **fields}
    return said if index is None else {"index": index, **said}


def calls(*said: dict[str, Any]) -> bytes:
    return delta({"tool_calls": list(said)})


@pytest.mark.parametrize(
    ("events", "read_events"),
    [
        (
            [calls(call(0, "f", "", id="a")), calls(call(0, arguments="{")), calls(call(1, "g", "{}", id="b"))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{"), ToolCallStarted(1, "b", "g"), ToolCallDelta(1, "{}")],
        ),
        (  # Another's index begins where it likes.
            [calls(call(3, "f", "{}", id="a")), calls(call(3, arguments=" "))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{}"), ToolCallDelta(0, " ")],
        ),
        (  # All of one index.
            [calls(call(0, "f", "1", id="a"), call(0, "g", "2", id="b"))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "1"), ToolCallStarted(1, "b", "g"), ToolCallDelta(1, "2")],
        ),
        (  # The index alone says whose a fragment is, whatever came last.
            [
                calls(call(5, "f", "1", id="a"), call(2, "g", "2", id="b")),
                calls(call(5, arguments="3")),
                calls(call(None, arguments="4")),
            ],
            [
                ToolCallStarted(0, "a", "f"),
                ToolCallDelta(0, "1"),
                ToolCallStarted(1, "b", "g"),
                ToolCallDelta(1, "2"),
                ToolCallDelta(0, "3"),
                ToolCallDelta(0, "4"),
            ],
        ),
        (  # An id that is new, but nothing else: some make one for every fragment.
            [calls(call(0, "f", "1", id="a")), calls(call(0, arguments="2", id="x"))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "1"), ToolCallDelta(0, "2")],
        ),
        (  # A name that comes again, of the same index.
            [calls(call(0, "f", "1", id="a")), calls(call(0, "f", "2"))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "1"), ToolCallDelta(0, "2")],
        ),
        (  # No index, no ids.
            [calls(call(None, "f", "1")), calls(call(None, None, "2")), calls(call(None, "g", "3"))],
            [
                ToolCallStarted(0, "call_id_0", "f"),
                ToolCallDelta(0, "1"),
                ToolCallDelta(0, "2"),
                ToolCallStarted(1, "call_id_1", "g"),
                ToolCallDelta(1, "3"),
            ],
        ),
        (  # Name and id with every fragment.
            [calls(call(0, "f", "1", id="a")), calls(call(0, "f", "2", id="a"))],
            [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "1"), ToolCallDelta(0, "2")],
        ),
        ([calls(call(0, "f", {"a": 1}, id="a"))], [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, '{"a":1}')]),
        ([calls({"index": 0, "id": "a"})], [ToolCallStarted(0, "a", "")]),
    ],
)
def test_calls(events: list[bytes], read_events: list[Event]) -> None:
    assert read(*events) == read_events


def test_calls_make_it_end_with_calls() -> None:
    assert read(calls(call(0, "f", id="a")), delta({}, "stop"))[-1] == Finished(Finish.TOOL_CALLS)


def signed(call_id: str) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": "s", "id": call_id, "format": "google-gemini-v1"}


def test_a_signed_call() -> None:
    said = delta({"reasoning_details": [signed("a")], "tool_calls": [call(0, "f", id="a")]})
    assert read(said) == [ToolCallStarted(0, "a", "f", "s")]
    assert read(calls(call(0, "f", id="a")), delta({"reasoning_details": [signed("a")]})) == [
        ToolCallStarted(0, "a", "f")
    ]
    assert read(delta({"reasoning_details": [signed("")]})) == [ThinkingDelta(signature="s", family=Family.GEMINI)]


@pytest.mark.parametrize("said", [b": ping\n\n", b"event: x\n\n", b"data:\n\n", b"data: {}\n\n", event(choices=None)])
def test_what_says_nothing(said: bytes) -> None:
    assert read(said) == []


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"data: x\n\n", MalformedAnswerError),
        (b"data: []\n\n", MalformedAnswerError),
        (delta({"content": 7}), MalformedAnswerError),
        (b'data: {"id":"\xff"}\n\n', MalformedAnswerError),
        (b'data: {"choices":[{"delta":{"content":' + b'[{"thinking":' * 50_000, MalformedAnswerError),
        (event(error={"message": "no"}), ReportedError),
        (event(error="no"), ReportedError),
        (delta({}, "error"), ReportedError),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_what_is_no_event(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(said)


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert read(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n') == [TextDelta("\ufffd")]


def test_signatures_find_their_calls_among_others() -> None:
    said = delta(
        {
            "reasoning_details": [signed("late"), signed("a"), {"type": "reasoning.text", "text": "t", "index": 0}],
            "tool_calls": [call(1, "g", id="a")],
        }
    )
    assert read(calls(call(0, "f", id="late")), said) == [
        ToolCallStarted(0, "late", "f"),
        ThinkingDelta("t"),
        ToolCallStarted(1, "a", "g", "s"),
    ]


def test_only_gemini_signs_calls() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "s", "id": "a", "format": "anthropic-claude-v1"}
    said = delta({"reasoning_details": [sealed], "tool_calls": [call(0, "f", id="a")]})
    assert read(said) == [ThinkingDelta(encrypted="s", family=Family.ANTHROPIC, id="a"), ToolCallStarted(0, "a", "f")]
