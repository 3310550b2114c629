"""What Claude's generations take, as rows of data.

The dialect is one, but a model refuses, with status 400, what its generation does not know: a budget for thinking
since 4.7, effort before 4.6, sampling parameters since 4.7. A name that is no Claude's, or tells no version, gets the
form that the dialect began with, which is what others who speak it have copied.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking, .../effort, .../extended-thinking, the notes on
migration to each generation, and for what each can write https://platform.claude.com/docs/en/about-claude/models/overview.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_service.dialects.canonical import Effort

_EFFORTS: Mapping[Effort, str] = MappingProxyType(
    {
        Effort.MINIMAL: "low",
        Effort.LOW: "low",
        Effort.MEDIUM: "medium",
        Effort.HIGH: "high",
        Effort.XHIGH: "xhigh",
        Effort.MAX: "max",
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    efforts: Mapping[Effort, str]
    """Its words for how hard to think; none if it takes a budget instead."""
    samples: bool
    """Takes temperature, top_p and top_k while it does not think."""
    samples_both: bool
    """Takes temperature together with top_p."""
    max_tokens: int
    """For requests that set no limit, though the dialect demands one, where the configuration does not say what the
    model can write. A budget for thinking comes on top,"""
    most_tokens: int
    """up to here: what every model of the row can write."""
    thinks_always: bool = False
    """Refuses to have its thinking turned off."""


_ROWS: tuple[tuple[tuple[int, int], Rules], ...] = (
    ((4, 7), Rules(_EFFORTS, samples=False, samples_both=False, max_tokens=32_000, most_tokens=32_000)),
    (
        (4, 6),
        Rules(
            MappingProxyType({**_EFFORTS, Effort.XHIGH: "high"}),
            samples=True,
            samples_both=False,
            max_tokens=32_000,
            most_tokens=32_000,
        ),
    ),
    ((4, 1), Rules(MappingProxyType({}), samples=True, samples_both=False, max_tokens=32_000, most_tokens=32_000)),
    ((3, 7), Rules(MappingProxyType({}), samples=True, samples_both=True, max_tokens=32_000, most_tokens=32_000)),
    ((3, 5), Rules(MappingProxyType({}), samples=True, samples_both=True, max_tokens=8_192, most_tokens=8_192)),
    ((0, 0), Rules(MappingProxyType({}), samples=True, samples_both=True, max_tokens=4_096, most_tokens=4_096)),
)
"""The rules, each from this version on; newest first."""

_ALWAYS_THINKING = Rules(
    _EFFORTS, samples=False, samples_both=False, max_tokens=32_000, most_tokens=32_000, thinks_always=True
)
_OTHERS = Rules(MappingProxyType({}), samples=True, samples_both=True, max_tokens=8_192, most_tokens=64_000)

_ALWAYS_THINKING_NAME = re.compile(r"claude-(?:fable|mythos)\b")
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
"""`claude-opus-4-5-20251101`, `anthropic.claude-3-7-sonnet-20250219-v1:0`, `claude-sonnet-4@20250514`."""


def rules(model: str) -> Rules:
    """The rules for a model, by the provider's name for it."""
    name = model.lower()
    if _ALWAYS_THINKING_NAME.search(name):
        return _ALWAYS_THINKING
    found = _VERSION.search(name)
    if found is None:
        return _OTHERS
    version = int(found[1]), int(found[2] or 0)
    return next(row for first, row in _ROWS if version >= first)
