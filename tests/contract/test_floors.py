"""The floors of the house hold: the contracts stand in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own: it changes how all of its process logs.
COMMAND = (
    sys.executable,
    "-c",
    "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))",
)


def test_every_module_imports_only_what_its_floor_may() -> None:
    done = subprocess.run(
        COMMAND, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
