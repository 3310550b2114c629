from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.asked import chat_completion
from edge_service.domain.needs import Capability, Needs, Operation

TOOL = {"type": "function", "function": {"name": "f"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}


def needs(*contents: Any, **fields: Any) -> Needs:
    messages = [{"role": "user", "content": content} for content in contents]
    asked = chat_completion(json.dumps({"model": "m", "messages": messages, **fields}).encode(), [])
    assert asked.operation is Operation.GENERATE
    return asked.needs


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, []),
        ({"tools": [TOOL]}, [Capability.TOOLS]),
        ({"tools": [TOOL], "tool_choice": "none"}, [Capability.TOOLS]),
        ({"functions": [{"name": "f"}]}, [Capability.TOOLS]),
        ({"tools": []}, []),
        ({"tools": None, "functions": {}}, []),
        ({"response_format": SCHEMA}, [Capability.JSON_SCHEMA]),
        ({"response_format": {"type": "json_object"}}, []),
        ({"response_format": "json_schema"}, []),
        ({"reasoning_effort": "low"}, [Capability.REASONING]),
        ({"reasoning_effort": "of a newer kind"}, [Capability.REASONING]),
        ({"reasoning_effort": "none"}, []),
        ({"reasoning_effort": "minimal"}, []),
        ({"reasoning_effort": None, "reasoning": {"effort": "high"}}, [Capability.REASONING]),
        ({"reasoning": {"max_tokens": 2000}}, [Capability.REASONING]),
        ({"reasoning": {"max_tokens": 0}}, []),
        ({"reasoning": {"enabled": True}}, [Capability.REASONING]),
        ({"reasoning": {"enabled": False}}, []),
        ({"reasoning": {"exclude": True}}, []),
        ({"reasoning": 7, "reasoning_effort": 7, "tools": 7, "modalities": 7, "response_format": 7}, []),
        ({"modalities": ["text", "audio"]}, [Capability.AUDIO]),
        ({"modalities": ["text"]}, []),
    ],
    ids=str,
)
def test_what_fields_need(fields: dict[str, Any], needed: list[Capability]) -> None:
    assert list(needs("Hi", **fields).capabilities) == needed


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        ([IMAGE], [Capability.VISION]),
        ([{"type": "text", "text": "a"}, SOUND], [Capability.AUDIO]),
        ([SOUND, IMAGE, IMAGE], [Capability.AUDIO, Capability.VISION]),
        ([{"type": "text", "text": json.dumps(IMAGE)}], []),
        ([{"type": "text", "text": "image_url"}], []),
        ("image_url", []),
        ('"image_url"', []),
        ([{"type": "text", "text": "a", "image_url": "b"}], []),
        ([{"type": "image_url", "text": "a", "x": [[[]]]}, 7], []),
        ({"type": "image_url"}, []),
    ],
    ids=str,
)
def test_media_are_seen_where_they_stand_and_nowhere_else(content: Any, needed: list[Capability]) -> None:
    assert list(needs("Hi", content, None).capabilities) == needed
    result = {"role": "tool", "tool_call_id": "c", "content": content}
    assert list(needs(messages=[{"role": "user", "content": "Hi"}, result]).capabilities) == needed


def test_what_others_have_called_is_no_part() -> None:
    arguments = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps([IMAGE])}}
    assert needs(messages=[{"role": "assistant", "tool_calls": [arguments]}]).capabilities == ()


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_completion_tokens": None, "max_tokens": 7}, 7),
        ({"max_tokens": "7"}, 0),
        ({}, 0),
    ],
    ids=str,
)
def test_the_most_output(fields: dict[str, Any], most: int) -> None:
    assert needs("Hi", **fields).max_output_tokens == most


def test_the_input_is_measured_unless_somebody_else_makes_it_fit() -> None:
    assert 10_000 < needs("word " * 30_000).estimated_input_tokens < 30_000
    assert needs("word " * 30_000, transforms=["middle-out"]).estimated_input_tokens == 0
