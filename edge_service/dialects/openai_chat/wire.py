"""JSON as this dialect has it. Everything that comes in is untrusted."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from edge_service.dialects import surrogates
from edge_service.dialects.values import NULL as NULL
from edge_service.dialects.values import decode_object as decode_object
from edge_service.dialects.values import first_byte as first_byte
from edge_service.dialects.values import is_null as is_null
from edge_service.dialects.values import pairs as pairs
from edge_service.dialects.values import typed as typed

PATH = "/chat/completions"
"""Behind a provider's base URL."""


encode = msgspec.json.encode

_T = TypeVar("_T")


def decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    """What a provider has sent. Raises `ValueError` or `RecursionError`."""
    if not data.isascii():
        data.decode()
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = without_halves(data)
        if whole is None:
            raise
        return decoder.decode(whole)


def without_halves(data: bytes) -> bytes | None:
    """JSON whose halves of surrogate pairs have been replaced: they can be passed on, but not be translated. None if
    there are none."""
    hidden = surrogates.hide(data)
    return None if hidden is None else re.sub(rb"\\u%x[0-9a-fA-F]{4}" % ord(hidden.mark), rb"\\ufffd", hidden.data)
