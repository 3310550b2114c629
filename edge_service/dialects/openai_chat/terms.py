"""The words and numbers that stand for one another in this dialect and in the canonical model.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from edge_service.dialects.canonical import Choosing, Finish, Usage

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "stop": Finish.STOP,
        "length": Finish.LENGTH,
        "tool_calls": Finish.TOOL_CALLS,
        "function_call": Finish.TOOL_CALLS,
        "content_filter": Finish.FILTERED,
        "model_length": Finish.CONTEXT,  # Mistral's.
    }
)
"""What a provider says; anything else is taken for `STOP`."""

FAILURES = frozenset({"error", "insufficient_system_resource"})
"""OpenRouter's and DeepSeek's: the target has failed at the request, and another may not."""

REASONS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "stop",
        Finish.LENGTH: "length",
        Finish.CONTEXT: "length",
        Finish.TOOL_CALLS: "tool_calls",
        Finish.FILTERED: "content_filter",
        Finish.REFUSED: "content_filter",
        Finish.PAUSED: "length",  # There is more to come, and the dialect has no other word for that.
    }
)


def finish(reason: str, *, has_calls: bool) -> Finish:
    """OpenAI itself says `stop` of an answer in which a call was made that had to be."""
    found = FINISHES.get(reason, Finish.STOP)
    return Finish.TOOL_CALLS if has_calls and found is Finish.STOP else found


MODES: Mapping[str, Choosing] = MappingProxyType(
    {
        "auto": Choosing.AUTO,
        "none": Choosing.NONE,
        "required": Choosing.REQUIRED,
        "any": Choosing.REQUIRED,  # Mistral's.
    }
)

AUDIO_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "audio/wav": "wav",
        "audio/wave": "wav",
        "audio/x-wav": "wav",
        "audio/mp3": "mp3",
        "audio/mpeg": "mp3",
    }
)
"""By media type."""

BEGINNINGS: Mapping[str, str] = MappingProxyType(
    {
        "iVBORw0KGgo": "image/png",
        "/9j/": "image/jpeg",
        "R0lGOD": "image/gif",
        "UklGR": "image/webp",
        "JVBERi": "application/pdf",
    }
)
"""Media types by the first bytes of their formats, in base64."""


class InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class WireUsage(Struct):
    """As it comes."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's."""


def usage(said: WireUsage) -> Usage:
    prompt, completion = said.prompt_tokens or 0, said.completion_tokens or 0
    cached, written, thought = said.prompt_cache_hit_tokens or 0, 0, 0
    if said.prompt_tokens_details is not None:
        cached = said.prompt_tokens_details.cached_tokens or cached
        written = said.prompt_tokens_details.cache_write_tokens or 0
    if said.completion_tokens_details is not None:
        thought = said.completion_tokens_details.reasoning_tokens or 0
    if thought and said.total_tokens == prompt + completion + thought:
        completion += thought  # Some count it apart: xAI does.
    return Usage(prompt, completion, cached, written, thought)


def wire_usage(known: Usage) -> dict[str, Any]:
    said: dict[str, Any] = {
        "prompt_tokens": known.input_tokens,
        "completion_tokens": known.output_tokens,
        "total_tokens": known.input_tokens + known.output_tokens,
        "prompt_tokens_details": {"cached_tokens": known.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": known.reasoning_tokens},
    }
    if known.cache_write_tokens:
        said["prompt_tokens_details"]["cache_write_tokens"] = known.cache_write_tokens
    return said


TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
"""An answer's `service_tier`. Others are other families' words."""


def shown_tier(service_tier: str) -> dict[str, str]:
    return {"service_tier": service_tier} if service_tier in TIERS else {}
