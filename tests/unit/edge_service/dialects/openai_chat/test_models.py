from __future__ import annotations

import pytest

from edge_service.dialects.canonical import Family
from edge_service.dialects.openai_chat import models


@pytest.mark.parametrize("model", ["o1", "o3-mini", "openai/o4-mini", "gpt-5", "gpt-5.2-codex"])
def test_models_that_think(model: str) -> None:
    rules = models.rules(model)
    assert (rules.reasons, rules.stops, rules.max_tokens) == (True, False, "max_completion_tokens")
    assert sorted(rules.fixed) == [
        "frequency_penalty",
        "logprobs",
        "presence_penalty",
        "temperature",
        "top_logprobs",
        "top_p",
    ]


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-3.5-turbo", "chatgpt-4o-latest", "openai/gpt-5-chat"])
def test_models_that_do_not(model: str) -> None:
    rules = models.rules(model)
    assert (rules.reasons, rules.stops, rules.max_tokens, rules.fixed) == (False, True, "", frozenset())


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("anthropic/claude-sonnet-4.5", Family.ANTHROPIC),
        ("Google/gemini-3-pro", Family.GEMINI),
        ("openai/gpt-5/free", Family.OPENAI),
        ("openai", None),
        ("meta/llama-4", None),
    ],
)
def test_a_family_is_known_by_the_maker(model: str, family: Family | None) -> None:
    assert models.family(model) is family
