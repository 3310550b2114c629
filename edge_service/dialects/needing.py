"""Estimates what a request needs of a model, for all dialects. It is done for every request before the resolver is
asked, and so by searching bytes rather than decoding.

Nothing here refuses a request. What is malformed counts as nothing needed: the provider will say what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Raw

from edge_service.domain.needs import Capability, Needs

BYTES_PER_TOKEN = 10
"""Of JSON: rather too many, so that too few tokens are estimated. A target that is left out for its context is not
tried, one that is kept by mistake says so itself. Prose and code in English are 4 to 5 bytes a token of `o200k_base`,
Greek, Arabic and Cyrillic 5 to 7, Hindi 8; and what stands around a message in JSON has fewer tokens than the model's
own marks."""

LARGEST = 1_000_000_000
"""Tokens. A larger limit counts as this."""

_T = TypeVar("_T")
_integer = msgspec.json.Decoder(int)
_string = msgspec.json.Decoder(str)

_FILLED = re.compile(rb"\[\s*[^\s\]]")
_LONG_BYTES = 512
"""Without any space, of ASCII alone: such as base64."""
_OPAQUE = re.compile(
    rb'"(?:data|file_data|result|signature|thoughtSignature|thought_signature|encrypted_content)"\s*:\s*\Z'
)
"""What stands before media, signatures and encrypted thoughts in the dialects; none of them is text to a model."""
_URL = b'"data:'
"""What media begin with, whatever stands before them."""
_NAME_BYTES = 64
"""Within which such a name stands."""
_BACKSLASH = ord("\\")
_ESCAPE = re.compile(rb"\\u")


def needs(capabilities: Iterable[Capability], input_tokens: int, max_output_tokens: int) -> Needs:
    return Needs(tuple(sorted(set(capabilities))), input_tokens, max_output_tokens)


def tokens(*texts: bytes) -> int:
    """An estimate of the tokens of these JSON values, rather too low. Media count as nothing."""
    return sum(map(_text_bytes, texts)) // BYTES_PER_TOKEN


def _text_bytes(text: bytes) -> int:
    size = len(text) - _opaque_bytes(text)
    # The search takes a quarter of the time to find that there are none.
    if _BACKSLASH in text and _ESCAPE.search(text):
        size -= 4 * text.count(b"\\u")  # Six bytes for a letter that has two, or three.
    return max(size, 0)


def _opaque_bytes(text: bytes) -> int:
    """The bytes of strings that are not text, such as base64."""
    size = 0
    start = _unbroken(text, 0)
    while start >= 0:
        end = text.find(b'"', start + 1)
        end = len(text) if end < 0 else end
        if text.startswith(_URL, start) or _OPAQUE.search(text, max(0, start - _NAME_BYTES), start):
            for stop in (b" ", b"\\u"):
                cut = text.find(stop, start, end)
                end = end if cut < 0 else cut
            size += end - start - 1
        start = _unbroken(text, end)
    return size


def _unbroken(text: bytes, start: int) -> int:
    """Where the next long string without any space begins, its quotation mark; -1 if there is none. Where a space or a
    mark stands, none begins within that length before it: of a text with spaces hardly any byte is looked at."""
    last = len(text) - _LONG_BYTES
    while start < last:
        end = start + 1 + _LONG_BYTES
        broken = text.rfind(b" ", start + 1, end)
        if broken < 0:
            broken = text.rfind(b'"', start + 1, end)
        if broken < 0:
            if text.startswith(b'"', start) and text[start:end].isascii():
                return start
            broken = end
        start = broken
    return -1


def bytes_of(raw: Raw | None) -> bytes:
    """Empty for what is absent or null."""
    value = b"" if raw is None else bytes(raw)
    return b"" if value == b"null" else value


def is_filled(raw: Raw | None) -> bool:
    """Whether it is a list with something in it."""
    return raw is not None and _FILLED.match(raw) is not None


def limit(raw: Raw | None) -> int:
    """A limit of the answer, in tokens; 0 for none."""
    said = decoded(_integer, raw)
    return 0 if said is None else max(0, min(said, LARGEST))


def word(raw: Raw | None) -> str:
    """The string; empty if it is not one."""
    return decoded(_string, raw) or ""


def decoded(decoder: msgspec.json.Decoder[_T], raw: Raw | None) -> _T | None:
    """The value; None if it is not of this type."""
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None
