from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import Answer, Family, Finish, Refusal, Text, Thinking, ToolCall, Usage
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError


def read(**fields: Any) -> Answer:
    message = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"}
    return anthropic.PROVIDER.read(json.dumps({**message, **fields}, separators=(",", ":")).encode())


def test_what_was_said() -> None:
    answer = read(
        content=[
            {"type": "thinking", "thinking": "a", "signature": "s"},
            {"type": "thinking", "thinking": "b"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "server_tool_use", "id": 1},
            {"type": "of tomorrow"},
            {"type": "text", "text": "é", "citations": [{}]},
            {"type": "tool_use", "id": "i", "name": "f", "input": {"a": "é"}},
        ],
        stop_reason="tool_use",
    )
    assert answer.choices[0].parts == (
        Thinking("a", signature="s", family=Family.ANTHROPIC),
        Thinking("b"),
        Thinking(encrypted="d", family=Family.ANTHROPIC),
        Text("é"),
        ToolCall("i", "f", '{"a":"\\u00e9"}'),
    )
    assert answer.choices[0].finish is Finish.TOOL_CALLS


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        (None, Usage()),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 100,
                "output_tokens": 40,
                "output_tokens_details": {"thinking_tokens": 30},
                "server_tool_use": {"web_search_requests": 1},
            },
            Usage(123, 40, cache_read_tokens=100, cache_write_tokens=20, reasoning_tokens=30),
        ),
        ({"input_tokens": 3, "cache_read_input_tokens": None, "output_tokens_details": None}, Usage(3)),
    ],
)
def test_totals_include_their_parts(said: Any, usage: Usage) -> None:
    assert read(usage=said).usage == usage


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.PAUSED),
        ("refusal", Finish.REFUSED),
        ("model_context_window_exceeded", Finish.CONTEXT),
        ("of tomorrow", Finish.STOP),
        (None, Finish.STOP),
    ],
)
def test_why_it_ends(reason: str | None, finish: Finish) -> None:
    assert read(stop_reason=reason).choices[0].finish is finish


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": None, "explanation": "no"}
    choice = read(content=[], stop_reason="refusal", stop_details=details).choices[0]
    assert (choice.parts, choice.finish) == ((Refusal("no"),), Finish.REFUSED)


def test_the_stop_sequence_and_the_tier() -> None:
    answer = read(stop_reason="stop_sequence", stop_sequence="END", usage={"service_tier": "standard"})
    assert (answer.choices[0].stop_sequence, answer.service_tier) == ("END", "default")


def test_an_answer_that_ends_properly_may_say_nothing() -> None:
    assert read(content=[]).choices[0].parts == ()


@pytest.mark.parametrize(
    "body", [b"", b" \n", b'{"type":"message","content":[]}', b'{"content":[],"stop_reason":null}']
)
def test_nothing(body: bytes) -> None:
    with pytest.raises(EmptyAnswerError):
        anthropic.PROVIDER.read(body)


@pytest.mark.parametrize(
    "body", [b'{"type":"error","error":{"type":"api_error"}}', b'{"error":"x"}', b'{"type":"error"}']
)
def test_a_report_of_a_failure(body: bytes) -> None:
    with pytest.raises(ReportedError):
        anthropic.PROVIDER.read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"content":"x"}',
        b'{"content":[1]}',
        b'{"content":[{"text":"x"}]}',
        b'{"content":[{"type":"text"}]}',
        b'{"content":[{"type":"tool_use","id":"i","name":"f"}]}',
        b'{"content":[],"usage":{"input_tokens":"3"}}',
        b'{"content":[{"type":"text","text":"\xff"}]}',
        b'{"content":[{"type":"tool_use","id":"i","name":"f","input":{"a":"\xff"}}]}',
        b'{"content":' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        anthropic.PROVIDER.read(body)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"input_tokens":"3"}', b'{"input_tokens":null}', b"\xff"])
def test_what_is_no_count(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        anthropic.COUNTING_PROVIDER.read(body)


def test_text_that_is_not_utf_8_is_no_answer() -> None:
    with pytest.raises(MalformedAnswerError):
        anthropic.PROVIDER.read(b'{"content":[],"stop_reason":"end_turn","stop_sequence":null,"x":"\xff"}')


def test_a_refusal_need_not_say_why() -> None:
    for details in (None, {}, {"explanation": None}, {"explanation": ""}):
        assert read(stop_reason="refusal", stop_details=details).choices[0].parts == (Text("a"),)
