from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_service.dialects import openai_chat
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Finish,
    Media,
    MediaKind,
    Native,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolKind,
    Usage,
)
from tests.support import published_openai_chat


def write(*parts: Any, finish: Finish = Finish.STOP, **fields: Any) -> dict[str, Any]:
    answer = Answer("id", 7, (Choice(tuple(parts), finish),), Usage(), **fields)
    body = openai_chat.CLIENT.write(answer, Request("asked", False, ()))
    published_openai_chat.check_answer(body)
    written: dict[str, Any] = msgspec.json.decode(body)
    return written


def message(*parts: Any) -> dict[str, Any]:
    said: dict[str, Any] = write(*parts)["choices"][0]["message"]
    assert said.pop("role") == "assistant"
    return said


PLAIN = {"content": None, "refusal": None}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), PLAIN | {"content": ""}),
        ((Text("a"), Text("b")), PLAIN | {"content": "ab"}),
        ((Refusal("no"),), PLAIN | {"refusal": "no"}),
        (
            (ToolCall("c", "f", ""), ToolCall("", "g", "{")),
            PLAIN
            | {
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{"}},
                ]
            },
        ),
        (
            (Media(MediaKind.IMAGE, "image/png", data="AA=="),),
            PLAIN
            | {
                "content": "",
                "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
            },
        ),
        ((Media(MediaKind.AUDIO, "audio/wav", url="https://x"),), PLAIN | {"content": "![audio](https://x)"}),
    ],
)
def test_messages(parts: tuple[Any, ...], said: dict[str, Any]) -> None:
    assert message(*parts) == said


def test_thoughts_stand_where_others_have_them() -> None:
    said = message(
        Thinking("a", signature="s", family=Family.ANTHROPIC),
        Thinking(encrypted="e", family=Family.ANTHROPIC),
        Thinking("b", encrypted="f", family=Family.OPENAI, id="rs_1"),
        Thinking(signature="g", family=Family.GEMINI),
        Thinking("c"),
        ToolCall("call", "f", "{}", signature="h"),
    )
    assert said["reasoning_content"] == "abc"
    assert said["reasoning_details"] == [
        {"type": "reasoning.text", "text": "a", "id": "forebay~", "index": 0, "signature": "s"}
        | {"format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "e", "id": "forebay~", "index": 1, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "b", "id": "forebay~rs_1", "index": 2},
        {"type": "reasoning.encrypted", "data": "f", "id": "forebay~rs_1", "index": 3, "format": "openai-responses-v1"},
        {"type": "reasoning.encrypted", "data": "g", "id": "forebay~", "index": 4, "format": "google-gemini-v1"},
        {"type": "reasoning.text", "text": "c", "id": "forebay~", "index": 5},
        {"type": "reasoning.encrypted", "data": "h", "id": "forebay~call", "index": 6, "format": "google-gemini-v1"},
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "stop"),
        (Finish.LENGTH, "length"),
        (Finish.CONTEXT, "length"),
        (Finish.TOOL_CALLS, "tool_calls"),
        (Finish.FILTERED, "content_filter"),
        (Finish.REFUSED, "content_filter"),
        (Finish.PAUSED, "length"),
    ],
)
def test_why_it_ends(finish: Finish, reason: str) -> None:
    assert write(finish=finish)["choices"][0]["finish_reason"] == reason


def test_the_rest() -> None:
    raw = msgspec.Raw(b'{"content":[],"refusal":null}')
    choices = (Choice((Text("a"),), Finish.STOP, logprobs=raw), Choice((Text("b"),), Finish.STOP))
    body = openai_chat.CLIENT.write(
        Answer("", 0, choices, Usage(10, 5, 4, 3, 2), "priority"), Request("asked", False, ())
    )
    said = msgspec.json.decode(body)
    assert (said["id"], said["model"], said["service_tier"]) == ("chatcmpl-0", "asked", "priority")
    assert [(choice["index"], choice["logprobs"]) for choice in said["choices"]] == [
        (0, {"content": [], "refusal": None}),
        (1, None),
    ]
    assert said["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_a_tier_of_another_family_is_not_told() -> None:
    assert "service_tier" not in write(service_tier="batch")


def test_a_call_of_a_custom_tool_is_one_with_a_text() -> None:
    tools = (Tool("patch", native=Native(ToolKind.CUSTOM, "patch")), Tool("f"))
    calls = (ToolCall("c1", "patch", '{"input":"a"}'), ToolCall("c2", "f", "{}"))
    answer = Answer("id", 7, (Choice(calls, Finish.TOOL_CALLS),), Usage())
    body = openai_chat.CLIENT.write(answer, Request("asked", False, (), tools))
    published_openai_chat.check_answer(body)
    assert msgspec.json.decode(body)["choices"][0]["message"]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "a"}},
        {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]
