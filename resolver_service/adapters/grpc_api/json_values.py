"""JSON as the contract's messages carry it: decoded with the bounds of a configuration, and encoded bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from resolver_service.domain.config import ConfigError, Problem

LARGEST_BYTES = 4 * 1024 * 1024
DEEPEST = 50
"""Levels. No valid configuration has half as many, and the reader of the file takes a hundred."""


def decoded(text: bytes) -> object:
    """Raises `ConfigError` whose message quotes nothing: what has come to the wrong place may be a secret."""
    if len(text) > LARGEST_BYTES:
        raise _error(f"larger than {LARGEST_BYTES // 1024**2} MiB")
    try:
        value = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise _error(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise _error("not valid UTF-8") from None
    except RecursionError:
        raise _error(f"nested more than {DEEPEST} levels deep") from None
    except ValueError:  # An integer of thousands of digits.
        raise _error("not a number, or too long a one") from None
    _check(value)
    return value


def encoded(value: object) -> bytes:
    """In steps: one for thousands of pools would hold up everything else, since the library lets nobody in between."""
    return "".join(_pieces(value, 3)).encode()


def _pieces(value: object, levels: int) -> Iterable[str]:
    if levels and isinstance(value, dict) and value:
        before = "{"
        for key, inner in value.items():
            yield f"{before}{json.dumps(str(key))}:"
            yield from _pieces(inner, levels - 1)
            before = ","
        yield "}"
    elif levels and isinstance(value, list) and value:
        before = "["
        for inner in value:
            yield before
            yield from _pieces(inner, levels - 1)
            before = ","
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _error("a key stands twice in one object")
    return value


def _constant(_: str) -> object:
    raise _error("not valid JSON: NaN and infinities are no numbers")


def _check(value: object) -> None:
    """Refuses what could not be written into the file."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        if not level:
            return
        for node in level:
            for text in (node,) if isinstance(node, str) else node if isinstance(node, dict) else ():
                if any("\ud800" <= c <= "\udfff" for c in text):
                    raise _error("a string that is not valid Unicode")
        level = [inner for node in level for inner in _inside(node)]
    if level:
        raise _error(f"nested more than {DEEPEST} levels deep")


def _inside(node: object) -> Iterable[object]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _error(message: str) -> ConfigError:
    return ConfigError([Problem("", message)])
