"""Events, codes, fields and flags that the documents tell of are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = "".join(
    path.read_text()
    for package in ("edge_service", "resolver_service")
    for path in sorted((ROOT / package).rglob("*.py"))
)
FLAGS = CODE + (ROOT / "forebay_cli" / "__main__.py").read_text()

OF_OTHERS = {"haproxy_server_status", "rule_files"}
FLAGS_OF_OTHERS = {"build", "help", "profile", "wait"}  # Of docker compose, and of every command.


def test_the_documents_tell_of_some() -> None:
    assert len(words(ROOT / "docs" / "scaling.md")) > 10
    assert len(flags(ROOT / "docs" / "operations.md")) > 20


def words(document: Path) -> set[str]:
    """Names with a `_` in them, but for those of metrics, which have a test of their own."""
    return {word for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", document.read_text()) if "forebay_" not in word}


def flags(document: Path) -> set[str]:
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", document.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_calls_by_its_name_exists(document: Path) -> None:
    assert {word for word in words(document) - OF_OTHERS if not re.search(rf"\b{word}\b", CODE)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_flag_that_a_document_names_exists(document: Path) -> None:
    assert {flag for flag in flags(document) - FLAGS_OF_OTHERS if not re.search(rf'"(--)?{flag}"', FLAGS)} == set()
