"""Decompresses answers that came compressed although that was not asked for, in bounded steps.

A megabyte of gzip can hold a gigabyte. What is decompressed is never more than a step ahead of its reader, so that the
reader's limits hold.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

STEP_BYTES = 64 * 1024


class DecodingError(Exception):
    """The content is not what its encoding says, or the encoding is unknown here."""


class Decoder:
    """For one body. Raises `DecodingError` if the encoding is not one it knows: RFC 9110, 8.4.1."""

    def __init__(self, encoding: bytes) -> None:
        name = encoding.strip().lower()
        if name not in _WINDOWS:
            raise DecodingError("the answer is in a content encoding that was not asked for")
        self._window = _WINDOWS[name]
        self._unpacker = zlib.decompressobj(self._window)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What this piece unpacks to, in steps. To be used up before the next piece."""
        while data:
            self._begun = True
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(self._window)  # Members may follow one another: RFC 1952, 2.2.
            unpacked = self._unpack(data)
            if unpacked:
                yield unpacked
            data = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            # What the unpacker has taken in but not put out comes with no more input.
            while not data and len(unpacked) == STEP_BYTES:
                unpacked = self._unpack(b"")
                if unpacked:
                    yield unpacked

    def end(self) -> None:
        """The body is over. Raises `DecodingError` if its content is not."""
        if self._begun and not self._unpacker.eof:
            raise DecodingError("the compressed answer was cut")

    def _unpack(self, data: bytes) -> bytes:
        try:
            return self._unpacker.decompress(data, STEP_BYTES)
        except zlib.error as error:
            raise DecodingError("the compressed answer is malformed") from error


_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
