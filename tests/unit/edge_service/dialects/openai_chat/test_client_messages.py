from __future__ import annotations

from typing import Any

import pytest

from edge_service.dialects.canonical import (
    Family,
    Media,
    MediaKind,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from edge_service.domain.errors import InvalidRequestError

from .asked import read, read_message, user


def test_roles() -> None:
    request = read(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            user("c"),
            {"role": "assistant", "content": "d", "name": "e"},
        ]
    )
    assert request.messages == (
        Message(Role.SYSTEM, (Text("a"),)),
        Message(Role.SYSTEM, (Text("b"),)),
        Message(Role.USER, (Text("c"),)),
        Message(Role.ASSISTANT, (Text("d"),)),
    )
    assert request.unsaid == ("messages.name",)


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}


def test_calls_and_their_results() -> None:
    request = read(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
            {"role": "tool", "tool_call_id": "other", "content": [{"type": "text", "text": "s"}]},
        ]
    )
    assert [message.parts for message in request.messages] == [
        (ToolCall("c1", "f", "{"),),
        (ToolResult("c1", "f", (Text("r"),)),),
        (ToolResult("other", "", (Text("s"),)),),
    ]


def test_a_call_of_a_custom_tool_is_one_with_a_text() -> None:
    call = {"type": "custom", "id": "c1", "custom": {"name": "patch", "input": 'a"b'}}
    messages = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "r"}]
    assert [message.parts for message in read(messages=messages).messages] == [
        (ToolCall("c1", "patch", '{"input":"a\\"b"}'),),
        (ToolResult("c1", "patch", (Text("r"),)),),
    ]


def test_functions_as_they_once_were() -> None:
    call = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "r"}
    parts = [message.parts for message in read(messages=[call, result, call, result]).messages]
    assert parts[:2] == [(ToolCall("call_0", "f", "{}"),), (ToolResult("call_0", "f", (Text("r"),)),)]
    assert parts[2:] == [(ToolCall("call_2", "f", "{}"),), (ToolResult("call_2", "f", (Text("r"),)),)]


def test_what_only_this_dialect_has_in_a_message() -> None:
    request = read(
        messages=[
            user([{"type": "hologram"}]),
            {"role": "assistant", "audio": {"id": "a"}, "tool_calls": [{"type": "hologram"}]},
        ]
    )
    assert request.bound == ("messages[0].content[0]", "messages[1].audio", "messages[1].tool_calls[0]")


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto"}},
            Media(MediaKind.IMAGE, url="https://x/y.png"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,AA==", "detail": "high"}},
            Media(MediaKind.IMAGE, "image/png", data="AA==", detail="high"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "DATA:;charset=x; BASE64,AA=="}},
            Media(MediaKind.IMAGE, data="AA=="),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}},
            Media(MediaKind.IMAGE, "image/svg+xml", data="PHN2Zy8+"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data: image/svg+xml ,%2C,"}},
            Media(MediaKind.IMAGE, "image/svg+xml", data="LCw="),
        ),
        ({"type": "video_url", "video_url": {"url": "https://x/y"}}, Media(MediaKind.VIDEO, url="https://x/y")),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            Media(MediaKind.AUDIO, "audio/mp3", data="AA=="),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "data:audio/ogg;base64,AA==", "format": "ogg"}},
            Media(MediaKind.AUDIO, "audio/ogg", data="AA=="),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            Media(MediaKind.FILE, "application/pdf", data="AA==", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "AA=="}}, Media(MediaKind.FILE, data="AA==")),
        ({"type": "file", "file": {"file_data": "https://x/y"}}, Media(MediaKind.FILE, url="https://x/y")),
        ({"type": "file", "file": {"file_id": "f"}}, Media(MediaKind.FILE, file_id="f", family=Family.OPENAI)),
    ],
)
def test_media(part: dict[str, Any], media: Media) -> None:
    assert read_message(role="user", content=[part]) == (media,)


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": ""}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "image_url.url"),
        ({"type": "image_url", "image_url": "https://x"}, "image_url"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "a/b"}}, "input_audio.format"),
        ({"type": "file", "file": {}}, "file"),
    ],
)
def test_media_that_are_none(part: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_message(role="user", content=[part])
    assert raised.value.param == f"messages[1].content[0].{param}"


def test_marks_for_a_cache_are_left_out() -> None:
    request = read(
        messages=[user([{"type": "text", "text": "x", "cache_control": {}, "prompt_cache_breakpoint": {"mode": "e"}}])]
    )
    assert request.unsaid == ("prompt_cache_breakpoint",)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"content": "x", "refusal": "no"}, (Text("x"), Refusal("no"))),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, (Refusal("no"),)),
        ({"content": "x", "reasoning_content": "hm"}, (Thinking("hm"), Text("x"))),
        ({"content": "x", "reasoning": "hm"}, (Thinking("hm"), Text("x"))),
        ({"content": ""}, ()),
        ({}, ()),
        (
            {"images": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
            (Media(MediaKind.IMAGE, url="https://x"),),
        ),
    ],
)
def test_what_an_assistant_has_said(fields: dict[str, Any], parts: tuple[Part, ...]) -> None:
    assert read_message(role="assistant", **fields) == parts


