"""What a request needs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import needing
from edge_service.dialects.needing import bytes_of, decoded, is_filled
from edge_service.dialects.reasoning import IDLE
from edge_service.domain.needs import Capability, Needs

_MEDIA = re.compile(rb'"(?:image_url|input_audio)"')
"""Quotes that are not escaped: in a user's text they would be."""

_TELLING = frozenset({"tools", "functions", "response_format", "modalities", "reasoning_effort", "reasoning"})
"""Fields without which `_of_fields` finds nothing."""

_PARTS: Mapping[str, Capability] = MappingProxyType({"image_url": Capability.VISION, "input_audio": Capability.AUDIO})


class _Part(Struct):
    type: str = ""


class _Message(Struct):
    content: str | list[_Part] | None = None


class _Reasoning(Struct):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


_messages = msgspec.json.Decoder(list[_Message])
_part = msgspec.json.Decoder(_Part)
_reasoning = msgspec.json.Decoder(_Reasoning)
_strings = msgspec.json.Decoder(list[str])
_UNDERSCORE = ord("_")


def of(fields: Mapping[str, Raw]) -> Needs:
    """What a request needs, by its top-level fields."""
    messages = bytes_of(fields.get("messages"))
    capabilities: list[Capability] = []
    if not _TELLING.isdisjoint(fields):
        capabilities += _of_fields(fields)
    # The rarest letter of the words is looked for first, which takes next to no time.
    if _UNDERSCORE in messages and _MEDIA.search(messages):
        capabilities += _media(messages)
    # OpenRouter leaves out what does not fit, where it is asked to.
    is_cut = "transforms" in fields and is_filled(fields["transforms"])
    newer = bytes_of(fields["max_completion_tokens"]) if "max_completion_tokens" in fields else b""
    said = Raw(newer) if newer else fields.get("max_tokens")
    return needing.needs(capabilities, 0 if is_cut else needing.tokens(messages), needing.limit(said))


def _of_fields(fields: Mapping[str, Raw]) -> Iterator[Capability]:
    if is_filled(fields.get("tools")) or is_filled(fields.get("functions")):
        yield Capability.TOOLS
    if "response_format" in fields:
        form = decoded(_part, fields["response_format"])
        if form is not None and form.type == "json_schema":
            yield Capability.JSON_SCHEMA
    if "modalities" in fields and "audio" in (decoded(_strings, fields["modalities"]) or ()):
        yield Capability.AUDIO
    if _thinks(fields):
        yield Capability.REASONING


def _thinks(fields: Mapping[str, Raw]) -> bool:
    """OpenAI's word for it, or OpenRouter's object."""
    if effort := needing.word(fields.get("reasoning_effort")):
        return effort not in IDLE
    said = decoded(_reasoning, fields.get("reasoning"))
    if said is None:
        return False
    if said.max_tokens is not None:
        return said.max_tokens > 0
    return said.effort not in IDLE if said.effort else bool(said.enabled)


def _media(messages: bytes) -> Iterator[Capability]:
    for message in decoded(_messages, Raw(messages)) or ():
        parts = message.content if isinstance(message.content, list) else ()
        yield from (_PARTS[part.type] for part in parts if part.type in _PARTS)
