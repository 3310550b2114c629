from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from edge_service.dialects.anthropic.schemas import Grammar
from edge_service.dialects.exchange import InexpressibleError

TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}


def grammar(schema: Any) -> Grammar:
    return Grammar(Raw(json.dumps(schema).encode()))


@pytest.mark.parametrize("others", [{}, {"additionalProperties": True}, {"additionalProperties": {}}])
def test_objects_are_closed_wherever_they_stand(others: dict[str, Any]) -> None:
    opened = {"type": "object", "properties": {"a": TEXT}, **others}
    found = grammar(
        {
            "$defs": {"d": opened},
            "definitions": {"e": opened},
            "type": ["object", "null"],
            "properties": {
                "items": {"type": "array", "items": opened, "minItems": 1},
                "any": {"anyOf": [opened, {"$ref": "#/$defs/d"}]},
                "all": {"allOf": [opened]},
                "bare": {"properties": {"a": TEXT}},
            },
            "required": ["items", "bare"],
        }
    )
    assert found.schema == {
        "$defs": {"d": CLOSED},
        "definitions": {"e": CLOSED},
        "type": ["object", "null"],
        "properties": {
            "items": {"type": "array", "items": CLOSED, "minItems": 1},
            "any": {"anyOf": [CLOSED, {"$ref": "#/$defs/d"}]},
            "all": {"allOf": [CLOSED]},
            "bare": {"properties": {"a": TEXT}, "additionalProperties": False},
        },
        "required": ["items", "bare"],
        "additionalProperties": False,
    }
    assert (found.loses, found.optional, found.unions) == (False, 8, 2)


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"type": "string", "maxLength": 3}, {"type": "string", "description": "{maxLength: 3}"}),
        (
            {"type": "number", "description": "d", "minimum": 0, "multipleOf": 0.5},
            {"type": "number", "description": "d\n\n{minimum: 0, multipleOf: 0.5}"},
        ),
        ({"type": "array", "minItems": 2}, {"type": "array", "description": "{minItems: 2}"}),
        ({"type": "string", "format": "phone"}, {"type": "string", "description": '{format: "phone"}'}),
        ({"type": "string", "format": ["date"]}, {"type": "string", "description": '{format: ["date"]}'}),
        ({"anyOf": {}}, {"description": "{anyOf: {}}"}),
    ],
)
def test_limits_are_told(schema: dict[str, Any], taken: dict[str, Any]) -> None:
    found = grammar(schema)
    assert (found.schema, found.loses) == (taken, True)


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "array", "items": True}, {"type": "array", "items": True}),
        ({"enum": ["a", None], "default": "a", "title": "t"}, {"enum": ["a", None], "default": "a", "title": "t"}),
        ({"const": 1, "pattern": "a+"}, {"const": 1, "pattern": "a+"}),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}),
        ({"type": "string", "examples": ["a"]}, {"type": "string", "description": '{examples: ["a"]}'}),
        ({"$schema": "s", "$id": "i", "$comment": "c", **TEXT}, TEXT),
        ({"$ref": "#/$defs/d", "description": "d", "minimum": 1}, {"$ref": "#/$defs/d"}),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "additionalProperties": False}),
    ],
)
def test_nothing_is_lost_with_what_is_taken_or_says_nothing(schema: dict[str, Any], taken: dict[str, Any]) -> None:
    found = grammar(schema)
    assert (found.schema, found.loses) == (taken, False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": ["null", "object"], "properties": {}},
        {"type": "object", "properties": {"a": TEXT}, "additionalProperties": TEXT},
        {"type": "array", "items": {"type": "object", "additionalProperties": True}},
    ],
)
def test_an_object_of_unknown_fields_cannot_be_said(schema: dict[str, Any]) -> None:
    with pytest.raises(InexpressibleError) as caught:
        grammar(schema)
    assert caught.value.names == ("output",)


@pytest.mark.parametrize("depth", [64, 2_000, 100_000])
def test_a_schema_that_is_nested_too_deeply_cannot_be_said(depth: int) -> None:
    with pytest.raises(InexpressibleError):
        Grammar(Raw(b'{"items":' * depth + b"true" + b"}" * depth))
    assert Grammar(Raw(b'{"items":' * 63 + b"true" + b"}" * 63)).loses is False
