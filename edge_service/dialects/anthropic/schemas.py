"""JSON schemas that the provider makes a grammar of: that of an answer's form, and those of strict tools.

Its grammars know closed objects alone, and limits neither of numbers nor of lengths: a schema with more is refused. As
Anthropic's own SDKs do it, objects are closed here, and limits told to the model in the description.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw

from edge_service.dialects.exchange import InexpressibleError

MAX_STRICT_TOOLS = 20
MAX_OPTIONAL = 24
MAX_UNIONS = 16

_MAX_DEPTH = 64

_anything = msgspec.json.Decoder()

_AS_IT_IS = frozenset({"type", "enum", "const", "default", "description", "title", "pattern", "required"})
_LISTS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_MAPS = frozenset({"properties", "$defs", "definitions"})
_UNTOLD = frozenset({"$schema", "$id", "$comment", "additionalProperties"})
_SOME: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "format": ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
        "minItems": (0, 1),
    }
)
"""Of these some values are taken."""


class Grammar:
    """A schema as it is taken, and what it costs."""

    __slots__ = ("loses", "optional", "schema", "unions")

    def __init__(self, schema: Raw) -> None:
        """Raises `InexpressibleError` for an object of which the fields are not known: closed, it would be empty."""
        self.loses = False
        """Whether it has limits that are told and not kept."""
        self.optional = 0
        """How many fields may be missing."""
        self.unions = 0
        """How many values may be of one type or another."""
        try:
            self.schema: Any = self._taken(_anything.decode(schema), _MAX_DEPTH)
        except (ValueError, RecursionError):
            raise InexpressibleError(["output"]) from None

    def _taken(self, schema: Any, depth: int) -> Any:
        if not depth:
            raise InexpressibleError(["output"])
        if not isinstance(schema, dict):
            return schema
        taken: dict[str, Any] = {}
        told: dict[str, Any] = {}
        for name, value in schema.items():
            if name in _MAPS and isinstance(value, dict):
                taken[name] = {key: self._taken(inner, depth - 1) for key, inner in value.items()}
            elif "$ref" in schema:
                continue  # Nothing else may stand beside one.
            elif name in _LISTS and isinstance(value, list):
                taken[_LISTS[name]] = [self._taken(inner, depth - 1) for inner in value]
            elif name == "items":
                taken[name] = self._taken(value, depth - 1)
            elif name in _AS_IT_IS or value in _SOME.get(name, ()):
                taken[name] = value
            elif name not in _UNTOLD:
                told[name] = value
        if "$ref" in schema:
            return {**taken, "$ref": schema["$ref"]}
        self._close(schema, taken)
        self.unions += "anyOf" in taken or isinstance(taken.get("type"), list)
        if told:
            self.loses = self.loses or told.keys() != {"examples"}
            words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in told.items())
            taken["description"] = f"{taken.get('description') or ''}\n\n{{{words}}}".lstrip()
        return taken

    def _close(self, schema: Mapping[str, Any], taken: dict[str, Any]) -> None:
        kind = taken.get("type")
        if kind != "object" and not (isinstance(kind, list) and "object" in kind) and "properties" not in taken:
            return
        others = schema.get("additionalProperties", {})
        if others not in (False, True, {}) or (others is not False and not taken.get("properties")):
            raise InexpressibleError(["output"])
        taken["additionalProperties"] = False
        required = taken.get("required")
        names = required if isinstance(required, list) else ()
        self.optional += sum(name not in names for name in taken.get("properties") or ())


def are_too_much(grammars: Collection[Grammar]) -> bool:
    """Whether a request may not have all of them."""
    return (
        len(grammars) > MAX_STRICT_TOOLS
        or sum(each.optional for each in grammars) > MAX_OPTIONAL
        or sum(each.unions for each in grammars) > MAX_UNIONS
    )
