"""What a request needs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from edge_service.dialects import needing
from edge_service.dialects.canonical import MediaKind
from edge_service.dialects.gemini import words
from edge_service.dialects.gemini.fields import Fields
from edge_service.dialects.needing import bytes_of
from edge_service.dialects.reasoning import IDLE
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.needs import Capability, Needs

_MEDIA = re.compile(rb'"(?:inline_?[dD]ata|file_?[dD]ata)"')
"""Quotes that are not escaped: in a user's text they would be. A call's arguments may have them, too."""

_KINDS = {MediaKind.IMAGE: Capability.VISION, MediaKind.AUDIO: Capability.AUDIO}
_FORMS = frozenset({"", "application/json"})
_NO_LEVELS = frozenset({"", "THINKING_LEVEL_UNSPECIFIED", *map(str.upper, IDLE)})


def of(request: Fields) -> Needs:
    """What a request needs, by its fields, which are taken."""
    contents, system = request.raw("contents"), request.raw("systemInstruction")
    tools = request.raw("tools")
    config = _inner(request, "generationConfig")
    found = [Capability.TOOLS] if needing.is_filled(tools) or bytes_of(tools)[:1] == b"{" else []
    found += _of_config(config)
    texts = bytes_of(contents), bytes_of(system)
    if any(map(_MEDIA.search, texts)):
        found += _media(Fields({} if contents is None else {"contents": contents}), "contents")
        found += _media(Fields({} if system is None else {"systemInstruction": system}), "systemInstruction")
    return needing.needs(found, needing.tokens(*texts), _limit(config))


def _inner(fields: Fields, name: str) -> Fields:
    """Without any fields, if it is none."""
    with suppress(InvalidRequestError, RecursionError):
        return fields.object(name) or Fields({})
    return Fields({})


def _limit(config: Fields) -> int:
    with suppress(InvalidRequestError, RecursionError):
        return max(0, min(config.integer("maxOutputTokens") or 0, needing.LARGEST))
    return 0


def _of_config(config: Fields) -> Iterator[Capability]:
    with suppress(InvalidRequestError, RecursionError):
        has_schema = config.has("responseJsonSchema") or config.has("responseSchema")
        if has_schema and config.text("responseMimeType").lower() in _FORMS:
            yield Capability.JSON_SCHEMA
    with suppress(InvalidRequestError, RecursionError):
        if any(modality.upper() == "AUDIO" for modality in config.texts("responseModalities")):
            yield Capability.AUDIO
    thinking = _inner(config, "thinkingConfig")
    with suppress(InvalidRequestError, RecursionError):
        budget = thinking.integer("thinkingBudget")
        if budget or (budget is None and thinking.word("thinkingLevel") not in _NO_LEVELS):
            yield Capability.REASONING


def _media(fields: Fields, name: str) -> Iterator[Capability]:
    """What the media in a message, or a list of messages, need."""
    with suppress(InvalidRequestError, RecursionError):
        for content in fields.objects(name):
            for part in content.objects("parts"):
                yield from _of_part(part)
                if (response := part.object("functionResponse")) is not None:
                    for inner in response.objects("parts"):
                        yield from _of_part(inner)


def _of_part(part: Fields) -> Iterator[Capability]:
    kinds = []
    if (blob := part.object("inlineData")) is not None:
        kinds.append(words.kind(blob.text("mimeType")))
    if (file := part.object("fileData")) is not None:
        uri = file.text("fileUri")
        kinds.append(words.kind(file.text("mimeType") or words.type_by_ending(uri), uri))
    yield from (_KINDS[kind] for kind in kinds if kind in _KINDS)
