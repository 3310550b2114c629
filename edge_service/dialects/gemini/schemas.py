"""Google's own kind of schema as JSON schema: that of OpenAPI 3.0, with types in capitals.

Source: https://ai.google.dev/api/caching#Schema. The other way is not needed: Gemini takes JSON schema as
`parametersJsonSchema` and `responseJsonSchema`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_service.dialects.gemini.fields import camel, wrong
from edge_service.domain.errors import InvalidRequestError

MAX_DEPTH = 64

_anything = msgspec.json.Decoder()

_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_NUMBERS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "minimum", "maximum"}
)
_RENAMED = {"defs": "$defs", "ref": "$ref"}
_UNTOLD = frozenset({"propertyOrdering"})
"""The properties stand in an order of their own."""


def json_schema(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    """Raises `InvalidRequestError`."""
    try:
        return msgspec.Raw(msgspec.json.encode(_schema(_anything.decode(raw), path, MAX_DEPTH)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(f"'{path}' is nested too deeply", param=path) from error


def _schema(value: Any, path: str, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(path, "an object")
    if not depth:
        raise InvalidRequestError(f"'{path}' is nested too deeply", param=path)
    schema: dict[str, Any] = {}
    nullable = False
    for key, inner in value.items():
        name = camel(key)
        where = f"{path}.{name}"
        if inner is None or name in _UNTOLD:
            continue
        if name == "type":
            schema |= _type(inner, where)
        elif name == "nullable":
            nullable = inner is True
        elif name == "items":
            schema[name] = _schema(inner, where, depth - 1)
        elif name == "additionalProperties":
            schema[name] = inner if isinstance(inner, bool) else _schema(inner, where, depth - 1)
        elif name == "anyOf":
            if not isinstance(inner, list):
                raise wrong(where, "an array")
            schema[name] = [_schema(one, f"{where}[{i}]", depth - 1) for i, one in enumerate(inner)]
        elif name in ("properties", "defs", "$defs"):
            if not isinstance(inner, dict):
                raise wrong(where, "an object")
            schema[_RENAMED.get(name, name)] = {k: _schema(v, f"{where}.{k}", depth - 1) for k, v in inner.items()}
        elif name in _NUMBERS:
            schema[name] = _number(inner, where)
        elif name == "format":
            if inner != "enum":  # Says that there is an `enum`, which is said.
                schema[name] = inner
        elif name == "example":
            schema["examples"] = [inner]
        else:
            schema[_RENAMED.get(name) or key] = inner
    return _nullable(schema) if nullable else schema


def _type(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, list):  # As JSON schema has it; some clients mix the two.
        return {"type": [kind for one in value for kind in _type(one, path).values()]}
    word = value.lower() if isinstance(value, str) else ""
    if word == "type_unspecified":
        return {}
    if word not in _TYPES:
        raise wrong(path, f"one of {', '.join(kind.upper() for kind in _TYPES)}")
    return {"type": word}


def _number(value: Any, path: str) -> Any:
    """Integers of 64 bits are strings in the JSON of protocol buffers."""
    if isinstance(value, str):
        try:
            return int(value[:20])
        except ValueError:
            raise wrong(path, "a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(path, "a number")
    return value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema and isinstance(schema["enum"], list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    kind = schema.get("type")
    if isinstance(kind, str):
        return schema | {"type": [kind, "null"]}
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema
