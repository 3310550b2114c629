"""The corpus: what clients and providers of this dialect send, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import golden, published_anthropic


@pytest.mark.parametrize("path", golden.files("anthropic"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_becomes_of_it_is_as_it_was(path: Path) -> None:
    golden.check("anthropic", path)


@pytest.mark.parametrize(
    "path", golden.snapshots("answers", "anthropic.json"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_answers_have_the_published_shape(path: Path) -> None:
    published_anthropic.check_answer(path.read_bytes())


@pytest.mark.parametrize(
    "path", golden.snapshots("streams", "anthropic.sse"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_streams_have_the_published_shape(path: Path) -> None:
    assert list(published_anthropic.events(path.read_bytes()))


@pytest.mark.parametrize(
    "path", golden.snapshots("requests", "anthropic.json"), ids=lambda path: str(path.relative_to(golden.ROOT).parent)
)
def test_requests_have_the_published_shape(path: Path) -> None:
    published_anthropic.check_request(golden.written_body(path))
