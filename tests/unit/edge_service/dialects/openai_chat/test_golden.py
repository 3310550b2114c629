"""The corpus: what clients and providers of this dialect send, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import golden, published_openai_chat


@pytest.mark.parametrize("path", golden.files("openai_chat"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_becomes_of_it_is_as_it_was(path: Path) -> None:
    golden.check("openai_chat", path)


@pytest.mark.parametrize(
    "path", golden.snapshots("answers", "openai_chat.json"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_answers_have_the_published_shape(path: Path) -> None:
    published_openai_chat.check_answer(path.read_bytes())


@pytest.mark.parametrize(
    "path", golden.snapshots("streams", "openai_chat.sse"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_streams_have_the_published_shape(path: Path) -> None:
    list(published_openai_chat.chunks(path.read_bytes()))


@pytest.mark.parametrize(
    "path", golden.snapshots("requests", "openai_chat.json"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_requests_have_the_published_shape(path: Path) -> None:
    published_openai_chat.check_request(golden.written_body(path))
