from __future__ import annotations

import pytest

from edge_service.dialects.anthropic import terms
from edge_service.dialects.canonical import Finish, Usage


def test_the_reasons_that_are_published_have_a_meaning() -> None:
    assert terms.FINISHES == {
        "end_turn": Finish.STOP,
        "stop_sequence": Finish.STOP,
        "max_tokens": Finish.LENGTH,
        "tool_use": Finish.TOOL_CALLS,
        "pause_turn": Finish.PAUSED,
        "refusal": Finish.REFUSED,
        "model_context_window_exceeded": Finish.CONTEXT,
        "compaction": Finish.PAUSED,
    }


def test_only_what_ends_like_any_other_answer_needs_another_reason() -> None:
    assert terms.stop_reason(Finish.LENGTH, "x", refused=True) == "max_tokens"
    assert terms.stop_reason(Finish.STOP, "x", refused=False) == "stop_sequence"
    assert terms.stop_reason(Finish.STOP, "x", refused=True) == "refusal"


def test_tiers_there_and_back() -> None:
    assert terms.ASKED_TIERS == {"auto": "auto", "standard_only": "default"}
    assert terms.WRITTEN_TIERS == {"auto": "auto", "default": "standard_only", "priority": "auto"}
    assert terms.TIERS == {"standard": "default", "priority": "priority", "batch": "batch"}


@pytest.mark.parametrize(
    ("tier", "said"),
    [("default", "standard"), ("standard", "standard"), ("priority", "priority"), ("batch", None), ("flex", None)],
)
def test_the_tier_of_an_answer(tier: str, said: str | None) -> None:
    assert terms.shown_tier(tier).get("service_tier") == said


def test_more_read_from_a_cache_than_there_was_is_no_negative_count() -> None:
    assert terms.wire_usage(Usage(5, 1, 4, 2))["input_tokens"] == 0
