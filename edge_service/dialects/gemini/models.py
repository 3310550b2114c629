"""What differs between Gemini's models, as rows of data: by the beginning of the name, the longest that fits.

Sources: https://ai.google.dev/gemini-api/docs/thinking#levels-budgets,
https://ai.google.dev/gemini-api/docs/thought-signatures, https://ai.google.dev/gemini-api/docs/file-input-methods,
https://ai.google.dev/gemini-api/docs/function-calling#multimodal
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edge_service.dialects import reasoning
from edge_service.dialects.canonical import Effort, Reasoning

_LEVELS: Mapping[Effort, str] = MappingProxyType(
    {
        Effort.NONE: "LOW",
        Effort.MINIMAL: "LOW",
        Effort.LOW: "LOW",
        Effort.MEDIUM: "MEDIUM",
        Effort.HIGH: "HIGH",
        Effort.XHIGH: "HIGH",
        Effort.MAX: "HIGH",
    }
)
"""Those that nearly all models of the third generation and later take. None of them can be told not to think."""

_WITH_MINIMAL = MappingProxyType({**_LEVELS, Effort.NONE: "MINIMAL", Effort.MINIMAL: "MINIMAL"})
_WITHOUT_MEDIUM = MappingProxyType({**_LEVELS, Effort.MEDIUM: "HIGH"})


@dataclass(frozen=True, slots=True)
class Budget:
    """In tokens."""

    least: int
    most: int
    can_be_off: bool


@dataclass(frozen=True, slots=True)
class Model:
    levels: Mapping[Effort, str] | None = None
    """How hard it thinks is said as a word."""
    budget: Budget | None = None
    """It is said as a number. With neither the model does not think, or cannot be told how."""
    signed_calls: bool = False
    """A function call without a thought signature is refused."""
    media_in_results: bool = False
    """The result of a function may hold images."""
    urls: bool = True
    """It fetches what stands at a public https URL."""
    tools_and_json: bool = True
    """It takes functions together with a JSON form of the answer."""


_THIRD = Model(levels=_LEVELS, signed_calls=True, media_in_results=True)
_OLD = Model(urls=False, tools_and_json=False)

_ROWS: Mapping[str, Model] = MappingProxyType(
    {
        # What is not known: nothing is said that could be refused.
        "": Model(),
        # Aliases such as `gemini-flash-latest`: both generations take a budget.
        "gemini-": Model(budget=Budget(0, 24576, True), signed_calls=True),
        "gemini-1": _OLD,
        "gemini-2.0": _OLD,
        "gemini-2.5-pro": Model(budget=Budget(128, 32768, False), tools_and_json=False),
        "gemini-2.5-flash": Model(budget=Budget(0, 24576, True), tools_and_json=False),
        "gemini-2.5-flash-lite": Model(budget=Budget(512, 24576, True), tools_and_json=False),
        "gemini-3": _THIRD,
        "gemini-3-pro": Model(levels=_WITHOUT_MEDIUM, signed_calls=True, media_in_results=True),
        "gemini-3-flash": Model(levels=_WITH_MINIMAL, signed_calls=True, media_in_results=True),
        "gemini-3.5-flash": Model(levels=_WITH_MINIMAL, signed_calls=True, media_in_results=True),
        "gemini-3.6-flash": Model(levels=_WITH_MINIMAL, signed_calls=True, media_in_results=True),
        "gemini-4": _THIRD,
    }
)


def of(name: str) -> Model:
    """The model with this name, with or without `models/`."""
    bare = name.rpartition("/")[2].lower()
    return _ROWS[max((prefix for prefix in _ROWS if bare.startswith(prefix)), key=len)]


def thinking_config(model: Model, asked: Reasoning) -> dict[str, Any] | None:
    """`thinkingConfig`; empty if there is nothing to say, None if the model cannot be told."""
    said: dict[str, Any] = {}
    effort, tokens = reasoning.effort(asked), reasoning.budget_tokens(asked)
    if model.levels is not None:
        if effort is not None:
            said["thinkingLevel"] = model.levels[effort]
    elif model.budget is not None:
        if tokens is not None:
            said["thinkingBudget"] = _within(model.budget, tokens)
    else:
        return {} if tokens in (None, 0) and not asked.shown and not asked.summary else None
    shown = asked.shown if asked.shown is not None else (True if asked.summary else None)
    if shown is not None:
        said["includeThoughts"] = shown
    return said


def _within(budget: Budget, tokens: int) -> int:
    if tokens < 0:
        return -1
    if tokens == 0 and budget.can_be_off:
        return 0
    return min(max(tokens, budget.least), budget.most)
