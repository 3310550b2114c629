from __future__ import annotations

from typing import Any

import pytest

from edge_service.dialects.canonical import Effort, Reasoning
from edge_service.dialects.gemini import models


# Sources: those of the module.
@pytest.mark.parametrize(
    ("name", "signed_calls", "media_in_results", "urls", "tools_and_json"),
    [
        ("gemini-1.5-pro", False, False, False, False),
        ("gemini-2.0-flash", False, False, False, False),
        ("gemini-2.5-pro", False, False, True, False),
        ("gemini-2.5-flash", False, False, True, False),
        ("gemini-2.5-flash-lite", False, False, True, False),
        ("models/Gemini-3-Pro-preview", True, True, True, True),
        ("gemini-3-flash-preview", True, True, True, True),
        ("gemini-3.1-pro", True, True, True, True),
        ("gemini-3.5-flash", True, True, True, True),
        ("gemini-3.6-flash", True, True, True, True),
        ("gemini-4-ultra", True, True, True, True),
        ("gemini-flash-latest", True, False, True, True),
        ("gemma-3", False, False, True, True),
    ],
)
def test_a_model_is_known_by_its_name(
    name: str, signed_calls: bool, media_in_results: bool, urls: bool, tools_and_json: bool
) -> None:
    model = models.of(name)
    assert (model.signed_calls, model.media_in_results, model.urls, model.tools_and_json) == (
        signed_calls,
        media_in_results,
        urls,
        tools_and_json,
    )


LEVELS = {
    Effort.NONE: "LOW",
    Effort.MINIMAL: "LOW",
    Effort.LOW: "LOW",
    Effort.MEDIUM: "MEDIUM",
    Effort.HIGH: "HIGH",
    Effort.XHIGH: "HIGH",
    Effort.MAX: "HIGH",
}


@pytest.mark.parametrize(
    ("name", "otherwise"),
    [
        ("gemini-3.1-pro", {}),
        ("gemini-4-ultra", {}),
        ("gemini-3-pro", {Effort.MEDIUM: "HIGH"}),
        *(
            (name, {Effort.NONE: "MINIMAL", Effort.MINIMAL: "MINIMAL"})
            for name in ("gemini-3-flash", "gemini-3.5-flash", "gemini-3.6-flash")
        ),
    ],
)
def test_levels(name: str, otherwise: dict[Effort, str]) -> None:
    said = {effort: models.thinking_config(models.of(name), Reasoning(effort)) for effort in Effort}
    assert said == {effort: {"thinkingLevel": level} for effort, level in (LEVELS | otherwise).items()}


@pytest.mark.parametrize(
    ("name", "off", "least", "most"),
    [
        ("gemini-2.5-pro", 128, 128, 32_768),
        ("gemini-2.5-flash", 0, 1, 24_576),
        ("gemini-2.5-flash-lite", 0, 512, 24_576),
        ("gemini-flash-latest", 0, 1, 24_576),
    ],
)
def test_budgets(name: str, off: int, least: int, most: int) -> None:
    for asked, said in ((0, off), (1, least), (1_000_000, most), (-1, -1)):
        config = models.thinking_config(models.of(name), Reasoning(budget_tokens=asked))
        assert config == {"thinkingBudget": said}


@pytest.mark.parametrize(
    ("asked", "config"),
    [
        (Reasoning(budget_tokens=0), {}),
        (Reasoning(), {}),
        (Reasoning(shown=False), {}),
        (Reasoning(shown=True), None),
        (Reasoning(summary="auto"), None),
        (Reasoning(budget_tokens=5), None),
    ],
)
def test_one_that_cannot_be_told_loses_only_what_would_change_something(asked: Reasoning, config: Any) -> None:
    assert models.thinking_config(models.of("gemma-3"), asked) == config
