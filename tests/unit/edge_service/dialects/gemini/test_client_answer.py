from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Finish,
    Media,
    MediaKind,
    Refusal,
    Request,
    Text,
    ToolCall,
    Usage,
)
from edge_service.dialects.gemini import CLIENT
from tests.support import gemini_types


def candidate(*parts: Any, finish: Finish = Finish.STOP) -> dict[str, Any]:
    body = CLIENT.write(Answer("", 0, (Choice(parts, finish),), Usage()), Request("chat", False, ()))
    gemini_types.answer(body)
    said = json.loads(body)
    assert "responseId" not in said
    found: dict[str, Any] = said["candidates"][0]
    return found


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Media(MediaKind.FILE, data="QQ=="), {"inlineData": {"mimeType": "application/octet-stream", "data": "QQ=="}}),
        (Media(MediaKind.IMAGE, url="https://a.b/c"), {"fileData": {"fileUri": "https://a.b/c"}}),
        (
            Media(MediaKind.FILE, "text/csv", file_id="files/a", family=Family.GEMINI),
            {"fileData": {"fileUri": "files/a", "mimeType": "text/csv"}},
        ),
        (
            ToolCall("", "f", " \n"),
            {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip/thought/signature/validator"},
        ),
        (
            ToolCall("i", "f", "{}", "QQ=="),
            {"functionCall": {"name": "f", "args": {}, "id": "i"}, "thoughtSignature": "QQ=="},
        ),
    ],
)
def test_parts(part: Any, written: dict[str, Any]) -> None:
    assert candidate(part)["content"] == {"parts": [written], "role": "model"}


def test_the_first_call_of_another_family_has_what_stands_in_for_a_signature() -> None:
    """Else its conversation could not go on at Gemini, which refuses a turn whose first call has none."""
    parts = candidate(Text("a"), ToolCall("i", "f", "{}"), ToolCall("j", "g", "{}"))["content"]["parts"]
    assert ["thoughtSignature" in part for part in parts] == [False, True, False]
    own = candidate(ToolCall("i", "f", "{}", "QQ=="), ToolCall("j", "g", "{}"))["content"]["parts"]
    assert [part.get("thoughtSignature") for part in own] == ["QQ==", None]


def test_what_has_no_place_or_says_nothing_is_left_out() -> None:
    foreign = Media(MediaKind.FILE, file_id="file-1", family=Family.OPENAI)
    assert candidate(foreign, Text(""), Text("a"))["content"]["parts"] == [{"text": "a"}]


def test_why_it_ends() -> None:
    assert candidate(Text("a"))["finishReason"] == "STOP"
    assert candidate(Refusal("no"))["finishReason"] == "SAFETY"
    assert candidate(ToolCall("i", "f", "{}"), finish=Finish.TOOL_CALLS)["finishReason"] == "STOP"
    broken = candidate(Text("a"), ToolCall("i", "f", '{"a":'), finish=Finish.TOOL_CALLS)
    assert (broken["finishReason"], broken["content"]["parts"]) == ("MALFORMED_FUNCTION_CALL", [{"text": "a"}])
