from __future__ import annotations

import base64
from typing import Any

import pytest

from edge_service.dialects.canonical import Family, Media, MediaKind, Part, Text, Thinking, ToolCall, ToolResult
from edge_service.domain.errors import InvalidRequestError

from .asked import read, read_content, user

IMAGE, FILE = MediaKind.IMAGE, MediaKind.FILE


def source(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "text", "text": "a"}, (Text("a"),)),
        (
            {"type": "image", "source": source("base64", media_type="image/png", data="aaaa")},
            (Media(IMAGE, "image/png", data="aaaa"),),
        ),
        ({"type": "image", "source": source("url", url="https://x")}, (Media(IMAGE, url="https://x"),)),
        (
            {"type": "image", "source": source("file", file_id="f")},
            (Media(IMAGE, file_id="f", family=Family.ANTHROPIC),),
        ),
        (
            {"type": "document", "title": "t", "source": source("base64", media_type="application/pdf", data="aaaa")},
            (Media(FILE, "application/pdf", data="aaaa", name="t"),),
        ),
        (
            {"type": "document", "source": source("text", media_type="text/plain", data="é")},
            (Media(FILE, "text/plain", data=base64.b64encode("é".encode()).decode()),),
        ),
        ({"type": "document", "source": source("url", url="https://x")}, (Media(FILE, url="https://x"),)),
        (
            {"type": "document", "context": "c", "source": source("file", file_id="f")},
            (Text("c"), Media(FILE, file_id="f", family=Family.ANTHROPIC)),
        ),
        ({"type": "document", "title": "t", "source": source("content", content="a")}, (Text("t"), Text("a"))),
        (
            {
                "type": "document",
                "source": source(
                    "content",
                    content=[
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": source("url", url="https://x")},
                    ],
                ),
            },
            (Text("a"), Media(IMAGE, url="https://x")),
        ),
    ],
)
def test_what_a_user_shows(block: Any, parts: tuple[Part, ...]) -> None:
    assert read_content("user", block) == parts


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "thinking", "thinking": "a", "signature": "s"},
            Thinking("a", signature="s", family=Family.ANTHROPIC),
        ),
        ({"type": "thinking", "thinking": "a", "signature": ""}, Thinking("a")),
        ({"type": "redacted_thinking", "data": "d"}, Thinking(encrypted="d", family=Family.ANTHROPIC)),
        ({"type": "tool_use", "id": "i", "name": "f", "input": {"a": 1.50}}, ToolCall("i", "f", '{"a": 1.5}')),
    ],
)
def test_what_an_assistant_has_said(block: Any, part: Part) -> None:
    assert read_content("assistant", block) == (part,)


def test_a_result_has_the_name_of_its_call() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "i", "content": "x", "is_error": True}
    image = {"type": "image", "source": source("url", url="https://x")}
    other = {"type": "tool_result", "tool_use_id": "j", "content": [{"type": "text", "text": "y"}, image]}
    nothing = {"type": "tool_result", "tool_use_id": "i"}
    assert read(messages=[user("?"), call, user([result, other, nothing])]).messages[2].parts == (
        ToolResult("i", "f", (Text("x"),), is_error=True),
        ToolResult("j", "", (Text("y"), Media(IMAGE, url="https://x"))),
        ToolResult("i", "f", ()),
    )


@pytest.mark.parametrize(
    ("role", "block", "path"),
    [
        ("assistant", {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}}, ""),
        ("user", {"type": "container_upload", "file_id": "f"}, ""),
        ("user", {"type": "of tomorrow", "text": 5}, ""),
        ("user", {"type": "image", "source": {"type": "of tomorrow"}}, ".source"),
        ("user", {"type": "document", "source": {"type": "of tomorrow"}}, ".source"),
        (
            "user",
            {"type": "document", "citations": {"enabled": True}, "source": source("url", url="https://x")},
            ".citations",
        ),
        ("assistant", {"type": "tool_use", "id": "i", "name": "f", "input": {}, "toolset_name": "x"}, ".toolset_name"),
    ],
)
def test_what_has_no_place_elsewhere_binds_the_request(role: str, block: Any, path: str) -> None:
    request = read(messages=[user("?"), {"role": role, "content": [{"type": "text", "text": "a"}, block]}])
    assert request.bound == (f"messages[1].content[1]{path}",)


