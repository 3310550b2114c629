"""Reasoning effort, as a word or as a budget of tokens: the one from the other.

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
    """The effort as a word; None if the client has not said, or leaves it to the model."""
    if asked.effort is not None or asked.budget_tokens is None or asked.budget_tokens < 0:
        return asked.effort
    return next((word for most, word in _WORDS if asked.budget_tokens <= most), Effort.XHIGH)


def budget_tokens(asked: Reasoning) -> int | None:
    """The effort as a budget; None if the client has not said, -1 if it leaves it to the model."""
    if asked.budget_tokens is not None or asked.effort is None:
        return asked.budget_tokens
    return BUDGETS[asked.effort]


def of_suffix(suffix: str) -> Reasoning | None:
    """The effort in a name's suffix: a word, a number, or `auto`; None for anything else."""
    word = suffix.strip().lower()
    if word.isascii() and word.isdigit():
        return Reasoning(budget_tokens=int(word[:9]))
    if word == "auto":
        return Reasoning(budget_tokens=-1)
    return Reasoning(effort=Effort(word)) if word in set(Effort) else None
