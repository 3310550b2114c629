from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import openai_chat
from edge_service.dialects.canonical import (
    Family,
    Finish,
    Media,
    MediaKind,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError


def read(message: Any = None, **fields: Any) -> Any:
    choices = [{"index": 0, "message": message or {"content": "x"}, "finish_reason": "stop"}]
    return openai_chat.PROVIDER.read(json.dumps({"id": "id", "choices": choices, **fields}).encode())


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "a", "refusal": None}, (Text("a"),)),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        ({"content": "", "tool_calls": [CALL]}, (ToolCall("c", "f", "{"),)),
        (
            {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            (ToolCall("call_id_0", "f", '{"a":1}'),),
        ),
        ({"tool_calls": [{}]}, (ToolCall("call_id_0", "", ""),)),
        ({"content": "a", "reasoning_content": "b"}, (Thinking("b"), Text("a"))),
        ({"content": "a", "reasoning": "b"}, (Thinking("b"), Text("a"))),
        (
            {
                "reasoning": "b",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "format": "anthropic-claude-v1"}],
            },
            (Thinking("b"), Thinking(encrypted="e", family=Family.ANTHROPIC)),
        ),
        ({"images": [{"image_url": {"url": "data:;base64,QQ=="}}]}, (Media(MediaKind.IMAGE, data="QQ=="),)),
        (
            {"content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "a"}, {"type": "new"}]},
            (Thinking("b"), Text("a")),
        ),
        (
            {"reasoning": "b", "reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "format": None}]},
            (Thinking("b"),),
        ),
        (
            {"images": [{"image_url": {"url": "https://x"}}, {}]},
            (Media(MediaKind.IMAGE, url="https://x"),),
        ),
        (
            {
                "tool_calls": [CALL],
                "reasoning_details": [
                    {"type": "reasoning.encrypted", "data": "s", "id": "c", "format": "google-gemini-v1"}
                ],
            },
            (ToolCall("c", "f", "{", "s"),),
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "b", "signature": "s", "format": "anthropic-claude-v1"}
                ]
            },
            (Thinking("b", signature="s", family=Family.ANTHROPIC),),
        ),
    ],
)
def test_messages(message: dict[str, Any], parts: tuple[Part, ...]) -> None:
    assert read(message).choices[0].parts == parts


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("tool_calls", Finish.TOOL_CALLS),
        ("function_call", Finish.TOOL_CALLS),
        ("content_filter", Finish.FILTERED),
        ("of tomorrow", Finish.STOP),
        (None, Finish.STOP),
    ],
)
def test_why_it_ends(reason: str | None, finish: Finish) -> None:
    answer = read(choices=[{"message": {"content": "x"}, "finish_reason": reason}])
    assert answer.choices[0].finish is finish


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}, Usage(9, 5)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 4, 2, 3),
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": None}, Usage(9, 0, 4)),
        (  # xAI's, which counts reasoning apart.
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 114,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(9, 105, reasoning_tokens=100),
        ),
    ],
)
def test_usage(said: Any, usage: Usage) -> None:
    assert read(usage=said).usage == usage


def test_the_rest() -> None:
    answer = read(created=7.5, service_tier="flex", id=None)
    assert (answer.id, answer.created_at, answer.service_tier) == ("", 7, "flex")
    assert read(created=-1).created_at == read(created=1e300).created_at == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b" ", EmptyAnswerError),
        (b'{"choices":[]}', EmptyAnswerError),
        (b'{"choices":null}', EmptyAnswerError),
        (b'{"choices":[{}]}', EmptyAnswerError),
        (b"{}", MalformedAnswerError),
        (b"[]", MalformedAnswerError),
        (b"<html>", MalformedAnswerError),
        (b'{"choices":[{"message":{"content":"\xff"}}]}', MalformedAnswerError),
        (b'{"choices":[{"message":{"content":' + b'[{"thinking":' * 100_000, MalformedAnswerError),
        (b'{"error":{"message":"no"}}', ReportedError),
        (b'{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}', ReportedError),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_what_is_no_answer(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        openai_chat.PROVIDER.read(body)


def test_an_error_that_is_null_is_none() -> None:
    assert read(error=None).choices


def test_choices_stand_in_their_order_and_one_failure_is_enough() -> None:
    said = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    assert [choice.parts for choice in read(choices=said).choices] == [(Text("a"),), (Text("b"),)]
    with pytest.raises(ReportedError):
        read(choices=[*said, {"index": 2, "finish_reason": "error"}])


def test_one_answer_that_says_something_or_ends_is_enough() -> None:
    nothing: dict[str, Any] = {"message": {}}
    for enough in ({"message": {"content": "a"}}, {"message": {}, "finish_reason": "stop"}):
        assert len(read(choices=[nothing, enough]).choices) == 2
    with pytest.raises(EmptyAnswerError):
        read(choices=[nothing, nothing])


@pytest.mark.parametrize(("said", "read_as"), [(0, 0), (0.5, 0), (1, 1), (2**53 - 1, 2**53 - 1), (2**53, 0)])
def test_when_it_was_made(said: float, read_as: int) -> None:
    assert read(created=said).created_at == read_as


def test_a_call_without_an_id_has_none_that_is_odd() -> None:
    for odd in ("with blanks", "", None):
        assert read({"tool_calls": [{"function": {"name": "f"}}]}, id=odd).choices[0].parts == (
            ToolCall("call_0", "f", ""),
        )
