"""Values as YAML text, in the style of the example configuration."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

WIDTH = 100
"""The most characters of a mapping or list on one line; longer ones take several."""

# What every reader of YAML takes for a string, of whichever version, on a line and in brackets.
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./@+-]|:(?=[A-Za-z0-9_/]))*(?: [A-Za-z0-9_./@+(][A-Za-z0-9_./@+()-]*)*\Z")
_NO_STRINGS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def scalar(value: object, quote: str = "") -> str:
    """`quote` is the one that the value had so far: it is kept where it can be."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if not isinstance(value, str):
        return json.dumps(value)
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if quote != '"' and _PLAIN.match(value) and value.lower() not in _NO_STRINGS:
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(value: object) -> str:
    """On one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def entry(key: object, value: object, indent: int) -> list[str]:
    """A key and its value, on lines of their own."""
    head = " " * indent + scalar(key) + ":"
    if isinstance(value, dict | list) and not _fits(value):
        return [head, *below(value, indent + 2)]
    return [f"{head} {flow(value)}"]


def below(value: Mapping[Any, object] | list[object], indent: int) -> list[str]:
    """What a collection has in it, on lines of their own."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in entry(key, inner, indent)]
    return [line for inner in value for line in item(inner, indent)]


def item(value: object, indent: int) -> list[str]:
    """An item of a list, on lines of its own."""
    if _fits(value) or not isinstance(value, Mapping):
        return [" " * indent + "- " + flow(value)]
    first, *others = below(value, indent + 2)
    return [" " * indent + "- " + first.lstrip(), *others]


def _fits(value: object) -> bool:
    """A list of mappings is easier read, and edited, line by line."""
    if isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        return False
    if isinstance(value, Mapping) and not all(map(_fits, value.values())):
        return False
    return not isinstance(value, Mapping | list) or len(flow(value)) <= WIDTH or not value
