from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from edge_service.dialects import strictness

TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "additionalProperties": False}
OPTIONAL = {**CLOSED, "required": []}


def takes(schema: Any) -> bool:
    return strictness.takes(Raw(json.dumps(schema).encode()))


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        TEXT,
        {"type": "object", "additionalProperties": False},
        {"type": "array", "items": CLOSED},
        {"anyOf": [CLOSED, TEXT, {"$ref": "#/$defs/d"}], "$defs": {"d": CLOSED}},
        {**CLOSED, "properties": {"a": {**CLOSED, "type": ["object", "null"], "description": "d"}}},
        {"type": "array", "items": True},
    ],
)
def test_objects_that_are_closed_and_complete_are_taken(schema: dict[str, Any]) -> None:
    assert takes(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": ["null", "object"]},
        {"properties": {}},
        {**CLOSED, "additionalProperties": True},
        {**CLOSED, "additionalProperties": TEXT},
        {**CLOSED, "required": "a"},
        {**CLOSED, "properties": ["a"]},
        OPTIONAL,
    ],
)
def test_others_are_not_wherever_they_stand(schema: dict[str, Any]) -> None:
    assert not takes(schema)
    assert not takes({"type": "array", "items": schema})
    assert not takes({"anyOf": [TEXT, schema]})
    assert not takes({**CLOSED, "properties": {"a": schema}})
    assert not takes({**CLOSED, "$defs": {"d": schema}})
    assert not takes({**CLOSED, "definitions": {"d": schema}})


@pytest.mark.parametrize(
    "word", ["allOf", "oneOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else"]
)
def test_words_that_are_not_known_are_not_taken(word: str) -> None:
    assert not takes({**CLOSED, word: []})


@pytest.mark.parametrize("depth", [64, 2_000, 100_000])
def test_what_is_nested_too_deeply_is_not_taken(depth: int) -> None:
    assert not strictness.takes(Raw(b'{"items":' * depth + b"{}" + b"}" * depth))
    assert strictness.takes(Raw(b'{"items":' * 63 + b"{}" + b"}" * 63))
