from __future__ import annotations

import pytest

from edge_service.dialects.anthropic.models import rules

# Who takes effort instead of a budget, who takes sampling parameters, who takes two of them at once.
# Source: https://platform.claude.com/docs/en/about-claude/models/migration-guide


@pytest.mark.parametrize(
    ("model", "effort", "samples", "both"),
    [
        ("claude-opus-5-5", True, False, False),
        ("claude-sonnet-5", True, False, False),
        ("claude-haiku-5-5", True, False, False),
        ("claude-fable-5-1", True, False, False),
        ("claude-mythos-preview", True, False, False),
        ("claude-opus-4-8", True, False, False),
        ("claude-opus-4-7", True, False, False),
        ("anthropic/claude-4.7-opus", True, False, False),
        ("claude-opus-4-6", True, True, False),
        ("anthropic.claude-opus-4-6-v1", True, True, False),
        ("claude-sonnet-4-6", True, True, False),
        ("claude-opus-4-5-20251101", False, True, False),
        ("claude-sonnet-4-5-20250929", False, True, False),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", False, True, False),
        ("claude-opus-4-1@20250805", False, True, False),
        ("claude-opus-4-20250514", False, True, True),
        ("claude-sonnet-4", False, True, True),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", False, True, True),
        ("Claude-Sonnet-4@20250514", False, True, True),
        ("claude-3-haiku-20240307", False, True, True),
        ("claude-latest", False, True, True),
        ("kimi-k2", False, True, True),
        ("", False, True, True),
    ],
)
def test_a_generation_is_known_by_its_name(model: str, effort: bool, samples: bool, both: bool) -> None:
    found = rules(model)
    assert (bool(found.efforts), found.samples, found.samples_both) == (effort, samples, both)


def test_some_always_think() -> None:
    assert rules("claude-fable-5").thinks_always
    assert rules("claude-mythos-5-1").thinks_always
    assert not rules("claude-opus-5").thinks_always


# Source: https://platform.claude.com/docs/en/about-claude/models/overview
@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-5-20250929", 64_000),
        ("claude-opus-4-8", 128_000),
        ("claude-3-7-sonnet-20250219", 64_000),
        ("claude-3-5-haiku-20241022", 8_192),
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-opus@20240229", 4_096),
        ("claude-2.1", 4_096),
    ],
)
def test_none_is_asked_for_more_than_it_can_write(model: str, most: int) -> None:
    assert rules(model).max_tokens <= rules(model).most_tokens <= most


# What is written where the client names no limit, and the most with a budget for thinking on top.
@pytest.mark.parametrize(
    ("model", "unasked", "most"),
    [
        ("claude-opus-5", 32_000, 32_000),
        ("claude-opus-4-6", 32_000, 32_000),
        ("claude-sonnet-4-5", 32_000, 32_000),
        ("claude-fable-5", 32_000, 32_000),
        ("Claude-3-7-Sonnet", 32_000, 32_000),
        ("claude-3-5-haiku", 8_192, 8_192),
        ("claude-3-opus", 4_096, 4_096),
        ("claude-2.1", 4_096, 4_096),
        ("claude-instant-1", 4_096, 4_096),
        ("kimi-k2", 8_192, 64_000),
    ],
)
def test_limits(model: str, unasked: int, most: int) -> None:
    assert (rules(model).max_tokens, rules(model).most_tokens) == (unasked, most)
