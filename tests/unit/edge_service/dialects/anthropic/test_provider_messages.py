from __future__ import annotations

import base64
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

from .asked import HELLO, write, write_messages

IMAGE, FILE = MediaKind.IMAGE, MediaKind.FILE


def user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def assistant(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)


def system(*texts: str) -> Message:
    return Message(Role.SYSTEM, tuple(Text(text) for text in texts))


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def test_system_messages_are_hoisted_in_order() -> None:
    body, _ = write(messages=(system("a"), user(Text("x")), system("b", " "), user(Text("y"))))
    assert body["system"] == [text("a"), text("b")]
    assert body["messages"] == [{"role": "user", "content": [text("x"), text("y")]}]
    assert write(messages=(system("a"), HELLO))[0]["system"] == "a"
    assert "system" not in write(messages=(system(""), HELLO))[0]


def test_messages_of_one_role_become_one() -> None:
    assert write_messages(
        user(Text("a")), user(Text("b")), assistant(Text("c")), assistant(Text("d")), user(Text("e"))
    ) == [("user", [text("a"), text("b")]), ("assistant", [text("c"), text("d")]), ("user", "e")]


def test_text_that_says_nothing_is_left_out_and_messages_without_text_too() -> None:
    assert write_messages(user(Text("a"), Text(""), Text("\n ")), assistant(Text("")), user(Text("b"))) == [
        ("user", [text("a"), text("b")])
    ]


@pytest.mark.parametrize("messages", [(), (system("a"),), (user(Text(" ")),)])
def test_there_is_always_a_message_of_a_user(messages: tuple[Message, ...]) -> None:
    assert write_messages(*messages) == [("user", ".")]


def test_the_first_message_is_a_users() -> None:
    assert write_messages(assistant(Text("a")), user(Text("b"))) == [("user", "."), ("assistant", "a"), ("user", "b")]


def test_an_answer_that_has_been_begun_does_not_end_in_white_space() -> None:
    assert write_messages(HELLO, assistant(Text("One, ")))[-1] == ("assistant", "One,")
    assert write_messages(HELLO, assistant(Text("One, "), Text("two ")))[-1] == (
        "assistant",
        [text("One, "), text("two")],
    )
    call = ToolCall("1", "f", "")
    assert write_messages(HELLO, assistant(Text("One, "), call))[-1][1][0] == text("One, ")
    assert write_messages(HELLO, assistant(Text("One, ")), user(Text("two ")))[1:] == [
        ("assistant", "One, "),
        ("user", "two "),
    ]


def test_what_an_assistant_does_stays_in_its_order() -> None:
    (_, (_, blocks)) = write_messages(HELLO, assistant(Text("a"), ToolCall("1", "f", ""), Text("b")))
    assert [block["type"] for block in blocks] == ["text", "tool_use", "text"]


def test_results_come_first() -> None:
    calls = assistant(ToolCall("1", "f", ""), ToolCall("2", "f", '{"a":1}'))
    told = write_messages(
        HELLO,
        calls,
        user(Text("so")),
        user(ToolResult("1", "f", (Text("r"),))),
        user(ToolResult("2", "f", (), is_error=True)),
    )
    assert told[1:] == [
        (
            "assistant",
            [
                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "2", "name": "f", "input": {"a": 1}},
            ],
        ),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "1", "content": "r"},
                {"type": "tool_result", "tool_use_id": "2", "is_error": True},
                text("so"),
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", {}),
        (" ", {}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("[1]", {"arguments": "[1]"}),
        ("{", {"arguments": "{"}),
        ("null", {"arguments": "null"}),
    ],
)
def test_arguments_are_an_object(arguments: str, said: Any) -> None:
    ((_, (call, _)),) = write_messages(HELLO, assistant(ToolCall("1", "f", arguments), Text("a")))[1:]
    assert call["input"] == said


def test_ids_have_the_form_that_the_dialect_takes() -> None:
    told = write_messages(HELLO, assistant(ToolCall("a.b:c", "f", "")), user(ToolResult("a.b:c", "f", ())))
    assert (told[1][1][0]["id"], told[2][1][0]["tool_use_id"]) == ("a_b_c", "a_b_c")


def test_a_refusal_is_text() -> None:
    assert write_messages(HELLO, assistant(Refusal("no")), HELLO)[1] == ("assistant", "no")


@pytest.mark.parametrize(
    ("thought", "block"),
    [
        (
            Thinking("a", signature="s", family=Family.ANTHROPIC),
            {"type": "thinking", "thinking": "a", "signature": "s"},
        ),
        (
            Thinking("", signature="s", family=Family.ANTHROPIC),
            {"type": "thinking", "thinking": "", "signature": "s"},
        ),
        (Thinking(encrypted="e", family=Family.ANTHROPIC), {"type": "redacted_thinking", "data": "e"}),
        (Thinking("a"), None),
        (Thinking("a", signature="s", family=Family.GEMINI), None),
        (Thinking(encrypted="e", family=Family.OPENAI, id="rs_1"), None),
        (Thinking("a", family=Family.ANTHROPIC), None),
    ],
)
def test_only_thoughts_of_its_own_family_are_replayed(thought: Thinking, block: Any) -> None:
    body, dropped = write(messages=(HELLO, assistant(thought, Text("b")), HELLO))
    said = body["messages"][1]["content"]
    assert said == ("b" if block is None else [block, text("b")])
    assert dropped == (("messages.thinking",) if block is None else ())


