"""The floors of the house hold: the contracts stand in pyproject.toml."""

from __future__ import annotations

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_every_module_imports_only_what_its_floor_may() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS
