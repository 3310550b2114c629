from __future__ import annotations

from dataclasses import replace
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
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.openai_chat import DEFAULT, Quirks

from .asked import FULL, HELLO, write, write_messages


def of_user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def of_assistant(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)


def test_text_alone_is_a_string() -> None:
    assert write_messages(
        Message(Role.SYSTEM, (Text("a"), Text("b"))),
        of_user(Text("c"), Text("d")),
        of_assistant(Text("e"), Text("f")),
        of_user(),
    ) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nd"},
        {"role": "assistant", "content": "ef"},
        {"role": "user", "content": ""},
    ]


def test_the_role_of_system_messages() -> None:
    assert write_messages(Message(Role.SYSTEM, (Text("a"),)), quirks=FULL)[0]["role"] == "developer"


IMAGE = Media(MediaKind.IMAGE, "image/png", data="AA==")
WRITTEN_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def test_results_stand_behind_their_calls_and_what_they_show_behind_them() -> None:
    assert write_messages(
        of_assistant(ToolCall("a", "f", ""), ToolCall("b", "g", "{")),
        of_user(ToolResult("a", "f", (Text("r"), IMAGE, Text("s")))),
        of_user(Text("t"), ToolResult("b", "g", (IMAGE,), is_error=True)),
        of_assistant(Text("u")),
    ) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "r\n\ns"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": [WRITTEN_IMAGE, WRITTEN_IMAGE, {"type": "text", "text": "t"}]},
        {"role": "assistant", "content": "u"},
    ]


def test_what_results_show_comes_before_what_is_said_next() -> None:
    messages = write_messages(of_user(ToolResult("a", "f", (IMAGE,))), of_user(Text("t")))
    assert messages[1:] == [{"role": "user", "content": [WRITTEN_IMAGE, {"type": "text", "text": "t"}]}]
    assert write_messages(of_user(ToolResult("a", "f", (IMAGE,))))[1:] == [{"role": "user", "content": [WRITTEN_IMAGE]}]


def test_that_a_result_is_an_error_is_not_said() -> None:
    _, dropped = write(messages=(of_user(ToolResult("a", "f", (), is_error=True)),))
    assert dropped == ("messages.is_error",)


@pytest.mark.parametrize(
    ("media", "written"),
    [
        (IMAGE, WRITTEN_IMAGE),
        (
            Media(MediaKind.IMAGE, url="https://x", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
        ),
        (
            Media(MediaKind.IMAGE, data="/9j/AA=="),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/AA=="}},
        ),
        (
            Media(MediaKind.IMAGE, "a,b", data="AA=="),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA=="}},
        ),
        (
            Media(MediaKind.AUDIO, "audio/mpeg", data="AA=="),
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (
            Media(MediaKind.FILE, data="JVBERiAA", name="a"),
            {"type": "file", "file": {"filename": "a", "file_data": "data:application/pdf;base64,JVBERiAA"}},
        ),
        (
            Media(MediaKind.FILE, file_id="f", family=Family.OPENAI),
            {"type": "file", "file": {"file_id": "f"}},
        ),
    ],
)
def test_media(media: Media, written: dict[str, Any]) -> None:
    assert write_messages(of_user(media), quirks=FULL)[0]["content"] == [written]


def test_a_text_that_comes_as_a_file_is_read_by_everyone() -> None:
    media = Media(MediaKind.FILE, "text/plain; charset=utf-8", data="w6k=", name="a.txt")
    assert write_messages(of_user(media))[0]["content"] == "a.txt\n\né"
    assert write_messages(of_user(replaced(media, name="")))[0]["content"] == "é"
    with pytest.raises(InexpressibleError):
        write_messages(of_user(replaced(media, data="/w==")))


def replaced(media: Media, **fields: Any) -> Media:
    return Media(**{name: getattr(media, name) for name in media.__struct_fields__} | fields)


@pytest.mark.parametrize(
    ("message", "quirks", "name"),
    [
        (of_user(Media(MediaKind.FILE, "application/pdf", data="AA==")), DEFAULT, "messages.file"),
        (of_user(Media(MediaKind.FILE, url="https://x")), FULL, "messages.file"),
        (of_user(Media(MediaKind.FILE, "text/plain", url="https://x")), FULL, "messages.file"),
        (of_user(Media(MediaKind.AUDIO, "audio/wav", url="https://x")), FULL, "messages.audio"),
        (of_user(Media(MediaKind.VIDEO, file_id="f", family=Family.OPENAI)), FULL, "messages.video"),
        (of_user(Media(MediaKind.VIDEO, "video/mp4", data="AA==")), FULL, "messages.video"),
        (of_user(Media(MediaKind.VIDEO, "text/plain", data="AA==")), FULL, "messages.video"),
        (of_user(Media(MediaKind.FILE, file_id="f", family=Family.GEMINI)), FULL, "messages.file"),
        (of_user(Media(MediaKind.IMAGE, file_id="f", family=Family.ANTHROPIC)), FULL, "messages.image"),
        (of_user(Media(MediaKind.AUDIO, "audio/flac", data="AA==")), FULL, "messages.audio"),
        (of_user(Media(MediaKind.VIDEO, url="https://x")), FULL, "messages.video"),
        (of_user(IMAGE), Quirks(unknown=frozenset({"messages.image"})), "messages.image"),
        (of_assistant(IMAGE), FULL, "messages.image"),
        (Message(Role.SYSTEM, (IMAGE,)), FULL, "messages.image"),
    ],
)
def test_media_that_cannot_be_said(message: Message, quirks: Quirks, name: str) -> None:
    with pytest.raises(InexpressibleError) as raised:
        write(quirks=quirks, messages=(message,))
    assert raised.value.names == (name,)


def test_refusals() -> None:
    message = of_assistant(Refusal("no"))
    assert write_messages(message) == [{"role": "assistant", "content": "no"}]
    assert write_messages(message, quirks=FULL) == [{"role": "assistant", "content": None, "refusal": "no"}]


CLAUDES = Thinking("a", signature="s", family=Family.ANTHROPIC)
SEALED = Thinking(encrypted="e", family=Family.ANTHROPIC)
PLAIN = Thinking("b")


@pytest.mark.parametrize(
    ("model", "thoughts", "fields", "is_less"),
    [
        ("m", (), {}, True),
        ("m", ("reasoning_content",), {"reasoning_content": "b"}, True),
        ("m", ("reasoning",), {"reasoning": "b"}, True),
        (
            "anthropic/claude-sonnet-4.5",
            ("reasoning", "reasoning_details"),
            {
                "reasoning": "b",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "a", "id": None, "index": 0, "signature": "s"}
                    | {"format": "anthropic-claude-v1"},
                    {"type": "reasoning.encrypted", "data": "e", "id": None, "index": 1}
                    | {"format": "anthropic-claude-v1"},
                    {"type": "reasoning.text", "text": "b", "id": None, "index": 2},
                ],
            },
            False,
        ),
        (
            "google/gemini-3-pro",
            ("reasoning_details",),
            {"reasoning_details": [{"type": "reasoning.text", "text": "b", "id": None, "index": 0}]},
            True,
        ),
    ],
)
def test_thoughts_go_where_they_are_taken(
    model: str, thoughts: tuple[str, ...], fields: dict[str, Any], is_less: bool
) -> None:
    message = of_assistant(CLAUDES, SEALED, PLAIN, Text("x"))
    body, dropped = write(model, Quirks(thoughts=thoughts), messages=(HELLO, message))
    assert body["messages"][1] == {"role": "assistant", "content": "x", **fields}
    assert dropped == (("messages.thinking",) if is_less else ())


