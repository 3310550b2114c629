"""The words and numbers that stand for one another in this dialect and in the canonical model.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from edge_service.dialects.canonical import Choosing, Effort, Finish, Usage

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
"""What a request may have included in the answer."""

COMPLETED = "completed"
INCOMPLETE = "incomplete"
IN_PROGRESS = "in_progress"

FAILED = frozenset({"failed", "cancelled"})
UNFINISHED = frozenset({"queued", IN_PROGRESS})
"""Of an answer that is made in the background."""

_REASONS: Mapping[str, Finish] = MappingProxyType(
    {
        "max_output_tokens": Finish.LENGTH,
        "content_filter": Finish.FILTERED,
        "steered": Finish.PAUSED,
        "max_messages": Finish.PAUSED,
    }
)
"""Why an answer is incomplete."""

_INCOMPLETE: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.LENGTH: "max_output_tokens",
        Finish.CONTEXT: "max_output_tokens",
        Finish.FILTERED: "content_filter",
        Finish.REFUSED: "content_filter",
        Finish.PAUSED: "max_output_tokens",  # There is more to come, and the dialect has no other word for that.
    }
)


def finish(status: str | None, reason: str | None, *, called: bool, refused: bool) -> Finish:
    """`called` and `refused` tell what is in the answer."""
    if status == INCOMPLETE:
        return _REASONS.get(reason or "", Finish.LENGTH)
    if called:
        return Finish.TOOL_CALLS
    return Finish.REFUSED if refused else Finish.STOP


def incomplete_reason(finish: Finish, *, refused: bool) -> str | None:
    """None for an answer that is complete. One in which the model says that it would not is."""
    return None if finish is Finish.REFUSED and refused else _INCOMPLETE.get(finish)


EFFORTS: Mapping[str, Effort] = MappingProxyType({effort.value: effort for effort in Effort})

MODES: Mapping[str, Choosing] = MappingProxyType(
    {"auto": Choosing.AUTO, "none": Choosing.NONE, "required": Choosing.REQUIRED}
)

VERBOSITIES = frozenset({"low", "medium", "high"})

ASKED_TIERS: Mapping[str, str] = MappingProxyType(
    {"auto": "auto", "default": "default", "flex": "flex", "priority": "priority", "fast": "priority"}
)
"""A request's `service_tier`, from here to there; all but the last are written as they are read."""

TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "ultrafast"})
"""An answer's."""


class InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class WireUsage(Struct):
    """As it comes. Its totals include their parts, like ours."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


def usage(said: WireUsage | None) -> Usage | None:
    if said is None:
        return None
    of_input = said.input_tokens_details or InputDetails()
    of_output = said.output_tokens_details or OutputDetails()
    return Usage(
        input_tokens=said.input_tokens or 0,
        output_tokens=said.output_tokens or 0,
        cache_read_tokens=of_input.cached_tokens or 0,
        cache_write_tokens=of_input.cache_write_tokens or 0,
        reasoning_tokens=of_output.reasoning_tokens or 0,
    )


def wire_usage(known: Usage) -> dict[str, Any]:
    return {
        "input_tokens": known.input_tokens,
        "input_tokens_details": {
            "cached_tokens": known.cache_read_tokens,
            "cache_write_tokens": known.cache_write_tokens,
        },
        "output_tokens": known.output_tokens,
        "output_tokens_details": {"reasoning_tokens": known.reasoning_tokens},
        "total_tokens": known.input_tokens + known.output_tokens,
    }
