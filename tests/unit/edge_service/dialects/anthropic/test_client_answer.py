from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Finish,
    Media,
    MediaKind,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tests.support import published_anthropic


def write(*parts: Any, finish: Finish = Finish.STOP, stop_sequence: str = "", **fields: Any) -> dict[str, Any]:
    choices = (Choice(tuple(parts), finish, stop_sequence),)
    answer = Answer(**{"id": "chatcmpl-1", "created_at": 5, "choices": choices, "usage": Usage(), **fields})
    body = anthropic.CLIENT.write(answer, Request("the-name", False, ()))
    published_anthropic.check_answer(body)
    said: dict[str, Any] = json.loads(body)
    return said


def test_a_whole_answer() -> None:
    assert write(Text("a"), usage=Usage(123, 40, 100, 20, 30), service_tier="default") == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "the-name",
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 100,
            "output_tokens": 40,
            "output_tokens_details": {"thinking_tokens": 30},
            "service_tier": "standard",
        },
    }


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        (Text(""), [{"type": "text", "text": ""}]),
        (Refusal("no"), [{"type": "text", "text": "no"}]),
        (
            Thinking("a", signature="s", family=Family.ANTHROPIC),
            [{"type": "thinking", "thinking": "a", "signature": "s"}],
        ),
        (Thinking(encrypted="e", family=Family.ANTHROPIC), [{"type": "redacted_thinking", "data": "e"}]),
        (Thinking("a"), [{"type": "thinking", "thinking": "a", "signature": "forebay~n~~~"}]),
        (
            Thinking("a", encrypted="e", family=Family.OPENAI, id="rs_1"),
            [{"type": "thinking", "thinking": "a", "signature": "forebay~e~openai~rs_1~e"}],
        ),
        (
            Thinking(encrypted="e", family=Family.OPENAI, id="rs_1"),
            [{"type": "redacted_thinking", "data": "forebay~e~openai~rs_1~e"}],
        ),
        (ToolCall("i", "f", '{"a":1}'), [{"type": "tool_use", "id": "i", "name": "f", "input": {"a": 1}}]),
        (ToolCall("", "f", ""), [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}]),
        (
            ToolCall("i", "f", "{}", "sig"),
            [
                {"type": "redacted_thinking", "data": "forebay~c~gemini~i~sig"},
                {"type": "tool_use", "id": "i", "name": "f", "input": {}},
            ],
        ),
        (
            Media(MediaKind.IMAGE, "image/png", data="aa"),
            [{"type": "text", "text": "![image](data:image/png;base64,aa)"}],
        ),
        (Media(MediaKind.IMAGE, url="https://x", name="n"), [{"type": "text", "text": "![n](https://x)"}]),
    ],
)
def test_blocks(part: Part, blocks: Any) -> None:
    assert write(part)["content"] == blocks


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "end_turn"),
        (Finish.LENGTH, "max_tokens"),
        (Finish.CONTEXT, "model_context_window_exceeded"),
        (Finish.TOOL_CALLS, "tool_use"),
        (Finish.FILTERED, "refusal"),
        (Finish.REFUSED, "refusal"),
        (Finish.PAUSED, "pause_turn"),
    ],
)
def test_why_it_ends(finish: Finish, reason: str) -> None:
    assert write(finish=finish)["stop_reason"] == reason


def test_a_stop_sequence_and_a_refusal_are_reasons_of_their_own() -> None:
    said = write(Text("a"), stop_sequence="END")
    assert (said["stop_reason"], said["stop_sequence"]) == ("stop_sequence", "END")
    assert write(Refusal("no"))["stop_reason"] == "refusal"


def test_an_answer_without_a_choice_or_an_id() -> None:
    said = write(choices=(), id="")
    assert (said["content"], said["stop_reason"], said["id"]) == ([], "end_turn", "msg_0")


def test_no_answer_ends_with_a_signature() -> None:
    """Gemini signs what it has said at the end, and some clients take the last block for what was said."""
    signed = Thinking(signature="s", family=Family.GEMINI)
    assert [block["type"] for block in write(Text("a"), signed)["content"]] == ["text"]
    assert [block["type"] for block in write(Text("a"), signed, Text("b"))["content"]] == ["text", "thinking", "text"]
    assert [block["type"] for block in write(signed)["content"]] == ["thinking"]
