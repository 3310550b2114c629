"""What OpenAI's own models do not take, whoever serves them. Others take what their provider takes.

Sources: https://platform.openai.com/docs/guides/reasoning, https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_service.dialects.canonical import Family

_THINKING = re.compile(r"(?:.*/)?(?:o\d+|gpt-5(?:\.\d+)?)(?!.*chat)(?:-.*)?\Z", re.DOTALL)
_PLAIN = re.compile(r"(?:.*/)?(?:gpt-[34]|chatgpt|gpt-5.*chat)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rules:
    reasons: bool | None
    """Whether it knows `reasoning_effort`; None for what the provider says."""
    fixed: frozenset[str]
    """Fields of `canonical.Request` that it takes with their default values alone."""
    stops: bool
    max_tokens: str
    """What it calls the field, if not as the provider does."""


_RULES = (
    (
        _THINKING,
        Rules(
            reasons=True,
            fixed=frozenset(
                {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
            ),
            stops=False,
            max_tokens="max_completion_tokens",
        ),
    ),
    (_PLAIN, Rules(reasons=False, fixed=frozenset(), stops=True, max_tokens="")),
)
_OTHERS = Rules(reasons=None, fixed=frozenset(), stops=True, max_tokens="")


def rules(model: str) -> Rules:
    return next((rules for pattern, rules in _RULES if pattern.match(model)), _OTHERS)


_FAMILIES = {"anthropic": Family.ANTHROPIC, "google": Family.GEMINI, "openai": Family.OPENAI}


def family(model: str) -> Family | None:
    """The family of a model whose name begins with its maker's, as with OpenRouter."""
    maker, slash, _ = model.lower().partition("/")
    return _FAMILIES.get(maker) if slash else None
