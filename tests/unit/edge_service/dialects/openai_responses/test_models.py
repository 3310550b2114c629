from __future__ import annotations

import pytest

from edge_service.dialects.canonical import Effort
from edge_service.dialects.openai_responses.models import rules


@pytest.mark.parametrize(
    ("model", "reasons", "none", "most"),
    [
        ("o1", True, "low", "high"),
        ("openai/o4-mini-2025-04-16", True, "low", "high"),
        ("codex-mini-latest", True, "low", "high"),
        ("gpt-5", True, "minimal", "high"),
        ("gpt-5-nano-2025-08-07", True, "minimal", "high"),
        ("gpt-5-codex", True, "low", "high"),
        ("gpt-5.1", True, "none", "high"),
        ("gpt-5.2-codex", True, "low", "xhigh"),
        ("gpt-5.2-pro", True, "medium", "xhigh"),
        ("GPT-5.4-mini", True, "none", "xhigh"),
        ("gpt-5.6-sol", True, "none", "max"),
        ("gpt-6-astra", True, "none", "max"),
        ("llama-4", None, "none", "max"),
        ("gpt-oss-120b", None, "none", "max"),
        ("solo1", None, "none", "max"),
    ],
)
def test_each_generation_has_its_words(model: str, reasons: bool | None, none: str, most: str) -> None:
    found = rules(model)
    assert (found.reasons, found.efforts[Effort.NONE], found.efforts[Effort.MAX]) == (reasons, none, most)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "chatgpt-4o-latest", "gpt-5.2-chat-latest"]
)
def test_who_does_not_think(model: str) -> None:
    assert rules(model).reasons is False
