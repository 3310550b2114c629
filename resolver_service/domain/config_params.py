"""Reads what members change in the fields of requests, and settles which of several blocks wins."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import TypeAlias

from resolver_service.domain.catalog import NO_PARAMS, Params
from resolver_service.domain.config_reader import Path, Problems, Section, kind_of

LARGEST_BYTES = 4096
"""Of a block as JSON: it travels with every attempt."""
DEEPEST = 20
LARGEST_INTEGER = 2**63

OWN_FIELDS = frozenset({"model", "messages", "stream", "input", "contents", "prompt"})
"""Of a request: what it says, and what the gateway itself decides on."""
PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

_NOT_UNICODE = re.compile("[\ud800-\udfff]")


class How(StrEnum):
    """The words are keys of the block."""

    SET = "set"
    DEFAULT = "default"
    DROP = "drop"


Overrides: TypeAlias = Mapping[str, tuple[How, str]]
"""By field; with the value as JSON, empty where the field is dropped."""

NOTHING_OVERRIDDEN: Overrides = MappingProxyType({})


def settled(overrides: Overrides) -> Params:
    """The overrides as a plan carries them. Two blocks are joined as `{**lower, **closer}`: field by field the closer
    one wins, whatever it does."""
    if not overrides:
        return NO_PARAMS

    def members(how: How) -> bytes:
        texts = [f"{json.dumps(name)}:{text}" for name, (this, text) in overrides.items() if this is how]
        return f"{{{','.join(texts)}}}".encode() if texts else b""

    dropped = tuple(name for name, (how, _) in overrides.items() if how is How.DROP)
    return Params(members(How.SET), members(How.DEFAULT), dropped)


def read_params(parent: Section) -> Overrides:
    """The block under a member's `params`."""
    if parent.get("params") is None:
        return NOTHING_OVERRIDDEN
    section = parent.section("params", tuple(how.value for how in How))
    found: dict[str, tuple[How, str]] = {}
    for how in (How.SET, How.DEFAULT):
        for name, value in _fields(section, how).items():
            path = (*section.at(how), name)
            problem = _wrong_with_value(value)
            if problem:
                section.problems.add(path, problem)
            elif _is_new(section.problems, path, name, found):
                found[name] = how, json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for path, name in param_names(section, How.DROP):
        if _is_new(section.problems, path, name, found):
            found[name] = How.DROP, ""
    size = sum(len(name.encode()) + len(text.encode()) for name, (_, text) in found.items())
    if size > LARGEST_BYTES:
        parent.problem("params", f"{LARGEST_BYTES} bytes are the most, as JSON; got {size}")
    return found


def param_names(section: Section, key: str) -> list[tuple[Path, str]]:
    """Those of a list, without what is none."""
    names = []
    for path, value in section.items(key) or ():
        if not isinstance(value, str):
            section.problems.add(path, f"expected a field's name, got {kind_of(value)}")
        elif is_param_name(section.problems, path, value):
            names.append((path, value))
    return names


def _fields(section: Section, key: str) -> dict[str, object]:
    value = section.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        section.problem(key, f"expected a mapping, got {kind_of(value)}")
        return {}
    section.problems.count(section.at(key), len(value))
    return {name: v for name, v in value.items() if is_param_name(section.problems, (*section.at(key), name), name)}


def is_param_name(problems: Problems, path: Path, name: object) -> bool:
    """Whether it is the name of a field that may be touched; there is a problem if not. The messages do not show what
    is no name: it may be a value that has come to the wrong place."""
    if not isinstance(name, str) or not PARAM_NAME.fullmatch(name):
        problems.add(path, "expected the name of a request's field, such as temperature")
        return False
    if name in OWN_FIELDS:
        problems.add(path, f"'{name}' cannot be touched: it is the request itself, or the gateway's own business")
        return False
    return True


def _is_new(problems: Problems, path: Path, name: str, found: Overrides) -> bool:
    if name not in found:
        return True
    problems.add(path, f"'{name}' stands in '{found[name][0]}' already")
    return False


def _wrong_with_value(value: object) -> str:
    """Empty if it can be written as JSON within the bounds. Aliases let a short text stand for an endless tree, so it
    is looked at before it is written."""
    left = LARGEST_BYTES
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        node, depth = waiting.pop()
        left -= 1 + (len(node) if isinstance(node, str) else 0)
        if left < 0 or depth > DEEPEST:
            return f"too large: {LARGEST_BYTES} bytes as JSON and {DEEPEST} levels are the most"
        match node:
            case None | bool():
                pass
            case int() if abs(node) >= LARGEST_INTEGER:
                return "an integer that does not fit into 64 bits"
            case float() if not math.isfinite(node):
                return "a number that JSON does not have"
            case int() | float():
                pass
            case str():
                if _NOT_UNICODE.search(node):
                    return "must be valid Unicode"
            case list():
                waiting += ((item, depth + 1) for item in islice(node, left + 1))
            case dict():
                if not all(isinstance(key, str) for key in node):
                    return "expected strings as keys: it is written as JSON"
                waiting += ((part, depth + 1) for pair in islice(node.items(), left + 1) for part in pair)
            case _:
                return f"expected a value that JSON has, got {kind_of(node)}"
    return ""