def test_the_signature_of_a_call_is_not_replayed() -> None:
    _, dropped = write(messages=(HELLO, assistant(ToolCall("1", "f", "", "CiQB")), HELLO))
    assert dropped == ("messages.thinking",)


def b64(said: str) -> str:
    return base64.b64encode(said.encode()).decode()


@pytest.mark.parametrize(
    ("media", "kind", "source"),
    [
        (
            Media(IMAGE, "image/webp", data="aa"),
            "image",
            {"type": "base64", "media_type": "image/webp", "data": "aa"},
        ),
        (Media(IMAGE, "image/jpg", data="aa"), "image", {"type": "base64", "media_type": "image/jpeg", "data": "aa"}),
        *(
            (
                Media(IMAGE, said, data=data),
                "image",
                {"type": "base64", "media_type": media_type, "data": data},
            )
            for said, data, media_type in (
                ("image/gif", "aa", "image/gif"),
                (" IMAGE/PNG ; q=1", "aa", "image/png"),
                ("image/*", "iVBORw0KGgoA", "image/png"),
                ("", "R0lGODlh", "image/gif"),
                ("", "UklGRlYA", "image/webp"),
            )
        ),
        (Media(IMAGE, "text/plain", url="HTTP://x/y"), "image", {"type": "url", "url": "HTTP://x/y"}),
        (Media(IMAGE, data="/9j/x"), "image", {"type": "base64", "media_type": "image/jpeg", "data": "/9j/x"}),
        (Media(IMAGE, url="https://x/y"), "image", {"type": "url", "url": "https://x/y"}),
        (Media(IMAGE, file_id="f", family=Family.ANTHROPIC), "image", {"type": "file", "file_id": "f"}),
        (
            Media(FILE, "application/pdf", data="aa"),
            "document",
            {"type": "base64", "media_type": "application/pdf", "data": "aa"},
        ),
        (
            Media(FILE, data="JVBERi0"),
            "document",
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
        ),
        (
            Media(FILE, "text/markdown; charset=utf-8", data=b64("é")),
            "document",
            {"type": "text", "media_type": "text/plain", "data": "é"},
        ),
        (Media(FILE, url="https://x/y.pdf"), "document", {"type": "url", "url": "https://x/y.pdf"}),
    ],
)
def test_media(media: Media, kind: str, source: Any) -> None:
    assert write_messages(user(media)) == [("user", [{"type": kind, "source": source}])]
    call = assistant(ToolCall("1", "f", ""))
    result = write_messages(HELLO, call, user(ToolResult("1", "f", (media,))))[2][1][0]
    assert result["content"] == [{"type": kind, "source": source}]


def test_a_files_name_is_its_title() -> None:
    ((_, (block,)),) = write_messages(user(Media(FILE, "application/pdf", data="aa", name="n")))
    assert block["title"] == "n"


@pytest.mark.parametrize(
    "media",
    [
        Media(IMAGE, "image/bmp", data="aa"),
        Media(IMAGE, data="aa"),
        Media(IMAGE, "text/plain", data=b64("a")),
        Media(IMAGE, url="gs://x/y"),
        Media(IMAGE, url="data:image/png;base64,aa"),
        Media(IMAGE, file_id="f", family=Family.OPENAI),
        Media(IMAGE, file_id="f"),
        Media(FILE, "application/msword", data="aa"),
        Media(FILE, "text/plain", data="not base64"),
        Media(FILE, "text/plain", data="YQ==\n*"),
        Media(FILE, "text/plain", data="/w=="),
        Media(FILE, "text/csv", url="https://x/y.csv"),
        Media(MediaKind.AUDIO, "audio/mp3", data="aa"),
        Media(MediaKind.VIDEO, url="https://x/y.mp4"),
    ],
)
def test_media_that_the_dialect_has_not(media: Media) -> None:
    for message in (user(media), user(ToolResult("1", "f", (media,)))):
        with pytest.raises(InexpressibleError) as caught:
            write_messages(message)
        assert caught.value.names == (f"messages.{media.kind.value}",)


@pytest.mark.parametrize("role", [Role.ASSISTANT, Role.SYSTEM])
def test_only_users_show_media(role: Role) -> None:
    with pytest.raises(InexpressibleError):
        write_messages(HELLO, Message(role, (Media(IMAGE, url="https://x"),)))


def test_how_closely_to_look_cannot_be_said() -> None:
    image = Media(IMAGE, url="https://x", detail="high")
    assert write(messages=(user(image),))[1] == ("messages.detail",)
    assert write(messages=(user(ToolResult("1", "f", (image,))),))[1] == ("messages.detail",)
    assert write(messages=(user(Media(IMAGE, url="https://x", detail="auto")),))[1] == ()
