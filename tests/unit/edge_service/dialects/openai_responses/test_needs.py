from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.asked_responses import response
from edge_service.domain.needs import Capability, Needs

IMAGE = {"type": "input_image", "image_url": "https://x.example/a.png"}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}
SCHEMA = {"format": {"type": "json_schema", "name": "s", "schema": {}}}


def needs(said: Any = "Hi", **fields: Any) -> Needs:
    return response(json.dumps({"model": "m", "input": said, **fields}).encode(), []).needs


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, []),
        ({"tools": [{"type": "function", "name": "f"}]}, [Capability.TOOLS]),
        ({"tools": []}, []),
        ({"text": SCHEMA}, [Capability.JSON_SCHEMA]),
        ({"text": {"format": {"type": "json_object"}}}, []),
        ({"text": {"verbosity": "low"}}, []),
        ({"reasoning": {"effort": "high"}}, [Capability.REASONING]),
        ({"reasoning": {"effort": "none"}}, []),
        ({"reasoning": {"effort": "minimal"}}, []),
        ({"reasoning": {"summary": "auto"}}, []),
        ({"reasoning": 7, "tools": 7, "text": 7}, []),
    ],
    ids=str,
)
def test_what_fields_need(fields: dict[str, Any], needed: list[Capability]) -> None:
    assert list(needs(**fields).capabilities) == needed


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        ([{"role": "user", "content": [IMAGE]}], [Capability.VISION]),
        ([{"role": "user", "content": [SOUND]}], [Capability.AUDIO]),
        ([{"type": "function_call_output", "call_id": "c", "output": [IMAGE]}], [Capability.VISION]),
        ([{"type": "custom_tool_call_output", "call_id": "c", "output": [IMAGE]}], [Capability.VISION]),
        ([{"type": "computer_call_output", "output": {"type": "computer_screenshot"}}], [Capability.VISION]),
        ([{"type": "image_generation_call", "result": "iVBORw0KGgo"}], [Capability.VISION]),
        ([{"role": "user", "content": json.dumps(IMAGE)}], []),
        ([{"role": "user", "content": [{"type": "input_text", "text": "input_image"}]}], []),
        ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": json.dumps([IMAGE])}], []),
        ([{"role": "user", "content": 7}, {"role": "user", "content": [IMAGE]}], []),
        ("input_image", []),
    ],
    ids=str,
)
def test_media_are_seen_where_they_stand_and_nowhere_else(said: Any, needed: list[Capability]) -> None:
    assert list(needs(said).capabilities) == needed


@pytest.mark.parametrize(("said", "most"), [(17, 17), (None, 0), ("17", 0)])
def test_the_most_output(said: object, most: int) -> None:
    assert needs(max_output_tokens=said).max_output_tokens == most


def test_the_input_is_measured_unless_somebody_else_makes_it_fit() -> None:
    long = "word " * 30_000
    assert 10_000 < needs(long).estimated_input_tokens < 30_000
    assert needs("Hi", instructions=long).estimated_input_tokens > 10_000
    assert needs(long, truncation="auto").estimated_input_tokens == 0
    assert needs(long, truncation="disabled").estimated_input_tokens > 10_000
    assert needs(long, context_management=[{"type": "compaction"}]).estimated_input_tokens == 0
