"""Whatever a request holds, reading what it needs refuses nothing, and what somebody writes about needs is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.domain.needs import Capability
from tests.support.needed import READERS

WORDS = [
    *("image", "image_url", "input_image", "inlineData", "inline_data", "input_audio", "fileData", "tool_result"),
    *("json_schema", "high", "none", "enabled", "content", "type", "parts", "source", "document", "data", "auto"),
    *(
        "mimeType",
        "image/png",
        "contents",
        "output",
        "text",
        "format",
        "effort",
        "functionResponse",
        "computer_screenshot",
    ),
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = {
    "anthropic": ("system", "tools", "thinking", "output_config", "max_tokens", "context_management"),
    "gemini": ("systemInstruction", "tools"),
    "openai_chat": (
        *("tools", "functions", "response_format", "reasoning", "reasoning_effort", "modalities", "transforms"),
        *("max_tokens", "max_completion_tokens"),
    ),
    "openai_responses": ("tools", "text", "reasoning", "max_output_tokens", "truncation", "instructions"),
}
CONFIG = ("responseSchema", "responseMimeType", "responseModalities", "thinkingConfig", "maxOutputTokens")
CONVERSATION = {"gemini": "contents", "openai_responses": "input"}


def conversation(dialect: str, content: Any) -> Any:
    name = "parts" if dialect == "gemini" else "content"
    return [{"role": "user", name: [{"text": "Hi"}] if dialect == "gemini" else "Hi"}, {"role": "user", name: content}]


@pytest.mark.parametrize("dialect", READERS)
@given(st.data())
def test_reading_what_a_request_needs_refuses_nothing(dialect: str, data: st.DataObject) -> None:
    said = data.draw(st.dictionaries(st.sampled_from(FIELDS[dialect]), values, max_size=4))
    said[CONVERSATION.get(dialect, "messages")] = conversation(dialect, data.draw(values))
    if dialect == "gemini":
        config = data.draw(st.dictionaries(st.sampled_from(CONFIG), values, max_size=4))
        said["generation_config"] = config  # Which the reader itself wants to be an object.
    needs = READERS[dialect](json.dumps({"model": "m", **said}).encode()).needs
    assert needs.estimated_input_tokens >= 0
    assert needs.max_output_tokens >= 0


texts = st.text() | st.lists(st.sampled_from([*WORDS, '"', "\\", ":", "{", "}", "[", "]", ","])).map("".join)


@pytest.mark.parametrize("dialect", READERS)
@given(text=texts, escaped=st.booleans())
def test_what_a_user_writes_is_no_need(dialect: str, text: str, escaped: bool) -> None:
    kind = {"openai_responses": "input_text"}.get(dialect, "text")
    for content in ([{"text": text}],) if dialect == "gemini" else (text, [{"type": kind, "text": text}]):
        said = {CONVERSATION.get(dialect, "messages"): conversation(dialect, content)}
        body = json.dumps({"model": "m", **said}, ensure_ascii=escaped)
        assert READERS[dialect](body.encode(errors="replace")).needs.capabilities == ()


IMAGES = {
    "anthropic": {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo"}},
    "openai_chat": {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
    "openai_responses": {"type": "input_image", "image_url": "https://x.example/a.png"},
}


@pytest.mark.parametrize("dialect", READERS)
@given(before=st.lists(texts, max_size=3), after=st.lists(texts, max_size=3))
def test_an_image_is_seen_among_whatever_texts(dialect: str, before: list[str], after: list[str]) -> None:
    kind = {"openai_responses": "input_text"}.get(dialect, "text")
    parts = [[{"type": kind, "text": text} for text in each] for each in (before, after)]
    if dialect == "gemini":
        parts = [[{"text": text} for text in each] for each in (before, after)]
    said = conversation(dialect, [*parts[0], IMAGES[dialect], *parts[1]])
    body = json.dumps({"model": "m", CONVERSATION.get(dialect, "messages"): said}).encode()
    assert READERS[dialect](body).needs.capabilities == (Capability.VISION,)
