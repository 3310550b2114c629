"""Logarithms of probabilities: a list of tokens here, an object with that list in chat completions, whose shape is the
canonical one. The tokens themselves are alike, but for what may be left out.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct


class _Top(Struct):
    token: str
    logprob: float = 0.0
    bytes: list[int] | None = None

    def __post_init__(self) -> None:
        if self.bytes is None:
            self.bytes = list(self.token.encode())


class Token(_Top):
    top_logprobs: list[_Top] | None = None

    def __post_init__(self) -> None:
        _Top.__post_init__(self)
        if self.top_logprobs is None:
            self.top_logprobs = []


class _Canonical(Struct):
    content: list[Token] | None = None


_token = msgspec.json.Decoder(Token)
_canonical = msgspec.json.Decoder(_Canonical | None)


def read(tokens: Iterable[Raw]) -> Raw | None:
    """The same in the canonical shape; None if there are none, or none in a known form."""
    try:
        content = [_token.decode(token) for token in tokens]
    except (ValueError, RecursionError):
        return None
    return Raw(msgspec.json.encode({"content": content, "refusal": None})) if content else None


def write(raw: Raw | None) -> list[Token]:
    """The same in this dialect's shape; empty for an unknown form."""
    if raw is None:
        return []
    try:
        said = _canonical.decode(raw)
    except (ValueError, RecursionError):
        return []
    return said.content or [] if said is not None else []
