"""The corpus: what clients and providers of this dialect send, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import golden, published_responses


@pytest.mark.parametrize("path", golden.files("openai_responses"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_becomes_of_it_is_as_it_was(path: Path) -> None:
    golden.check("openai_responses", path)


def test_what_is_written_has_the_published_shape() -> None:
    for snapshot in golden.snapshots("requests", "openai_responses.json"):
        published_responses.check_request(golden.written_body(snapshot))
    for snapshot in golden.snapshots("answers", "openai_responses.json"):
        assert published_responses.check_answer(snapshot.read_bytes()).model == "the-name"
    for snapshot in golden.snapshots("streams", "openai_responses.sse"):
        assert list(published_responses.events(snapshot.read_bytes()))
