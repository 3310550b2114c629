"""What `make` says to who has just got here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("python", ["an old one", "none"])
def test_who_has_no_python_that_is_new_enough_is_told_before_anything_is_made(tmp_path: Path, python: str) -> None:
    for name in ("requirements", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    given = tmp_path / "python"
    if python == "an old one":
        given.write_text("#!/bin/sh\nexit 1\n")
        given.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), "run", f"PYTHON={given}", "CONFIG=my.yaml"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert "Forebay needs Python 3.11 or newer; say where it is: make PYTHON=python3.12 run" in made.stderr
    assert not (tmp_path / ".venv").exists()
