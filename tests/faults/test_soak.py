"""The soak in short: what it asserts holds after seconds as it does after minutes. `make soak` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_nothing_grows_gets_lost_or_is_counted_wrong() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.soak", "--seconds", "15"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_one_edge_learns_is_in_the_plans_of_another() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.propagation", "--rounds", "20"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "| first request to the other edge that found it left out |" in done.stdout
