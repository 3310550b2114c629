from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.asked import message
from edge_service.domain.needs import Capability, Needs

IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}
FORMAT = {"type": "json_schema", "schema": {"type": "object"}}


def needs(content: Any = "Hi", **fields: Any) -> Needs:
    messages = [{"role": "user", "content": content}]
    return message(json.dumps({"model": "m", "max_tokens": 9, "messages": messages, **fields}).encode(), []).needs


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, []),
        ({"tools": [{"name": "f", "input_schema": {}}]}, [Capability.TOOLS]),
        ({"tools": []}, []),
        ({"output_config": {"format": FORMAT}}, [Capability.JSON_SCHEMA]),
        ({"output_config": {"effort": "high"}}, [Capability.REASONING]),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, [Capability.REASONING]),
        ({"thinking": {"type": "adaptive"}}, [Capability.REASONING]),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, []),
        ({"thinking": {"type": "between_tools"}}, []),
        ({"thinking": 7, "tools": 7, "output_config": 7}, []),
    ],
    ids=str,
)
def test_what_fields_need(fields: dict[str, Any], needed: list[Capability]) -> None:
    assert list(needs(**fields).capabilities) == needed


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c", "content": content}


def document(content: Any, kind: str = "content") -> dict[str, Any]:
    return {"type": "document", "source": {"type": kind, "content": content}}


def nested(depth: int) -> Any:
    return result([nested(depth - 1)]) if depth else IMAGE


@pytest.mark.parametrize(
    ("content", "is_seen"),
    [
        ([IMAGE], True),
        ([{"type": "image", "source": {"type": "file", "file_id": "f"}}], True),
        ([result([IMAGE])], True),
        ([document([IMAGE])], True),
        ([result([document([{"type": "text", "text": "a"}, IMAGE])])], True),
        ([{"type": "web_search_tool_result", "content": {"type": "error"}}, {"source": "a"}, IMAGE], True),
        ([{"type": "tool_use", "id": "c", "name": "f", "input": {"content": [IMAGE], "type": "image"}}], False),
        ([result(json.dumps([IMAGE]))], False),
        ([{"type": "text", "text": "image"}], False),
        ("image", False),
        ([nested(100)], False),
        ([{"type": "image"}, 7], False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_images_are_seen_where_they_stand_and_nowhere_else(content: Any, is_seen: bool) -> None:
    assert list(needs(content).capabilities) == ([Capability.VISION] if is_seen else [])


@pytest.mark.parametrize(("said", "most"), [(17, 17), (None, 0), ("17", 0)])
def test_the_most_output(said: object, most: int) -> None:
    assert needs(max_tokens=said).max_output_tokens == most


def test_the_input_is_measured_unless_somebody_else_makes_it_fit() -> None:
    long = "word " * 30_000
    assert 10_000 < needs(long).estimated_input_tokens < 30_000
    assert needs(system=long).estimated_input_tokens > 10_000
    assert needs(long, context_management={"edits": []}).estimated_input_tokens == 0
