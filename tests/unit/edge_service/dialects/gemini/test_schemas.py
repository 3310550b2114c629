from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_service.dialects.gemini.schemas import MAX_DEPTH, json_schema
from edge_service.domain.errors import InvalidRequestError


def converted(schema: Any) -> Any:
    return msgspec.json.decode(json_schema(msgspec.Raw(msgspec.json.encode(schema)), "parameters"))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "TYPE_UNSPECIFIED", "title": "T"}, {"title": "T"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        (
            {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"anyOf": [{"type": "NUMBER"}], "nullable": True}, {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        ({"any_of": [{"type": "NUMBER"}]}, {"anyOf": [{"type": "number"}]}),
        ({"type": "STRING", "example": 7, "default": None}, {"type": "string", "examples": [7]}),
        (
            {"ref": "#/$defs/a", "defs": {"a": {"type": "NULL"}}},
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}},
        ),
        (
            {"type": "OBJECT", "additional_properties": {"type": "STRING"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": ["string", "NULL"]}, {"type": ["string", "null"]}),
        ({"future_word": 1, "const": 2}, {"future_word": 1, "const": 2}),
    ],
)
def test_googles_schema_as_json_schema(schema: Any, expected: Any) -> None:
    assert converted(schema) == expected


def test_numbers_that_are_strings() -> None:
    assert converted({"type": "ARRAY", "minItems": "2", "items": {"maximum": 1.5}}) == {
        "type": "array",
        "minItems": 2,
        "items": {"maximum": 1.5},
    }


def test_names_of_properties_stay_and_stand_in_their_order() -> None:
    schema = {"type": "OBJECT", "properties": {"b_c": {"type": "STRING"}, "type": {"type": "STRING"}}}
    assert list(converted({**schema, "propertyOrdering": ["type", "b_c"]})["properties"]) == ["b_c", "type"]


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ([], "parameters"),
        ({"type": "TEXT"}, "parameters.type"),
        ({"type": 7}, "parameters.type"),
        ({"properties": {"a": []}}, "parameters.properties.a"),
        ({"properties": []}, "parameters.properties"),
        ({"any_of": {}}, "parameters.anyOf"),
        ({"anyOf": [{}, 1]}, "parameters.anyOf[1]"),
        ({"items": {"minItems": "many"}}, "parameters.items.minItems"),
        ({"items": {"minItems": True}}, "parameters.items.minItems"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(schema: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        converted(schema)
    assert raised.value.param == param


def test_depth_is_bounded() -> None:
    schema: Any = {"type": "STRING"}
    for _ in range(MAX_DEPTH):
        schema = {"items": schema}
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        converted(schema)
    assert converted(schema["items"])
