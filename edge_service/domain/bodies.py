"""Bodies of requests to providers."""

from __future__ import annotations

from typing import TypeAlias


class Pieces:
    """A large body, as consecutive pieces. Joining them would take as much memory again, for as long as the response
    takes; `bytes()` joins them."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: bytes | memoryview) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


Body: TypeAlias = bytes | Pieces
