"""The result of a function: an object with Gemini, text with everybody else.

Gemini takes the value of `output` as the result and that of `error` as what went wrong; an object with neither is the
result itself. Source: https://ai.google.dev/api/caching#FunctionResponse
"""

from __future__ import annotations

import msgspec

from edge_service.dialects.values import first_byte

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)


def read(response: str) -> tuple[str, bool]:
    """The result as text, and whether it is an error. What is more than a string stays JSON."""
    fields = _fields(response) or {}
    if len(fields) == 1:
        ((key, raw),) = fields.items()
        if key in ("output", "error") and first_byte(raw) == b'"':
            text = _text(raw)
            if text is not None and not _stands_alone(text, is_error=key == "error"):
                return text, key == "error"
    return response, "error" in fields and len(fields) == 1


def write(text: str, *, is_error: bool) -> msgspec.Raw:
    """The object for a result."""
    if _stands_alone(text, is_error=is_error):
        return msgspec.Raw(text.encode())
    return msgspec.Raw(msgspec.json.encode({"error" if is_error else "output": text}))


def _stands_alone(text: str, *, is_error: bool) -> bool:
    """Whether it is an object that says by itself what kind of result it is."""
    fields = _fields(text)
    return fields is not None and (fields.keys() == {"error"}) is is_error


def _fields(text: str) -> dict[str, msgspec.Raw] | None:
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        return _object.decode(text)
    except (ValueError, RecursionError):
        return None


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        return None
