"""What a request needs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from edge_service.dialects import needing
from edge_service.dialects.needing import bytes_of, decoded, is_filled
from edge_service.dialects.reasoning import IDLE
from edge_service.domain.needs import Capability, Needs

_MEDIA = re.compile(rb'"(?:input_image|input_audio|computer_screenshot|image_generation_call)"')
"""Quotes that are not escaped: in a user's text they would be."""

_PARTS: Mapping[str, Capability] = MappingProxyType(
    {
        "input_image": Capability.VISION,
        "computer_screenshot": Capability.VISION,
        "image_generation_call": Capability.VISION,
        "input_audio": Capability.AUDIO,
    }
)


class _Part(Struct):
    type: str = ""


_Content: TypeAlias = str | list[_Part] | _Part | None
"""A screenshot stands alone."""


class _Item(_Part):
    content: _Content = None
    output: _Content = None


class _Text(Struct):
    format: _Part | None = None


class _Reasoning(Struct):
    effort: str | None = None


_items = msgspec.json.Decoder(list[_Item])
_text = msgspec.json.Decoder(_Text)
_reasoning = msgspec.json.Decoder(_Reasoning)
_UNDERSCORE = ord("_")


def of(fields: Mapping[str, Raw]) -> Needs:
    """What a request needs, by its top-level fields."""
    said = bytes_of(fields.get("input"))
    # Who has older parts of the conversation left out does not know yet how long it will be.
    is_cut = needing.word(fields.get("truncation")) == "auto" or bool(bytes_of(fields.get("context_management")))
    return needing.needs(
        # The rarest letter of the words is looked for first, which takes next to no time.
        (*_of_fields(fields), *(_media(said) if _UNDERSCORE in said and _MEDIA.search(said) else ())),
        0 if is_cut else needing.tokens(said, bytes_of(fields.get("instructions"))),
        needing.limit(fields.get("max_output_tokens")),
    )


def _of_fields(fields: Mapping[str, Raw]) -> Iterator[Capability]:
    if is_filled(fields.get("tools")):
        yield Capability.TOOLS
    if "text" in fields:
        text = decoded(_text, fields["text"])
        if text is not None and text.format is not None and text.format.type == "json_schema":
            yield Capability.JSON_SCHEMA
    if "reasoning" in fields:
        asked = decoded(_reasoning, fields["reasoning"])
        if asked is not None and asked.effort and asked.effort not in IDLE:
            yield Capability.REASONING


def _media(said: bytes) -> Iterator[Capability]:
    for item in decoded(_items, Raw(said)) or ():
        for part in (item, *_parts(item.content), *_parts(item.output)):
            if part.type in _PARTS:
                yield _PARTS[part.type]


def _parts(content: _Content) -> Iterable[_Part]:
    if isinstance(content, list):
        return content
    return (content,) if isinstance(content, _Part) else ()
