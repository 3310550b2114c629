"""JSON as this dialect has it."""

from __future__ import annotations

import msgspec

encode = msgspec.json.encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_object(data: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`."""
    if not data.isascii():
        data.decode()  # What stays raw is checked for everything but its encoding.
    return _fields.decode(data)