def test_one_that_wants_its_thoughts_back_gets_the_field_with_every_call() -> None:
    quirks = Quirks(thoughts=("reasoning_content",))
    said = write_messages(of_assistant(CLAUDES, ToolCall("c", "f", "{}")), quirks=quirks)[0]
    assert said["reasoning_content"] == ""
    assert write_messages(of_assistant(CLAUDES, Text("x")), quirks=quirks) == [{"role": "assistant", "content": "x"}]


def test_a_message_of_thoughts_alone_goes_with_them() -> None:
    assert write_messages(HELLO, of_assistant(CLAUDES)) == [{"role": "user", "content": "Hello"}]


def test_one_that_refuses_thoughts_gets_none() -> None:
    quirks = replace(FULL, unknown=frozenset({"messages.thinking"}))
    body, dropped = write(quirks=quirks, messages=(of_assistant(PLAIN, Text("x")),))
    assert body["messages"] == [{"role": "assistant", "content": "x"}]
    assert dropped == ("messages.thinking",)


def test_the_signature_of_a_call() -> None:
    message = of_assistant(ToolCall("c", "f", "{}", signature="s"))
    body, dropped = write("google/gemini-3-pro", FULL, messages=(message,))
    assert body["messages"][0]["reasoning_details"] == [
        {"type": "reasoning.encrypted", "data": "s", "id": "c", "index": 0, "format": "google-gemini-v1"}
    ]
    assert not dropped
    assert write("m", FULL, messages=(message,))[1] == ("messages.thinking",)


@pytest.mark.parametrize(("chars", "call_id"), [(0, "x" * 41), (0, ""), (9, "call_1"), (9, "x" * 10), (9, "éééééé123")])
def test_ids_of_calls_are_made_to_fit(chars: int, call_id: str) -> None:
    messages = (of_assistant(ToolCall(call_id, "f", "{}")), of_user(ToolResult(call_id, "f", ())))
    said = write_messages(*messages, quirks=Quirks(call_id_chars=chars))
    written = said[0]["tool_calls"][0]["id"]
    assert written == said[1]["tool_call_id"] != call_id
    assert 0 < len(written) <= 40
    assert not chars or (len(written) == chars and written.isalnum() and written.isascii())


def test_ids_that_fit_stay() -> None:
    assert write_messages(of_user(ToolResult("abcdef123", "f", ())), quirks=Quirks(call_id_chars=9)) == [
        {"role": "tool", "tool_call_id": "abcdef123", "content": ""}
    ]


def test_the_bytes_of_media_are_looked_at_only_for_what_is_not_said() -> None:
    wav = Media(MediaKind.AUDIO, " AUDIO/X-WAV ; rate=1", data="AA==")
    assert write_messages(of_user(wav), quirks=FULL)[0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    ]
    (file,) = write_messages(of_user(Media(MediaKind.FILE, data="AA==")), quirks=FULL)[0]["content"]
    assert file == {
        "type": "file",
        "file": {"filename": "file", "file_data": "data:application/octet-stream;base64,AA=="},
    }


def test_a_text_that_is_no_base64_cannot_be_said() -> None:
    with pytest.raises(InexpressibleError):
        write_messages(of_user(Media(MediaKind.FILE, "text/plain", data="YQ==*")))


def test_arguments_of_nothing_but_white_space_are_none() -> None:
    (message,) = write_messages(of_assistant(ToolCall("a", "f", " \n")))
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_plain_thoughts_that_nobody_takes_are_lost_but_not_twice() -> None:
    quirks = Quirks(thoughts=("reasoning_content",))
    assert write("m", quirks, messages=(of_assistant(Thinking("b"), Text("a")),))[1] == ()
    sealed = Thinking(encrypted="e", family=Family.ANTHROPIC)
    assert write("m", quirks, messages=(of_assistant(Thinking("b"), sealed, Text("a")),))[1] == ("messages.thinking",)
