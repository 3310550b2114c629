"""What kind of value raw JSON is, by its first byte."""

from __future__ import annotations

import msgspec


def first(raw: msgspec.Raw) -> bytes:
    """`{` of an object, `[` of an array, `"` of a string."""
    return bytes(memoryview(raw)[:1])


def is_null(raw: msgspec.Raw) -> bool:
    return first(raw) == b"n"