@pytest.mark.parametrize(
    ("role", "block", "path"),
    [
        ("user", {"type": "text"}, ".text"),
        ("user", {"type": "text", "text": None}, ".text"),
        ("user", {"type": "text", "text": "a", "cache_control": 1}, ".cache_control"),
        ("user", {"type": "image"}, ".source"),
        ("user", {"type": "image", "source": "x"}, ".source"),
        ("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, ".source.data"),
        ("user", {"type": "image", "source": {"type": "url", "url": 1}}, ".source.url"),
        ("user", {"type": "document", "source": {"type": "content", "content": 1}}, ".source.content"),
        (
            "user",
            {"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}},
            ".source.content[0].text",
        ),
        ("user", {"type": "tool_result"}, ".tool_use_id"),
        ("user", {"type": "tool_result", "tool_use_id": "i", "content": [{"type": "text"}]}, ".content[0].text"),
        ("user", {"type": "tool_use", "id": "i", "name": "f", "input": {}}, ""),
        ("user", {"type": "thinking", "thinking": "a", "signature": "s"}, ""),
        ("assistant", {"type": "tool_result", "tool_use_id": "i"}, ""),
        ("assistant", {"type": "image", "source": {"type": "url", "url": "x"}}, ""),
        ("assistant", {"type": "tool_use", "id": "i", "name": "f", "input": "x"}, ".input"),
        ("assistant", {"type": "tool_use", "id": 5, "name": "f", "input": {}}, ".id"),
        ("assistant", {"type": "thinking", "thinking": "a"}, ".signature"),
        ("assistant", {"type": "redacted_thinking"}, ".data"),
    ],
)
def test_a_fault_is_named_by_its_path(role: str, block: Any, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_content(role, block)
    assert caught.value.param == f"messages[0].content[0]{path}"


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("user", {"type": "text", "text": "a"}),
        ("user", {"type": "image", "source": source("url", url="https://x")}),
        ("user", {"type": "document", "source": source("url", url="https://x")}),
        ("user", {"type": "tool_result", "tool_use_id": "i"}),
        ("assistant", {"type": "tool_use", "id": "i", "name": "f", "input": {}}),
    ],
)
def test_what_can_be_left_out_is_named(role: str, block: Any) -> None:
    cached = {**block, "cache_control": {"type": "ephemeral"}}
    assert read(messages=[{"role": role, "content": [cached, cached]}]).unsaid == ("cache_control",)


def test_what_else_can_be_left_out() -> None:
    image = {"type": "image", "source": source("url", url="https://x"), "transformations": {"oversized_image": "error"}}
    text = {"type": "text", "text": "a", "citations": [{"type": "of tomorrow"}]}
    assert read(messages=[user([image, text])]).unsaid == (
        "messages.content.transformations",
        "messages.content.citations",
    )


def test_a_result_of_a_toolset_binds_the_request() -> None:
    result = {"type": "tool_result", "tool_use_id": "i", "toolset_name": "x"}
    assert read(messages=[user([result])]).bound == ("messages[0].content[0].toolset_name",)


def test_documents_do_not_hold_documents() -> None:
    inner: Any = {"type": "document", "source": {"type": "content", "content": "x"}}
    with pytest.raises(InvalidRequestError, match=r"'messages\[0\].content\[0\].source.content\[0\]'"):
        read_content("user", {"type": "document", "source": {"type": "content", "content": [inner]}})


def test_a_document_that_is_not_to_be_cited_is_like_any_other() -> None:
    said = source("base64", media_type="application/pdf", data="aaaa")
    block = {"type": "document", "source": said, "citations": {"enabled": False}}
    request = read(messages=[user([block])])
    assert (request.bound, request.messages[0].parts) == ((), (Media(FILE, "application/pdf", data="aaaa"),))


FOUND = {"type": "search_result", "source": "https://x", "title": "t", "content": [{"type": "text", "text": "a"}]}


def test_what_a_client_has_found_is_text() -> None:
    texts = (Text("t\nhttps://x"), Text("a"))
    assert read_content("user", FOUND, {"type": "text", "text": "b"}) == (*texts, Text("b"))
    result = {"type": "tool_result", "tool_use_id": "c", "content": [FOUND]}
    assert read_content("user", result) == (ToolResult("c", "", texts),)
    request = read(
        messages=[user([{**FOUND, "citations": {"enabled": False}, "cache_control": {"type": "ephemeral"}}])]
    )
    assert (request.bound, request.unsaid) == ((), ("cache_control",))
    request = read(messages=[user([{**FOUND, "citations": {"enabled": True}}])])
    assert request.bound == ("messages[0].content[0].citations",)


def test_only_texts_are_found() -> None:
    image = {"type": "image", "source": source("url", url="https://x")}
    with pytest.raises(InvalidRequestError) as caught:
        read_content("user", {**FOUND, "content": [image]})
    assert caught.value.param == "messages[0].content[0].content[0]"


def test_what_anthropic_has_looked_up_is_left_out() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    said = {"role": "assistant", "content": [use, result, {"type": "text", "text": "Found."}]}
    request = read(messages=[user("?"), said])
    assert request.messages[1].parts == (Text("Found."),)
    assert (request.bound, request.unsaid) == ((), ("messages.content.server_tool_use",))


def test_tools_that_the_client_has_found_are_named() -> None:
    found = [{"type": "tool_reference", "tool_name": "f"}]
    result = {"type": "tool_result", "tool_use_id": "i", "content": found}
    (part,) = read(messages=[{"role": "user", "content": [result]}]).messages[0].parts
    assert isinstance(part, ToolResult)
    assert part.content == (Text("f"),)
