"""JSON of which no more is decoded than has to be, as every dialect reads it."""

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
    """The fields of a JSON object. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`."""
    if not data.isascii():
        data.decode()  # What stays raw is checked for everything but its encoding.
    return _fields.decode(data)


def request_fields(body: bytes) -> dict[str, Raw]:
    """The fields of a client's request. Raises `InvalidRequestError`."""
    try:
        return decode_object(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError("the body must be a JSON object") from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        # From none: this error holds all of what it could not decode.
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error


_LARGE_BYTES = 64 * 1024
NULL = Raw(b"null")
"""Also of what is absent: a union with None would be read as None alone."""
_HOLE = Raw(b"\0")
"""Stands nowhere in JSON."""


def encode_around(large: str, fields: Mapping[str, Any]) -> Body:
    """An object as the encoder has it. The field that may be `large` is not copied then."""
    value = memoryview(fields.get(large, _HOLE))
    if len(value) <= _LARGE_BYTES:
        return msgspec.json.encode(fields)
    before, behind = msgspec.json.encode({**fields, large: _HOLE}).split(b"\0")
    return Pieces(before, value, behind)


def first_byte(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def is_null(raw: Raw) -> bool:
    return raw == NULL


_WHERE = re.compile(r" - at `\$(?P<path>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def typed(decoder: msgspec.json.Decoder[_T], json: bytes | Raw, path: str = "") -> _T:
    """What a client has sent, all of it or the part at `path`. Raises `InvalidRequestError`, which names the field by
    its path."""
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
    """In the parser's words, but with the path from the outside."""
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
    """A client's map from strings to strings. Raises `InvalidRequestError`, likewise."""
    return {name: typed(_string, each, f"{path}.{name}") for name, each in typed(_fields, raw, path).items()}
