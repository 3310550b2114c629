from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Family,
    Media,
    MediaKind,
    Message,
    Output,
    OutputKind,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from edge_service.dialects.exchange import InexpressibleError

from .asked import HELLO, write, write_items

TOOLS = (Tool("f"), Tool("g", strict=True))


def assistant(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)


def user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def test_nothing_is_to_be_kept() -> None:
    body, dropped = write("gpt-4.1")
    assert body == {"model": "gpt-4.1", "input": [{"role": "user", "content": "Hello"}], "store": False}
    assert dropped == ()


def test_only_who_thinks_is_asked_for_thoughts_that_can_be_handed_back() -> None:
    assert write("gpt-5-mini")[0]["include"] == ["reasoning.encrypted_content"]
    assert write("openai/o3")[0]["include"] == ["reasoning.encrypted_content"]
    for model in ("gpt-4o", "gpt-5-chat-latest", "llama-4"):
        assert "include" not in write(model)[0]


def test_the_first_word_of_the_system_becomes_instructions() -> None:
    system = Message(Role.SYSTEM, (Text("a"),))
    body, _ = write(messages=(system, HELLO, system))
    assert body["instructions"] == "a"
    assert [item["role"] for item in body["input"]] == ["user", "system"]


def test_what_the_assistant_did_is_written_item_by_item() -> None:
    thought = Thinking("t", encrypted="gAAA", family=Family.OPENAI, id="rs_1")
    image = Media(MediaKind.IMAGE, "image/png", data="QQ==")
    items = write_items(
        HELLO,
        assistant(thought, Text("a"), Text(""), Refusal("no"), ToolCall("c", "f", " ")),
        user(ToolResult("c", "f", (Text("7"), image)), ToolResult("d", "f", ()), Text("go on")),
    )
    assert items[1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "message",
            "id": "msg_2",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "a", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "7"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QQ=="},
            ],
        },
        {"type": "function_call_output", "call_id": "d", "output": ""},
        {"role": "user", "content": "go on"},
    ]


def test_ids_that_are_too_long_stay_the_same_for_a_call_and_its_result() -> None:
    long = "c" * 65
    _, call, result = write_items(HELLO, assistant(ToolCall(long, "f", "{}")), user(ToolResult(long, "f", ())))
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("t"),
        Thinking("t", id="rs_1"),
        Thinking("t", signature="s", family=Family.ANTHROPIC),
        Thinking(encrypted="e", family=Family.ANTHROPIC),
        Thinking("t", signature="s", family=Family.GEMINI),
    ],
)
def test_thoughts_of_others_are_left_out_and_named(thought: Thinking) -> None:
    body, dropped = write(messages=(HELLO, assistant(thought, Text("a"))))
    assert body["input"][1:] == [{"role": "assistant", "content": "a"}]
    assert dropped == ("messages.thinking",)


