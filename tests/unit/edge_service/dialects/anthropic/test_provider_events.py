from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
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


def sent(kind: str, **fields: Any) -> bytes:
    said = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {said}\n\n".encode()


def opened(block: Any, index: int = 0) -> bytes:
    return sent("content_block_start", index=index, content_block=block)


def delta(kind: str, index: int = 0, **fields: Any) -> bytes:
    return sent("content_block_delta", index=index, delta={"type": kind, **fields})


def read(*events: bytes) -> list[Event]:
    reader = anthropic.PROVIDER.events()
    return [seen for event in events for seen in reader.read(event)]


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        (sent("message_start", message={"id": "m", "model": "x"}), [Started("m", usage=Usage())]),
        (sent("message_start"), [Started("", usage=Usage())]),
        (sent("ping"), []),
        (b": comment\n\n", []),
        (b"event: ping\n\n", []),
        (opened({"type": "text", "text": ""}), []),
        (opened({"type": "text", "text": "a"}), [TextDelta("a")]),
        (opened({"type": "thinking", "thinking": "", "signature": None}), []),
        (
            opened({"type": "thinking", "thinking": "a", "signature": "s"}),
            [ThinkingDelta("a", signature="s", family=Family.ANTHROPIC)],
        ),
        (
            opened({"type": "redacted_thinking", "data": "d"}),
            [ThinkingDelta(encrypted="d", family=Family.ANTHROPIC)],
        ),
        (opened({"type": "tool_use", "id": "i", "name": "f", "input": {}}), [ToolCallStarted(0, "i", "f")]),
        (
            opened({"type": "tool_use", "id": "i", "name": "f", "input": {"a": 1}}),
            [ToolCallStarted(0, "i", "f"), ToolCallDelta(0, '{"a":1}')],
        ),
        (opened({"type": "tool_use", "input": None}), [ToolCallStarted(0, "", "")]),
        (opened({"type": "thinking", "thinking": "a"}), [ThinkingDelta("a")]),
        (opened({"type": "thinking", "signature": "s"}), [ThinkingDelta(signature="s", family=Family.ANTHROPIC)]),
        (opened({"type": "redacted_thinking"}), [ThinkingDelta(family=Family.ANTHROPIC)]),
        (opened({"type": "server_tool_use", "id": "i", "name": "web_search", "input": {}}), []),
        (opened({"type": "of tomorrow", "text": 5}), []),
        (delta("text_delta", text="a"), [TextDelta("a")]),
        (delta("thinking_delta", thinking="a", estimated_tokens=5), [ThinkingDelta("a")]),
        (delta("signature_delta", signature="s"), [ThinkingDelta(signature="s", family=Family.ANTHROPIC)]),
        (delta("citations_delta", citation={}), []),
        (delta("input_json_delta", partial_json="{"), []),
        (delta("of tomorrow", text={"a": 1}), []),
        (sent("of tomorrow", delta="x", index="y"), []),
        (sent("content_block_stop", index=0), []),
        (
            sent("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"}),
            [Finished(Finish.STOP, "END")],
        ),
        (sent("message_delta", usage={"output_tokens": 4}), [UsageSeen(Usage(0, 4))]),
        (sent("message_delta", delta={"stop_reason": None, "stop_details": {"explanation": "no"}}), []),
        (sent("message_delta", delta={"stop_reason": "refusal", "stop_details": {}}), [Finished(Finish.REFUSED)]),
        (
            sent("message_delta", delta={"stop_reason": "refusal", "stop_details": {"explanation": "no"}}),
            [RefusalDelta("no"), Finished(Finish.REFUSED)],
        ),
        (sent("message_stop"), [Ended()]),
        (b'data:{"type":"message_stop"}\r\n\r\n', [Ended()]),
        (b'event: x\nid: 5\ndata: {"type":\ndata: "message_stop"}\n\n', [Ended()]),
    ],
)
def test_events(event: bytes, seen: list[Event]) -> None:
    assert read(event) == seen


def test_calls_are_numbered_whatever_stands_between_them() -> None:
    assert read(
        opened({"type": "text", "text": ""}, 0),
        opened({"type": "tool_use", "id": "i", "name": "f", "input": {}}, 1),
        delta("input_json_delta", 1, partial_json="{}"),
        opened({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, 2),
        delta("input_json_delta", 2, partial_json="{}"),
        opened({"type": "tool_use", "id": "j", "name": "g", "input": {}}, 3),
        delta("input_json_delta", 3, partial_json="["),
        delta("input_json_delta", 1, partial_json=" "),
    ) == [
        ToolCallStarted(0, "i", "f"),
        ToolCallDelta(0, "{}"),
        ToolCallStarted(1, "j", "g"),
        ToolCallDelta(1, "["),
        ToolCallDelta(0, " "),
    ]


def test_usage_adds_up_over_the_stream() -> None:
    start = {"input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
    seen = read(
        sent("message_start", message={"usage": start}),
        sent("message_delta", usage={"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 30}}),
        sent("message_delta", usage={"output_tokens": 50, "input_tokens": 5, "cache_read_input_tokens": None}),
    )
    assert seen == [
        Started("", usage=Usage(123, 1, 100, 20)),
        UsageSeen(Usage(123, 40, 100, 20, 30)),
        UsageSeen(Usage(125, 50, 100, 20, 30)),
    ]


@pytest.mark.parametrize(
    "event",
    [
        sent("error", error={"type": "overloaded_error", "message": "x"}),
        sent("error"),
        b'event: error\ndata: {"error":"x"}\n\n',
    ],
)
def test_a_report_of_a_failure(event: bytes) -> None:
    with pytest.raises(ReportedError):
        read(event)


@pytest.mark.parametrize(
    "event",
    [
        b"data: [DONE]\n\n",
        b"data: [1]\n\n",
        b"data: x\n\n",
        b"data: \n\n",
        b'data: {"type":"ping"\n\n',
        b'data: {"type":5}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\xff"}}\n\n',
        delta("text_delta", text=5),
        delta("text_delta", text=None),
        sent("content_block_delta", index="0", delta={"type": "text_delta"}),
        sent("content_block_delta", delta=5),
        sent("content_block_start"),
        opened({"type": "text", "text": 5}),
        opened({"type": "tool_use", "id": 5}),
        sent("message_delta", usage={"output_tokens": "x"}),
        sent("message_start", message=5),
        b"data: " + b'{"type":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_event(event: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read(event)
