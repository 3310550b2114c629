"""What a stream for a client writes bit by bit. Whoever reads it gets all of it once more when it is done: the bits are
kept apart until then, so that it costs no more the longer it grows.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw

from edge_service.dialects.canonical import Native, ToolCallStarted, ToolKind
from edge_service.dialects.openai_responses import wire
from edge_service.dialects.openai_responses.logprobs import Token

_anything = msgspec.json.Decoder(Raw)

TEXT, REFUSAL, SUMMARY, ARGUMENTS = "output_text", "refusal", "reasoning_summary_text", "function_call_arguments"
"""What is written bit by bit: the middle of its events' names."""

WITH_ALL = MappingProxyType({TEXT: "text", REFUSAL: "refusal", SUMMARY: "text", ARGUMENTS: "arguments"})
"""The field of the `done` event that has all of it."""


class Growing:
    """What is written bit by bit."""

    __slots__ = ("bits", "head", "kind", "tokens", "where")

    def __init__(self, kind: str, where: dict[str, Any]) -> None:
        self.kind = kind
        self.where = where
        """The fields that say where in the answer it stands."""
        self.bits: list[str] = []
        self.tokens: list[Token] = []
        name = f"response.{kind}.delta"
        fixed = {"type": name, **where, **({"logprobs": []} if kind == TEXT else {})}
        self.head = b"event: %b\ndata: %b" % (name.encode(), wire.encode(fixed)[:-1] + b',"sequence_number":')
        """What every delta begins with."""


class Call:
    """A call that is not over."""

    __slots__ = ("arguments", "call_id", "function", "is_told", "item", "native")

    def __init__(self, started: ToolCallStarted, name: str, index: int, native: Native | None) -> None:
        self.call_id = started.id or f"call_{index}"
        self.function = started.name
        self.item = name
        self.native = native
        self.is_told = native is None or native.kind is ToolKind.FUNCTION
        """Bit by bit. Where the bits are no arguments to the client, they are kept until they can be read."""
        self.arguments = Growing(ARGUMENTS, {"item_id": name, "output_index": index})

    def is_complete(self) -> bool:
        """Whether nothing more can come: the arguments are JSON, and of that there is no more."""
        try:
            _anything.decode("".join(self.arguments.bits))
        except (ValueError, RecursionError):
            return False
        return True
