from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import gemini_types, golden


@pytest.mark.parametrize("path", golden.files("gemini"), ids=lambda path: path.stem)
def test_what_is_sent_becomes_what_it_became_before(path: Path) -> None:
    golden.check("gemini", path)


def test_requests_are_of_the_types_that_google_publishes() -> None:
    for snapshot in golden.snapshots("requests", "gemini.json"):
        gemini_types.request(golden.written_body(snapshot))


def test_answers_are_of_the_types_that_google_publishes() -> None:
    for snapshot in golden.snapshots("answers", "gemini.json"):
        assert gemini_types.answer(snapshot.read_bytes()).model_version == "the-name"


def test_streams_are_of_the_types_that_google_publishes() -> None:
    for snapshot in golden.snapshots("streams", "gemini.sse"):
        gemini_types.chunks(snapshot.read_bytes())
