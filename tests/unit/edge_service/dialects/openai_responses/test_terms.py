from __future__ import annotations

from edge_service.dialects.canonical import Choosing, Finish
from edge_service.dialects.openai_responses import terms


def test_how_an_answer_has_failed_or_is_not_finished() -> None:
    assert {"failed", "cancelled"} == terms.FAILED
    assert {"queued", "in_progress"} == terms.UNFINISHED


def test_why_an_answer_is_incomplete() -> None:
    reasons = {
        reason: terms.finish("incomplete", reason, called=True, refused=True)
        for reason in ("max_output_tokens", "content_filter", "steered", "max_messages", None)
    }
    assert reasons == {
        "max_output_tokens": Finish.LENGTH,
        "content_filter": Finish.FILTERED,
        "steered": Finish.PAUSED,
        "max_messages": Finish.PAUSED,
        None: Finish.LENGTH,
    }


def test_only_a_refusal_that_is_told_is_complete() -> None:
    assert terms.incomplete_reason(Finish.REFUSED, refused=True) is None
    assert terms.incomplete_reason(Finish.REFUSED, refused=False) == "content_filter"
    assert terms.incomplete_reason(Finish.LENGTH, refused=True) == "max_output_tokens"


def test_words() -> None:
    assert terms.MODES == {"auto": Choosing.AUTO, "none": Choosing.NONE, "required": Choosing.REQUIRED}
    assert {"low", "medium", "high"} == terms.VERBOSITIES
    assert terms.ASKED_TIERS == {
        "auto": "auto",
        "default": "default",
        "flex": "flex",
        "priority": "priority",
        "fast": "priority",
    }
    assert {"auto", "default", "flex", "scale", "priority", "ultrafast"} == terms.TIERS
