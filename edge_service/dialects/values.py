"""JSON of which no more is decoded than has to be, as every dialect reads it."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from edge_service.domain.errors import InvalidRequestError

_T = TypeVar("_T")
_fields = msgspec.json.Decoder(dict[str, Raw])


def decode_object(data: bytes) -> dict[str, Raw]:
    """The fields of a JSON object. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`."""
    if not data.isascii():
        data.decode()  # What stays raw is checked for everything but its encoding.
    return _fields.decode(data)


def first_byte(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def is_null(raw: Raw) -> bool:
    return first_byte(raw) == b"n"


_WHERE = re.compile(r" - at `\$(?P<path>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def typed(decoder: msgspec.json.Decoder[_T], raw: Raw, path: str) -> _T:
    """A client's value. Raises `InvalidRequestError`, which names the field by its path."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        said = str(error)
        where = _WHERE.search(said)
        if where is not None:
            said, path = said[: where.start()], path + where["path"]
        missing = _MISSING.match(said)
        if missing is not None:
            path = f"{path}.{missing['name']}"
            raise InvalidRequestError(f"'{path}' is missing", param=path) from error
        raise InvalidRequestError(f"'{path}': {said[:1].lower()}{said[1:]}", param=path) from error
    except RecursionError as error:
        raise InvalidRequestError(f"'{path}' is nested too deeply", param=path) from error
