from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.budget import CountError


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true", "/nowhere/valgrind"])
def test_what_counts_nothing_is_no_count(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(guard, "_PATHS", (program,))
    with pytest.raises(CountError):
        guard.calibrated()


def test_a_budget_is_of_one_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guard, "BUDGET", tmp_path / "budget.toml")
    with pytest.raises(CountError, match="WRITE=1"):
        guard.known()
    guard.BUDGET.write_text('python = "3.0"\n')
    with pytest.raises(CountError, match="WRITE=1"):
        guard.known()
    guard.BUDGET.write_text(f'python = "{guard._python()}"\n[instructions]\n"a path" = 7\n')
    assert guard.known() == {"instructions": {"a path": 7}}
