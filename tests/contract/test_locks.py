"""What is installed from the locks is all that the project says it needs: nothing is resolved beside them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME: list[str] = PROJECT["project"]["dependencies"]
GROUPS: dict[str, list[str | dict[str, str]]] = PROJECT["dependency-groups"]
MODEL: list[str] = PROJECT["project"]["optional-dependencies"]["local-model"]


def names(requirements: list[str] | list[str | dict[str, str]]) -> set[str]:
    plain = [each for each in requirements if isinstance(each, str)]
    return {re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in plain}


LOCKED = {
    "runtime": names(RUNTIME),
    "dev": names(RUNTIME) | names(GROUPS["dev"]) | names(GROUPS["build"]),
    "model": names(RUNTIME) | names(MODEL),
    "build": names(GROUPS["build"]),
}


@pytest.mark.parametrize("lock", LOCKED)
def test_each_has_its_hashes_and_none_has_carried_a_thief(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert pinned
    assert [line for line in pinned if "--hash=sha256:" not in line] == []
    assert not re.search(r"^litellm\b", text, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("lock", LOCKED)
def test_every_dependency_is_locked(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    assert LOCKED[lock]
    assert LOCKED[lock] - set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,-]+\])?==", text, re.MULTILINE)) == set()
