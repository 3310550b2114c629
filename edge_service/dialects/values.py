"""Reads and writes JSON for all dialects, and decodes no more of it than is needed: the values of fields stay raw bytes
(`msgspec.Raw`) until somebody asks for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from edge_service.domain.bodies import Body, Pieces
from edge_service.domain.errors import InvalidRequestError

_T = TypeVar("_T")
_fields = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


def decode_object(data: bytes) -> dict[str, Raw]:
    """The fields of a JSON object, their values raw. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or
    `RecursionError`."""
    if not data.isascii():
        data.decode()  # The decoder checks the syntax of raw values, but not their encoding.
    return _fields.decode(data)


def request_fields(body: bytes) -> dict[str, Raw]:
    """The fields of a client's request body, their values raw. Raises `InvalidRequestError`."""
    try:
        return decode_object(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError("the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        # `from None`, since this exception holds the whole body.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error


_LARGE_BYTES = 64 * 1024
"""From here on, not to copy a value is worth the second piece."""
NULL = Raw(b"null")
"""Also the default of optional raw fields: a field of type `Raw | None` would take nothing but null."""
_HOLE = Raw(b"\0")
"""A placeholder: no JSON contains this byte."""


def encode_around(large: str, fields: Mapping[str, Any]) -> Body:
    """Encodes an object. If the field called `large` is large, the result is in pieces, so that its value is not
    copied."""
    value = memoryview(fields.get(large, _HOLE))
    if len(value) <= _LARGE_BYTES:
        return msgspec.json.encode(fields)
    before, behind = msgspec.json.encode({**fields, large: _HOLE}).split(b"\0")
    return Pieces(before, value, behind)


def first_byte(raw: Raw) -> bytes:
    """Tells the type of a raw value."""
    return bytes(memoryview(raw)[:1])


def is_null(raw: Raw) -> bool:
    return raw == NULL


_WHERE = re.compile(r" - at `\$(?P<path>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def typed(decoder: msgspec.json.Decoder[_T], json: bytes | Raw, path: str = "") -> _T:
    """Decodes what a client has sent: its whole body, or the value at `path` in it. Raises `InvalidRequestError`, which
    names the wrong field by its path in the body."""
    try:
        return decoder.decode(json)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), path) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}", param=path or None) from error
    except RecursionError as error:
        where = f"'{path}'" if path else "the body"
        raise InvalidRequestError(f"{where} is nested too deeply", param=path or None) from error


def _wrong(said: str, path: str) -> InvalidRequestError:
    """The error for what msgspec `said`, whose path starts at the value that was decoded, not at the body."""
    where = _WHERE.search(said)
    if where is not None:
        said, path = said[: where.start()], (path + where["path"]).removeprefix(".")
    missing = _MISSING.match(said)
    if missing is not None:
        path = f"{path}.{missing['name']}".removeprefix(".")
        return InvalidRequestError(f"'{path}' is missing", param=path)
    if not path:
        return InvalidRequestError("the body must be a JSON object")
    return InvalidRequestError(f"'{path}': {said[:1].lower()}{said[1:]}", param=path)


def pairs(raw: Raw, path: str) -> dict[str, str]:
    """Decodes a client's object whose values are all strings. Raises `InvalidRequestError`, as `typed` does."""
    return {name: typed(_string, each, f"{path}.{name}") for name, each in typed(_fields, raw, path).items()}
