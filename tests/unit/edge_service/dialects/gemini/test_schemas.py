from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edge_service.dialects.gemini.schemas import json_schema
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
        ({"type": "OBJECT", "additionalProperties": True}, {"type": "object", "additionalProperties": True}),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "BOOLEAN"}}},
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}},
        ),
        (
            {"propertyOrdering": [], "type": "OBJECT", "pattern": "p", "required": ["a"], "description": "d"},
            {"type": "object", "pattern": "p", "required": ["a"], "description": "d"},
        ),
        ({"enum": ["a", None], "nullable": True}, {"enum": ["a", None]}),
        ({"enum": "a", "nullable": True}, {"enum": "a"}),
        ({"title": "t", "nullable": True}, {"title": "t"}),
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


@pytest.mark.parametrize(
    "name",
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "minimum", "maximum"],
)
def test_integers_of_64_bits_are_strings(name: str) -> None:
    assert converted({name: "9223372036854775807"}) == {name: 2**63 - 1}
    assert converted({name: "-9223372036854775808"}) == {name: -(2**63)}
    for wrong in ("many", [], True, {}):
        with pytest.raises(InvalidRequestError) as raised:
            converted({name: wrong})
        assert raised.value.param == f"parameters.{name}"


def test_names_of_properties_stay_and_stand_in_their_order() -> None:
    schema = {"type": "OBJECT", "properties": {"b_c": {"type": "STRING"}, "type": {"type": "STRING"}}}
    assert list(converted({**schema, "propertyOrdering": ["type", "b_c"]})["properties"]) == ["b_c", "type"]


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ([], "parameters"),
        ({"type": "TEXT"}, "parameters.type"),
        ({"additionalProperties": 1}, "parameters.additionalProperties"),
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
    within: Callable[[Any], Any]
    for within in (
        lambda inner: {"items": inner},
        lambda inner: {"anyOf": [inner]},
        lambda inner: {"properties": {"a": inner}},
        lambda inner: {"additionalProperties": inner},
    ):
        schema: Any = {"type": "STRING"}
        for _ in range(63):
            schema = within(schema)
        assert converted(schema)
        with pytest.raises(InvalidRequestError, match="nested too deeply"):
            converted(within(schema))


def test_what_no_parser_reads_is_nested_too_deeply() -> None:
    with pytest.raises(InvalidRequestError, match="'parameters' is nested too deeply"):
        json_schema(msgspec.Raw(b'{"items":' * 100_000), "parameters")


def test_what_is_no_type_is_told_those_that_are() -> None:
    with pytest.raises(InvalidRequestError, match="one of STRING, NUMBER, INTEGER, BOOLEAN, ARRAY, OBJECT, NULL"):
        converted({"type": "TEXT"})
