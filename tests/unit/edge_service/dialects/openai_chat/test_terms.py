from __future__ import annotations

import pytest

from edge_service.dialects.canonical import Choosing, Finish
from edge_service.dialects.openai_chat import terms


def test_why_an_answer_ends_and_how_it_fails() -> None:
    assert terms.FINISHES == {
        "stop": Finish.STOP,
        "length": Finish.LENGTH,
        "tool_calls": Finish.TOOL_CALLS,
        "function_call": Finish.TOOL_CALLS,
        "content_filter": Finish.FILTERED,
        "model_length": Finish.CONTEXT,
    }
    assert sorted(terms.FAILURES) == ["error", "insufficient_system_resource"]


def test_calls_make_only_what_is_complete_end_with_calls() -> None:
    assert terms.finish("stop", has_calls=True) is Finish.TOOL_CALLS
    assert terms.finish("length", has_calls=True) is Finish.LENGTH


def test_words() -> None:
    assert terms.MODES == {
        "auto": Choosing.AUTO,
        "none": Choosing.NONE,
        "required": Choosing.REQUIRED,
        "any": Choosing.REQUIRED,
    }
    assert sorted(terms.TIERS) == ["auto", "default", "fast", "flex", "priority", "scale"]


@pytest.mark.parametrize(
    ("media_type", "name"),
    [("wav", "wav"), ("wave", "wav"), ("x-wav", "wav"), ("mp3", "mp3"), ("mpeg", "mp3"), ("flac", None)],
)
def test_formats_of_audio(media_type: str, name: str | None) -> None:
    assert terms.AUDIO_FORMATS.get(f"audio/{media_type}") == name


def test_a_format_is_known_by_its_first_bytes() -> None:
    assert terms.BEGINNINGS == {
        "iVBORw0KGgo": "image/png",
        "/9j/": "image/jpeg",
        "R0lGOD": "image/gif",
        "UklGR": "image/webp",
        "JVBERi": "application/pdf",
    }
