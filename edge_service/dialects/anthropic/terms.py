"""The words and numbers that stand for one another in this dialect and in the canonical model."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from edge_service.dialects.canonical import Finish, Usage

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "end_turn": Finish.STOP,
        "stop_sequence": Finish.STOP,
        "max_tokens": Finish.LENGTH,
        "tool_use": Finish.TOOL_CALLS,
        "pause_turn": Finish.PAUSED,
        "refusal": Finish.REFUSED,
        "model_context_window_exceeded": Finish.CONTEXT,
        "compaction": Finish.PAUSED,
    }
)
"""What a provider says; anything else is taken for `STOP`."""

_STOP_REASONS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "end_turn",
        Finish.LENGTH: "max_tokens",
        Finish.CONTEXT: "model_context_window_exceeded",
        Finish.TOOL_CALLS: "tool_use",
        Finish.FILTERED: "refusal",
        Finish.REFUSED: "refusal",
        Finish.PAUSED: "pause_turn",
    }
)


def stop_reason(finish: Finish, stop_sequence: str, *, refused: bool) -> str:
    """The stop reason for a client. Some dialects end a refusal like any other answer: `refused` tells that there was
    one."""
    if finish is Finish.STOP:
        if refused:
            return "refusal"
        if stop_sequence:
            return "stop_sequence"
    return _STOP_REASONS[finish]


ASKED_TIERS = MappingProxyType({"auto": "auto", "standard_only": "default"})
"""A request's `service_tier`, from here to there."""

WRITTEN_TIERS = MappingProxyType({"auto": "auto", "default": "standard_only", "priority": "auto"})
"""The other way: `auto` uses priority capacity, where there is any."""

TIERS = MappingProxyType({"standard": "default", "priority": "priority", "batch": "batch"})
"""An answer's."""

_SHOWN_TIERS = MappingProxyType({"default": "standard", "standard": "standard", "priority": "priority"})


class OutputDetails(Struct):
    thinking_tokens: int | None = None


class WireUsage(Struct):
    """As it comes. What is absent or null in a later event of a stream stays as it was."""

    input_tokens: int | None = None
    """Without those read from a cache or written to one."""
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None


def usage(said: WireUsage, before: Usage | None = None) -> Usage:
    """The usage, added to what the stream has told before."""
    known = before or Usage()
    read = known.cache_read_tokens if said.cache_read_input_tokens is None else said.cache_read_input_tokens
    written = known.cache_write_tokens if said.cache_creation_input_tokens is None else said.cache_creation_input_tokens
    uncached = said.input_tokens
    if uncached is None:
        uncached = known.input_tokens - known.cache_read_tokens - known.cache_write_tokens
    details = said.output_tokens_details
    thinking = None if details is None else details.thinking_tokens
    return Usage(
        input_tokens=uncached + read + written,
        output_tokens=known.output_tokens if said.output_tokens is None else said.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=known.reasoning_tokens if thinking is None else thinking,
    )


def wire_usage(known: Usage) -> dict[str, Any]:
    said: dict[str, Any] = {
        "input_tokens": max(0, known.input_tokens - known.cache_read_tokens - known.cache_write_tokens),
        "cache_creation_input_tokens": known.cache_write_tokens,
        "cache_read_input_tokens": known.cache_read_tokens,
        "output_tokens": known.output_tokens,
    }
    if known.reasoning_tokens:
        said["output_tokens_details"] = {"thinking_tokens": known.reasoning_tokens}
    return said


def shown_tier(service_tier: str) -> dict[str, str]:
    """The field of an answer's usage, if this dialect has a word for it."""
    word = _SHOWN_TIERS.get(service_tier)
    return {} if word is None else {"service_tier": word}
