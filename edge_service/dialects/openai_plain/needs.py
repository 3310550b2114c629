"""What a request to the plain APIs needs of a model."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from edge_service.dialects import needing
from edge_service.dialects.needing import bytes_of, decoded
from edge_service.domain.needs import Capability, Needs

_list = msgspec.json.Decoder(list[Raw])


def of_completion(fields: Mapping[str, Raw]) -> Needs:
    """What a text completion needs, by its top-level fields."""
    return Needs((), _longest(fields.get("prompt")), needing.limit(fields.get("max_tokens")))


def of_embedding(fields: Mapping[str, Raw]) -> Needs:
    return Needs((Capability.EMBEDDINGS,), _longest(fields.get("input")))


def _longest(raw: Raw | None) -> int:
    """Each text, or list of tokens, has the model's context to itself: the length of the longest counts."""
    value = bytes_of(raw)
    texts = decoded(_list, raw) if value[:1] == b"[" else None
    if not texts or bytes(memoryview(texts[0])[:1]) not in (b'"', b"["):
        return needing.tokens(value)
    return max(needing.tokens(bytes(text)) for text in texts)
