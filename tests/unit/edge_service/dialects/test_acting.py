from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import acting

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "tools": [{"type": "web_search"}]}}


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "acts"),
    [
        ({}, False),
        ({"web_search_options": None}, False),
        ({"web_search_options": {}}, True),
        ({"tools": [{"type": "function", "function": FUNCTION}]}, False),
        ({"messages": [{"role": "user", "content": '{"web_search_options": {}}'}]}, False),
    ],
)
def test_a_chat_completion_that_searches_the_web_does(fields: dict[str, Any], acts: bool) -> None:
    assert acting.in_chat(body(**fields)) is acts


@pytest.mark.parametrize(
    ("fields", "acts"),
    [
        ({}, False),
        ({"background": False, "tools": []}, False),
        ({"background": None, "tools": None}, False),
        ({"background": True}, True),
        ({"tools": [FUNCTION, {"type": "custom", "name": "c"}]}, False),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION]}, {"type": "tool_search"}]}, False),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, True),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, True),
        ({"tools": [{"type": "mcp", "server_url": "https://x.example"}]}, True),
        ({"tools": [{"type": "something_new"}]}, True),
    ],
)
def test_a_response_with_hosted_tools_or_in_the_background_does(fields: dict[str, Any], acts: bool) -> None:
    assert acting.in_response(body(**fields)) is acts


@pytest.mark.parametrize(
    ("fields", "acts"),
    [
        ({}, False),
        ({"mcp_servers": [], "tools": None}, False),
        ({"mcp_servers": [{"type": "url", "url": "https://x.example"}]}, True),
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, False),
        ({"tools": [{"type": None, "name": "f"}]}, False),
        *(({"tools": [{"type": kind}]}, False) for kind in ("custom", "bash_20250124", "text_editor_20250728")),
        *(({"tools": [{"type": kind}]}, False) for kind in ("computer_20250124", "memory_20250818")),
        *(({"tools": [{"type": kind}]}, True) for kind in ("web_search_20250305", "web_fetch_20250910")),
        *(({"tools": [{"type": kind}]}, True) for kind in ("code_execution_20250825", "mcp_toolset", "new_20301231")),
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305"}]}, True),
    ],
)
def test_a_message_with_server_tools_does(fields: dict[str, Any], acts: bool) -> None:
    assert acting.in_messages(body(**fields)) is acts


@pytest.mark.parametrize(
    ("tools", "acts"),
    [
        (None, False),
        ([], False),
        ([{}], False),
        ([{"functionDeclarations": [{"name": "googleSearch"}]}], False),
        ([{"function_declarations": [], "computerUse": {}}], False),
        ([{"googleSearch": None}], False),
        *(([{"functionDeclarations": []}, {name: {}}], True) for name in ("googleSearch", "google_search")),
        *(([{name: {}}], True) for name in ("codeExecution", "urlContext", "fileSearch", "somethingNew")),
    ],
)
def test_a_generation_with_googles_own_tools_does(tools: Any, acts: bool) -> None:
    assert acting.in_contents(body(tools=tools)) is acts


@pytest.mark.parametrize("reads", [acting.in_chat, acting.in_response, acting.in_messages, acting.in_contents])
@pytest.mark.parametrize("odd", [b"", b"[]", b"{", b'{"tools": 1}', b'{"tools": [1]}', b"[" * 100_000, b"\xff"])
def test_what_cannot_be_read_does_not(reads: Any, odd: bytes) -> None:
    assert reads(odd) is False


def test_half_a_surrogate_pair_hides_nothing() -> None:
    assert acting.in_response(rb'{"input": "\ud83d", "background": true}')
    assert acting.in_response(rb'{"tools": [{"name": "\ud83d", "type": "web_search"}]}')
