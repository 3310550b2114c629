"""Protobuf's wire format, as far as it takes to join messages out of parts that are written already.

Source: https://protobuf.dev/programming-guides/encoding/. A message's fields may come in any order, and of one that
comes twice the last counts.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

_VARINT, _LENGTH = 0, 2
_TABLED = 1 << 12
"""Numbers that are looked up: nearly all sizes are among them."""


def tag(message: Descriptor, name: str) -> bytes:
    """What stands before a field: its number, and how its value is written."""
    field = message.fields_by_name[name]
    has_length = field.is_packed or field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE)
    return varint(field.number << 3 | (_LENGTH if has_length else _VARINT))


def varint(value: int) -> bytes:
    """A number that is not negative."""
    return _TABLE[value] if value < _TABLED else bytes((value & 127 | 128,)) + varint(value >> 7)


def sized(content: bytes) -> bytes:
    """A text, bytes, a message or packed numbers."""
    return varint(len(content)) + content


_TABLE = [bytes((value,)) for value in range(128)]
_TABLE += [bytes((value & 127 | 128,)) + _TABLE[value >> 7] for value in range(128, _TABLED)]