def detail(kind: str = "reasoning.text", **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


ANTHROPICS = "anthropic-claude-v1"
GEMINIS = "google-gemini-v1"
OPENAIS = "openai-responses-v1"


@pytest.mark.parametrize(
    ("details", "thoughts", "unsaid"),
    [
        (
            [detail(text="a", signature="s", format=ANTHROPICS)],
            [Thinking("a", signature="s", family=Family.ANTHROPIC)],
            (),
        ),
        (
            [detail(text="", signature="s", format=ANTHROPICS)],
            [Thinking(signature="s", family=Family.ANTHROPIC)],
            (),
        ),
        (
            [detail("reasoning.encrypted", data="e", format=ANTHROPICS)],
            [Thinking(encrypted="e", family=Family.ANTHROPIC)],
            (),
        ),
        (
            [detail("reasoning.encrypted", data="e", format=GEMINIS)],
            [Thinking(signature="e", family=Family.GEMINI)],
            (),
        ),
        (
            [
                detail("reasoning.summary", summary="a", id="rs_1", format=OPENAIS),
                detail("reasoning.encrypted", data="e", id="forebay~rs_1", format=OPENAIS),
            ],
            [Thinking("a", encrypted="e", family=Family.OPENAI, id="rs_1")],
            (),
        ),
        (  # Fragments, as they came.
            [
                detail(text="a", index=0, id="forebay~"),
                detail(text="b", index=0),
                detail(signature="s", index=0, format=ANTHROPICS),
                detail(text="c", index=1),
            ],
            [Thinking("ab", signature="s", family=Family.ANTHROPIC), Thinking("c")],
            (),
        ),
        (  # The first of several pieces of what is known counts for an id and a format, the last for a signature.
            [
                detail("reasoning.summary", summary="a", index=0),
                detail("reasoning.summary", summary="b", index=0, id="x", format=ANTHROPICS),
                detail("reasoning.summary", signature="s", index=0, id="y", format=OPENAIS),
                detail("reasoning.summary", summary="c", index=0),
            ],
            [Thinking("abc", signature="s", family=Family.ANTHROPIC, id="x")],
            (),
        ),
        (  # Not fragments of one thought: no index, another index, another type, or what nobody can put together.
            [
                detail(text="a"),
                detail(text="b"),
                detail(text="c", index=0),
                detail("reasoning.summary", summary="d", index=0),
                detail("reasoning.encrypted", data="e", index=1, format=ANTHROPICS),
                detail("reasoning.encrypted", data="f", index=1, format=ANTHROPICS),
            ],
            [
                *(Thinking(text) for text in "abcd"),
                Thinking(encrypted="e", family=Family.ANTHROPIC),
                Thinking(encrypted="f", family=Family.ANTHROPIC),
            ],
            (),
        ),
        (  # What OpenAI has encrypted belongs to the text before it, unless that is somebody else's.
            [
                detail(text="a", id="rs_1"),
                detail("reasoning.encrypted", data="e", id="rs_2", format=OPENAIS),
                detail(text="b", signature="s", format=ANTHROPICS),
                detail("reasoning.encrypted", data="f", format=OPENAIS),
                detail(text="c"),
                detail("reasoning.encrypted", data="g", id="rs_3", format=OPENAIS),
                detail(text="d"),
                detail("reasoning.encrypted", data="h", format=ANTHROPICS),
            ],
            [
                Thinking("a", id="rs_1"),
                Thinking(encrypted="e", family=Family.OPENAI, id="rs_2"),
                Thinking("b", signature="s", family=Family.ANTHROPIC),
                Thinking(encrypted="f", family=Family.OPENAI),
                Thinking("c", encrypted="g", family=Family.OPENAI, id="rs_3"),
                Thinking("d"),
                Thinking(encrypted="h", family=Family.ANTHROPIC),
            ],
            (),
        ),
        (
            [detail("reasoning.encrypted", data="e", format=OPENAIS)],
            [Thinking(encrypted="e", family=Family.OPENAI)],
            (),
        ),
        (
            [detail(text="a", signature="s"), detail(text="b")],
            [Thinking("a"), Thinking("b")],
            ("messages.reasoning_details",),
        ),
        ([detail(text="a", signature="s")], [Thinking("a")], ("messages.reasoning_details",)),
        ([detail("reasoning.encrypted", data="e", format="xai-responses-v1")], [], ("messages.reasoning_details",)),
        ([detail("of tomorrow")], [], ()),
        ([detail(text=None, signature=None, id=None, format=None, index=None)], [], ()),
    ],
)
def test_thoughts_are_handed_back(details: Any, thoughts: list[Thinking], unsaid: tuple[str, ...]) -> None:
    request = read(messages=[{"role": "assistant", "content": "x", "reasoning_details": details}])
    assert request.messages[0].parts == (*thoughts, Text("x"))
    assert request.unsaid == unsaid


def test_text_beside_its_details_is_not_read_twice() -> None:
    parts = read_message(role="assistant", reasoning_content="ab", reasoning_details=[detail(text="ab")])
    assert parts == (Thinking("ab"),)


def test_a_call_that_gemini_has_signed() -> None:
    sealed = detail("reasoning.encrypted", data="s", id="forebay~c1", format=GEMINIS)
    parts = read_message(role="assistant", tool_calls=[CALL], reasoning_details=[sealed])
    assert parts == (ToolCall("c1", "f", "{", signature="s"),)


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_the_name_of_whoever_speaks_is_left_out(role: str) -> None:
    assert read(messages=[user("Hi"), {"role": role, "content": "a", "name": "n"}]).unsaid == ("messages.name",)


def test_what_has_no_place_hides_nothing_that_follows() -> None:
    other = {"type": "hologram", "id": "x"}
    assert read_message(role="assistant", tool_calls=[other, CALL]) == (ToolCall("c1", "f", "{"),)
    assert read_message(role="user", content=[{"type": "hologram"}, {"type": "text", "text": "a"}]) == (Text("a"),)


def test_a_result_may_be_nothing() -> None:
    assert read_message(role="tool", tool_call_id="c1") == (ToolResult("c1", "", ()),)
    assert read_message(role="tool", tool_call_id="c1", content="") == (ToolResult("c1", "", ()),)


def test_plain_thoughts_stand_before_those_that_only_their_maker_reads() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "e", "format": "anthropic-claude-v1"}
    assert read_message(role="assistant", content="a", reasoning="b", reasoning_details=[sealed]) == (
        Thinking("b"),
        Thinking(encrypted="e", family=Family.ANTHROPIC),
        Text("a"),
    )
