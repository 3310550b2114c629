"""Bodies of requests to providers."""

from __future__ import annotations

from typing import TypeAlias


class Pieces:
    """A large body, in pieces that follow one another. Put together it would need as much memory again as what it is
    made of, for as long as its answer takes. `bytes` of it does so."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: bytes | memoryview) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


Body: TypeAlias = bytes | Pieces
