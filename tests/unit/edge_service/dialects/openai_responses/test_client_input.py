from __future__ import annotations

from typing import Any

import pytest

from edge_service.dialects.canonical import (
    Family,
    Media,
    MediaKind,
    Message,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

from .asked import read, read_items, read_parts

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "7"}


def test_what_the_assistant_does_in_a_row_is_one_message() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    content = [{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "no"}]
    assert read_items(
        {"role": "user", "content": "?"}, thought, {**said, "content": content}, CALL, OUTPUT, OUTPUT
    ) == (
        Message(Role.USER, (Text("?"),)),
        Message(Role.ASSISTANT, (Thinking("t", id="rs_1"), Text("a"), Refusal("no"), ToolCall("c", "f", "{}"))),
        Message(Role.USER, (ToolResult("c", "f", (Text("7"),)),) * 2),
    )


def test_what_is_said_after_something_said_is_another_message() -> None:
    a, b = ({"role": "assistant", "content": text} for text in "ab")
    assert read_items(a, b, CALL, b) == (
        Message(Role.ASSISTANT, (Text("a"),)),
        Message(Role.ASSISTANT, (Text("b"), ToolCall("c", "f", "{}"), Text("b"))),
    )


def test_what_a_user_says_in_two_messages_stays_two() -> None:
    user = {"role": "user", "content": "a"}
    assert len(read_items(user, user)) == 2
    assert len(read_items(CALL, OUTPUT, user)) == 3


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_system_speaks_under_two_names(role: str) -> None:
    assert read_items({"role": role, "content": "a"}) == (Message(Role.SYSTEM, (Text("a"),)),)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"image_url": "https://x/a.png"}, Media(MediaKind.IMAGE, url="https://x/a.png")),
        ({"image_url": "https://x", "detail": "low"}, Media(MediaKind.IMAGE, url="https://x", detail="low")),
        ({"image_url": "data:image/png;base64,QQ=="}, Media(MediaKind.IMAGE, "image/png", data="QQ==")),
        ({"file_id": "file-1", "detail": "auto"}, Media(MediaKind.IMAGE, file_id="file-1", family=Family.OPENAI)),
    ],
)
def test_images(part: dict[str, Any], media: Media) -> None:
    assert read_parts({"type": "input_image", **part}) == (media,)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"},
            Media(MediaKind.FILE, "application/pdf", data="QQ==", name="a.pdf"),
        ),
        ({"file_data": "QQ=="}, Media(MediaKind.FILE, data="QQ==")),
        ({"file_url": "https://x/a.pdf"}, Media(MediaKind.FILE, url="https://x/a.pdf")),
        ({"file_id": "file-1"}, Media(MediaKind.FILE, file_id="file-1", family=Family.OPENAI)),
    ],
)
def test_files(part: dict[str, Any], media: Media) -> None:
    assert read_parts({"type": "input_file", **part}) == (media,)


def test_results_may_hold_images() -> None:
    content = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x"}]
    (message,) = read_items({**OUTPUT, "output": content})
    assert message.parts == (ToolResult("c", "", (Text("a"), Media(MediaKind.IMAGE, url="https://x"))),)


def test_encrypted_thoughts_are_openais() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert read_items(item)[0].parts == (Thinking(encrypted="gAAA", family=Family.OPENAI, id="rs_1"),)


def test_seals_are_opened() -> None:
    sealed = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "forebay~s~anthropic~~Eq"}
    signature = {"type": "reasoning", "id": "rs_y", "summary": [], "encrypted_content": "forebay~c~gemini~c~Ci"}
    assert read_items(sealed, signature, CALL)[0].parts == (
        Thinking(signature="Eq", family=Family.ANTHROPIC),
        ToolCall("c", "f", "{}", signature="Ci"),
    )


def test_a_seal_of_openais_own_is_a_forged_one() -> None:
    forged = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "forebay~e~openai~~x"}
    assert read_items(forged)[0].parts == (Thinking(),)


def test_images_that_the_assistant_made() -> None:
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "QQ=="}
    assert read_items({**item, "output_format": "png"})[0].parts == (Media(MediaKind.IMAGE, "image/png", data="QQ=="),)
    assert read(input=[{**item, "result": None}]).bound == ("input[0]",)