def test_what_is_lost_is_named() -> None:
    _, dropped = write(
        "gpt-4.1",
        messages=(HELLO, assistant(ToolCall("c", "f", "{}", "sig")), user(ToolResult("c", "f", (), is_error=True))),
        top_k=1,
        seed=1,
        presence_penalty=0.0,
        frequency_penalty=0.5,
        max_tokens=1,
        verbosity="low",
        reasoning=Reasoning(Effort.HIGH),
        service_tier="batch",
    )
    assert set(dropped) == {
        "messages.thinking",
        "messages.is_error",
        "top_k",
        "seed",
        "frequency_penalty",
        "max_tokens",
        "verbosity",
        "reasoning",
        "service_tier",
    }


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"n": 2}, ("n",)),
        ({"stop": ("END",)}, ("stop",)),
        ({"bound": ("cachedContent",)}, ("cachedContent",)),
        ({"tool_choice": ToolChoice(Choosing.REQUIRED)}, ("tool_choice",)),
        ({"messages": (user(Media(MediaKind.AUDIO, "audio/wav", data="QQ==")),)}, ("messages.audio",)),
        ({"messages": (user(Media(MediaKind.IMAGE, "image/tiff", data="QQ==")),)}, ("messages.image",)),
        ({"messages": (user(Media(MediaKind.FILE, url="gs://x")),)}, ("messages.file",)),
        ({"messages": (user(Media(MediaKind.FILE, file_id="f", family=Family.ANTHROPIC)),)}, ("messages.file",)),
        ({"messages": (assistant(Media(MediaKind.IMAGE, "image/png", data="QQ==")),)}, ("messages.image",)),
    ],
)
def test_what_changes_the_meaning_is_refused(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    request = Request(**{"model": "m", "stream": False, "messages": (HELLO,), **fields})
    with pytest.raises(InexpressibleError) as caught:
        openai_responses.PROVIDER.write(request, "gpt-5")
    assert caught.value.names == names


def test_one_answer_and_no_stops_are_what_it_does_anyway() -> None:
    assert write(n=1, stop=("",))[1] == ()


def test_media() -> None:
    (item,) = write_items(
        user(
            Media(MediaKind.IMAGE, url="https://x", detail="high"),
            Media(MediaKind.IMAGE, file_id="file-1", family=Family.OPENAI),
            Media(MediaKind.FILE, "application/pdf", data="QQ=="),
            Media(MediaKind.FILE, "application/pdf", data="QQ==", name="a.pdf"),
            Media(MediaKind.FILE, data="QQ=="),
            Media(MediaKind.FILE, url="https://x/a.pdf"),
            Media(MediaKind.FILE, file_id="file-2", family=Family.OPENAI),
        )
    )
    assert item["content"] == [
        {"type": "input_image", "detail": "high", "image_url": "https://x"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_file", "filename": "file.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        {"type": "input_file", "filename": "file.pdf", "file_data": "QQ=="},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_file", "file_id": "file-2"},
    ]


def test_tools_are_not_strict_unless_they_are_said_to_be() -> None:
    body, dropped = write(tools=TOOLS, parallel_tool_calls=False)
    assert ([tool["strict"] for tool in body["tools"]], dropped) == ([False, True], ())
    none = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert body["tools"][0]["parameters"] == none
    assert body["parallel_tool_calls"] is False


def test_what_strict_mode_does_not_take_is_not_strict() -> None:
    opened = msgspec.Raw(b'{"type":"object"}')
    tools = (Tool("f", parameters=opened, strict=True), Tool("g", parameters=opened, strict=False))
    body, dropped = write(tools=tools, output=Output(OutputKind.SCHEMA, opened, strict=True))
    assert [tool["strict"] for tool in body["tools"]] == [False, False]
    assert (body["text"]["format"]["strict"], dropped) == (False, ("tools.strict", "output.strict"))
    body, dropped = write(tools=tools[1:], output=Output(OutputKind.SCHEMA, opened, strict=False))
    assert (body["text"]["format"]["strict"], dropped) == (False, ())


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(Choosing.NONE, ("f",)), "none"),
        (ToolChoice(Choosing.REQUIRED), "required"),
        (ToolChoice(Choosing.NAMED, ("f",)), {"type": "function", "name": "f"}),
        (
            ToolChoice(Choosing.AUTO, ("f",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ),
    ],
)
def test_choices(choice: ToolChoice, said: Any) -> None:
    assert write(tools=TOOLS, tool_choice=choice)[0]["tool_choice"] == said


def test_formats() -> None:
    schema = msgspec.Raw(b'{"type":"object"}')
    assert write(output=Output(OutputKind.TEXT))[0]["text"] == {"format": {"type": "text"}}
    assert write(output=Output(OutputKind.JSON), verbosity="low")[0]["text"] == {
        "format": {"type": "json_object"},
        "verbosity": "low",
    }
    assert write(output=Output(OutputKind.SCHEMA, schema, strict=False))[0]["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "schema": {"type": "object"},
        "strict": False,
    }


@pytest.mark.parametrize(
    ("model", "asked", "said", "dropped"),
    [
        ("gpt-5.6", Reasoning(Effort.MAX), {"effort": "max"}, ()),
        ("gpt-5.2", Reasoning(budget_tokens=8000), {"effort": "medium"}, ()),
        ("gpt-5.2", Reasoning(budget_tokens=-1), None, ()),
        ("gpt-5.2", Reasoning(Effort.LOW, shown=True), {"effort": "low", "summary": "auto"}, ()),
        ("gpt-5.2", Reasoning(Effort.LOW, shown=False, summary="auto"), {"effort": "low"}, ()),
        ("gpt-5.2", Reasoning(summary="concise"), {"summary": "concise"}, ()),
        ("gpt-5", Reasoning(Effort.NONE), {"effort": "minimal"}, ("reasoning",)),
        ("o3-mini", Reasoning(Effort.NONE), {"effort": "low"}, ("reasoning",)),
        ("gpt-4o", Reasoning(Effort.NONE), None, ()),
        ("gpt-4o", Reasoning(Effort.HIGH), None, ("reasoning",)),
        ("llama-4", Reasoning(Effort.MINIMAL), {"effort": "minimal"}, ()),
    ],
)
def test_reasoning(model: str, asked: Reasoning, said: dict[str, str] | None, dropped: tuple[str, ...]) -> None:
    body, lost = write(model, reasoning=asked)
    assert (body.get("reasoning"), lost) == (said, dropped)


def test_who_thinks_takes_no_sampling() -> None:
    asked: dict[str, Any] = {"temperature": 0.5, "top_p": 1.0, "logprobs": True, "top_logprobs": 2}
    body, dropped = write("gpt-5.2", **asked)
    assert not body.keys() & {"temperature", "top_p", "top_logprobs"}
    assert set(dropped) == {"temperature", "logprobs"}
    for model, reasoning in (
        ("gpt-5.2", Reasoning(Effort.NONE)),
        ("gpt-4.1", None),
        ("llama-4", Reasoning(Effort.LOW)),
    ):
        body, dropped = write(model, **asked, reasoning=reasoning)
        assert (body["temperature"], body["top_p"], body["top_logprobs"], dropped) == (0.5, 1.0, 2, ())
        assert "message.output_text.logprobs" in body["include"]


def test_the_least_that_may_be_written() -> None:
    assert write(max_tokens=15)[0]["max_output_tokens"] == 16
    body, dropped = write(max_tokens=16)
    assert (body["max_output_tokens"], dropped) == (16, ())


def test_for_whom_it_is() -> None:
    body, dropped = write(user="u", metadata={"a": "b"}, service_tier="flex", stream=True)
    assert (body["safety_identifier"], body["metadata"], body["service_tier"]) == ("u", {"a": "b"}, "flex")
    assert body["stream"] is True
    assert dropped == ()


def test_a_user_whose_name_is_too_long_is_known_by_its_hash() -> None:
    names = {write(user=c * 65)[0]["safety_identifier"] for c in "ab"}
    assert {len(name) for name in names} == {64}
    assert len(names) == 2


def test_only_a_text_that_comes_first_becomes_instructions() -> None:
    pdf = Media(MediaKind.FILE, "application/pdf", data="QQ==")
    for parts in ((Text(""),), (pdf,), (Text("a"), Text("b"))):
        body, _ = write(messages=(Message(Role.SYSTEM, parts), HELLO))
        assert "instructions" not in body
    assert "instructions" not in write(messages=(HELLO, Message(Role.SYSTEM, (Text("be"),))))[0]


def test_what_is_said_before_a_result_stays_before_it() -> None:
    call = assistant(ToolCall("c", "f", "{}"))
    items = write_items(HELLO, call, user(Text("a"), ToolResult("c", "f", (Text("r"),)), Text("b")))
    assert [item.get("role", item.get("type")) for item in items[2:]] == ["user", "function_call_output", "user"]


def test_thoughts_have_an_id_and_only_what_was_shown_of_them() -> None:
    native = Thinking(encrypted="e", family=Family.OPENAI)
    (first, second) = write_items(assistant(native, Thinking("a", encrypted="f", family=Family.OPENAI, id="rs_9")))
    assert (first["id"], first["summary"], second["id"]) == ("rs_0", [], "rs_9")


def test_a_thought_that_is_not_encrypted_is_not_handed_back() -> None:
    thought = Thinking("a", family=Family.OPENAI, id="rs_1")
    assert write(messages=(HELLO, assistant(thought, Text("b"))))[1] == ("messages.thinking",)


@pytest.mark.parametrize(("length", "is_kept"), [(0, False), (1, True), (64, True), (65, False)])
def test_ids_have_64_characters_at_most(length: int, is_kept: bool) -> None:
    (item,) = write_items(assistant(ToolCall("c" * length, "f", "{}")))
    assert (item["call_id"] == "c" * length) is is_kept
    assert len(item["call_id"]) in (length, 45)


def test_a_user_with_64_characters_is_known_by_them() -> None:
    assert write(user="u" * 64)[0]["safety_identifier"] == "u" * 64


def test_probabilities_are_counted_only_where_they_are_told() -> None:
    body, dropped = write("gpt-4.1", top_logprobs=2)
    assert ("top_logprobs" in body, dropped) == (False, ())
    assert "top_logprobs" not in write("gpt-4.1", logprobs=True)[0]


def test_penalties_are_dropped() -> None:
    assert write(presence_penalty=1.0)[1] == ("presence_penalty",)
