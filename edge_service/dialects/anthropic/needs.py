"""What a request needs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import needing
from edge_service.dialects.needing import bytes_of, decoded, is_filled
from edge_service.domain.needs import Capability, Needs

_IMAGE = re.compile(rb'"image"')
"""Quotes that are not escaped: in a user's text they would be. A call's input may have them, too."""

_DEEPEST = 2
"""How many contents an image may stand within: a document's, which is in a tool's result."""

_THINKING = frozenset({"enabled", "adaptive"})


class _Block(Struct):
    type: str = ""
    content: str | list[_Block] | _Block | None = None
    source: str | _Block | None = None


class _Message(Struct):
    content: str | list[_Block] | None = None


class _Head(Struct):
    type: str = ""


class _OutputConfig(Struct):
    effort: str | None = None
    format: _Head | None = None


_messages = msgspec.json.Decoder(list[_Message])
_head = msgspec.json.Decoder(_Head)
_output_config = msgspec.json.Decoder(_OutputConfig)


def of(fields: Mapping[str, Raw]) -> Needs:
    """What a request needs, by its top-level fields."""
    messages = bytes_of(fields.get("messages"))
    # Who has older parts of the conversation cleared does not know yet how long it will be.
    is_cut = bool(bytes_of(fields.get("context_management")))
    return needing.needs(
        (*_of_fields(fields), *(_media(messages) if _IMAGE.search(messages) else ())),
        0 if is_cut else needing.tokens(messages, bytes_of(fields.get("system"))),
        needing.limit(fields.get("max_tokens")),
    )


def _of_fields(fields: Mapping[str, Raw]) -> Iterator[Capability]:
    if is_filled(fields.get("tools")):
        yield Capability.TOOLS
    config = decoded(_output_config, fields.get("output_config"))
    if config is not None and config.format is not None and config.format.type == "json_schema":
        yield Capability.JSON_SCHEMA
    thinking = decoded(_head, fields.get("thinking"))
    if thinking is not None and thinking.type:
        if thinking.type in _THINKING:
            yield Capability.REASONING
    elif config is not None and config.effort:
        yield Capability.REASONING


def _media(messages: bytes) -> Iterator[Capability]:
    if any(_has_image(message.content, _DEEPEST) for message in decoded(_messages, Raw(messages)) or ()):
        yield Capability.VISION


def _has_image(content: object, deeper: int) -> bool:
    return isinstance(content, list) and any(
        block.type == "image" or (deeper and _has_image(_within(block), deeper - 1)) for block in content
    )


def _within(block: _Block) -> object:
    """The content that the model gets to see."""
    if block.type == "document" and isinstance(block.source, _Block):
        return block.source.content
    return block.content if block.type == "tool_result" else None
