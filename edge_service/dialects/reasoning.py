"""How hard to think, for those who say it as a word and those who say it as a number of tokens.

The budgets are those that Google publishes for its own words (https://ai.google.dev/gemini-api/docs/openai), and beyond
`high` the largest that its models take.
"""

from __future__ import annotations

from edge_service.dialects.canonical import Effort, Reasoning

BUDGETS = {
    Effort.NONE: 0,
    Effort.MINIMAL: 1024,
    Effort.LOW: 1024,
    Effort.MEDIUM: 8192,
    Effort.HIGH: 24576,
    Effort.XHIGH: 32768,
    Effort.MAX: 32768,
}

IDLE = frozenset({Effort.NONE, Effort.MINIMAL})
"""The least that some models can think is `minimal`: it stands for none."""

_WORDS = ((0, Effort.NONE), (1024, Effort.LOW), (8192, Effort.MEDIUM), (24576, Effort.HIGH))
"""The largest budget that each word stands for; beyond them it is `xhigh`."""


def effort(asked: Reasoning) -> Effort | None:
    """As a word; None if nothing was said, or it is left to the model."""
    if asked.effort is not None or asked.budget_tokens is None or asked.budget_tokens < 0:
        return asked.effort
    return next((word for most, word in _WORDS if asked.budget_tokens <= most), Effort.XHIGH)


def budget_tokens(asked: Reasoning) -> int | None:
    """As a number; None if nothing was said, -1 if it is left to the model."""
    if asked.budget_tokens is not None or asked.effort is None:
        return asked.budget_tokens
    return BUDGETS[asked.effort]


def of_suffix(suffix: str) -> Reasoning | None:
    """What stood in parentheses behind a name: a word, a number, `auto`; None for what is neither."""
    word = suffix.strip().lower()
    if word.isascii() and word.isdigit():
        return Reasoning(budget_tokens=int(word[:9]))
    if word == "auto":
        return Reasoning(budget_tokens=-1)
    return Reasoning(effort=Effort(word)) if word in set(Effort) else None
