"""What requests need, found by reading all of them: to compare the quick search with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

from edge_service.dialects import asked, asked_responses
from edge_service.dialects.canonical import MediaKind, OutputKind, Part, Reasoning, Request, ToolResult
from edge_service.dialects.exchange import Asked
from edge_service.dialects.reasoning import IDLE
from edge_service.domain.needs import Capability


class Reader(Protocol):
    def __call__(self, body: bytes) -> Asked: ...


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "anthropic": partial(asked.message, head=[]),
        "gemini": partial(asked.generation, model="the-name", stream=True, array=False),
        "openai_chat": partial(asked.chat_completion, head=[]),
        "openai_responses": partial(asked_responses.response, head=[]),
    }
)
"""By the folders of the golden files."""

_OF_MEDIA = {MediaKind.IMAGE: Capability.VISION, MediaKind.AUDIO: Capability.AUDIO}


def capabilities(request: Request) -> set[Capability]:
    """Of a request all of which was read."""
    found = {_OF_MEDIA[kind] for message in request.messages for kind in _kinds(message.parts) if kind in _OF_MEDIA}
    if request.tools:
        found.add(Capability.TOOLS)
    if request.output is not None and request.output.kind is OutputKind.SCHEMA:
        found.add(Capability.JSON_SCHEMA)
    if request.reasoning is not None and _thinks(request.reasoning):
        found.add(Capability.REASONING)
    return found


def _kinds(parts: Iterable[Part]) -> Iterator[MediaKind]:
    for part in parts:
        if isinstance(part, ToolResult):
            yield from _kinds(part.content)
        elif kind := getattr(part, "kind", None):
            yield kind


def _thinks(asked: Reasoning) -> bool:
    if asked.budget_tokens is not None:
        return asked.budget_tokens != 0
    return asked.effort is not None and asked.effort not in IDLE
