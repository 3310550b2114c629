"""Whether OpenAI's strict mode takes a schema. One that it does not take is refused, and not followed less strictly.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

_MAX_DEPTH = 64

_anything = msgspec.json.Decoder()

_MAPS = ("properties", "$defs", "definitions")
_UNKNOWN = ("allOf", "oneOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else")


def takes(schema: Raw) -> bool:
    """Every object in it has to be closed, and no field of it may be missing."""
    try:
        return _takes(_anything.decode(schema), _MAX_DEPTH)
    except (ValueError, RecursionError):
        return False


def _takes(schema: Any, depth: int) -> bool:
    if not isinstance(schema, dict):
        return True
    if not depth or any(name in schema for name in _UNKNOWN):
        return False
    kind, properties = schema.get("type"), schema.get("properties", {})
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema:
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if not isinstance(properties, dict) or any(name not in required for name in properties):
            return False
    return all(_takes(each, depth - 1) for each in _within(schema))


def _within(schema: dict[str, Any]) -> Iterable[Any]:
    yield schema.get("items")
    for name in _MAPS:
        inner = schema.get(name)
        yield from inner.values() if isinstance(inner, dict) else ()
    variants = schema.get("anyOf")
    yield from variants if isinstance(variants, list) else ()