def test_calls_of_tools_that_are_no_functions() -> None:
    custom = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'say "hi"\n'}
    patched = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    grouped = {**CALL, "call_id": "c2", "namespace": "crm"}
    listed = {"type": "function_call_output", "call_id": "c2", "output": "7", "namespace": "crm"}
    searched = {"type": "tool_search_call", "call_id": "c3", "arguments": {"query": "q"}, "execution": "client"}
    found = {"type": "tool_search_output", "call_id": "c3", "tools": [{"type": "function", "name": "g"}]}
    said = read_items(custom, grouped, searched, patched, listed, found)
    assert said == (
        Message(
            Role.ASSISTANT,
            (
                ToolCall("c1", "patch", '{"input":"say \\"hi\\"\\n"}'),
                ToolCall("c2", "crm__f", "{}"),
                ToolCall("c3", "tool_search", '{"query": "q"}'),
            ),
        ),
        Message(
            Role.USER,
            (
                ToolResult("c1", "patch", (Text("done"),)),
                ToolResult("c2", "crm__f", (Text("7"),)),
                ToolResult("c3", "tool_search", (Text("Found: g"),)),
            ),
        ),
    )


def test_tools_that_stand_among_what_is_said_are_offered() -> None:
    """Codex's newest models have all of theirs there; each counts as it was said last."""
    first = {"type": "additional_tools", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]}
    found = {"type": "tool_search_output", "tools": [{"type": "function", "name": "f", "description": "d"}]}
    asks = {"role": "user", "content": "?"}
    request = read(input=[first, {"type": "tool_search_call", "arguments": {}}, found, asks])
    assert [(tool.name, tool.description) for tool in request.tools] == [("c", ""), ("f", "d")]
    assert len(request.messages) == 1
    assert request.bound == ()


def test_what_openai_has_searched_for_is_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    request = read(input=[search, {"role": "user", "content": "?"}])
    assert (request.bound, request.unsaid) == ((), ("input.web_search_call",))


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"id": "msg_1"}, "input[0].id"),
        ({"type": "item_reference", "id": "msg_1"}, "input[0].id"),
        ({"type": "computer_call", "id": "cc_1"}, "input[0]"),
        ({"type": "something_new"}, "input[0]"),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x", "caller": {"type": "program"}},
            "input[0].caller",
        ),
        ({**CALL, "caller": {"type": "program", "caller_id": "p"}}, "input[0].caller"),
        ({"type": "function_call_output", "output": "7"}, "input[0]"),
        (
            {"type": "function_call_output", "call_id": "c", "output": "7", "caller": {"type": "program"}},
            "input[0].caller",
        ),
        ({"role": "assistant", "content": [{"type": "of tomorrow"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input[0].content[0]"),
        ({"role": "system", "content": [{"type": "input_image", "image_url": "https://x"}]}, "input[0].content[0]"),
    ],
)
def test_what_has_no_place_elsewhere_binds(item: dict[str, Any], path: str) -> None:
    assert read(input=[item]).bound == (path,)


def test_what_is_lost_is_named() -> None:
    cached = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}
    file = {"type": "input_file", "file_url": "https://x", "detail": "low"}
    cited = {"type": "output_text", "text": "a", "annotations": [{"type": "file_path"}]}
    request = read(
        input=[
            {"role": "user", "content": [cached, file]},
            {"role": "assistant", "content": [cited], "phase": "final_answer"},
        ]
    )
    assert request.unsaid == (
        "prompt_cache_breakpoint",
        "input.content.detail",
        "input.phase",
        "input.content.annotations",
    )


def test_what_the_client_calls_itself_is_like_any_other_call() -> None:
    request = read(input=[{**CALL, "caller": {"type": "direct"}}])
    assert (request.bound, len(request.messages)) == ((), 1)


def test_results_in_a_row_are_one_message_and_do_not_join_what_is_said() -> None:
    result = {"type": "function_call_output", "call_id": "c", "output": "7"}
    messages = read_items({"role": "user", "content": "a"}, result, result, {"role": "user", "content": "b"})
    assert [len(message.parts) for message in messages] == [1, 2, 1]


def test_an_image_stands_in_a_row_with_what_is_said_about_it() -> None:
    made = {"type": "image_generation_call", "result": "QQ=="}
    (message,) = read_items({"role": "assistant", "content": "a"}, made)
    assert message.parts == (Text("a"), Media(MediaKind.IMAGE, data="QQ=="))


def test_a_thought_may_be_shown_without_a_summary() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}
    assert read_items(thought)[0].parts == (Thinking("a"),)


@pytest.mark.parametrize(
    "part", [{"type": "input_image", "image_url": "https://x"}, {"type": "input_file", "file_url": "https://x"}]
)
def test_where_a_cache_is_to_end_is_named(part: dict[str, Any]) -> None:
    content = [{**part, "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert read(input=[{"role": "user", "content": content}]).unsaid == ("prompt_cache_breakpoint",)
