"""Whether the hot paths cost more than their budget: `make bench-guard`; `make bench-guard WRITE=1` writes it anew.

Counted are instructions, by callgrind: they are the same however busy the machine is. Without valgrind it is CPU time
in units of a fixed loop that runs beside it, which is told, and tolerates more.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import budget
from benchmarks.budget import TOLERANCE, TOLERANCE_CALIBRATED, CountError
from benchmarks.counted_paths import TIMES

BUDGET = Path(__file__).with_name("budget.toml")
LONGEST_S = 900
_PROGRAMS = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
_PATHS = (sys.executable, "-m", "benchmarks.counted_paths")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).parent.parent)}


def instructions() -> dict[str, float]:
    """Instructions per call, by path. Raises `CountError`."""
    with tempfile.TemporaryDirectory(prefix="forebay-guard-") as name:
        out = Path(name) / "counted"
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-before=getppid"]
        told = _run([*valgrind, f"--callgrind-out-file={out}", *_PATHS])
        parts = sorted(out.parent.glob("counted.*"), key=lambda part: int(part.suffix[1:]))
        return budget.per_call(told, [_total(part) for part in parts], TIMES)


def _total(part: Path) -> int:
    found = re.search(r"^totals: (\d+)", part.read_text(), re.MULTILINE)
    if found is None:
        raise CountError(f"callgrind wrote no total into {part.name}")
    return int(found[1])


def calibrated() -> dict[str, float]:
    """CPU time per call in units of the calibration, by path. Raises `CountError`."""
    return dict(_run([*_PATHS, "--calibrated"]))


def _run(command: Sequence[str]) -> Any:
    """What it prints, read as JSON."""
    environment = {"PATH": _PROGRAMS, **_ENVIRONMENT}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CountError(f"it took longer than {LONGEST_S} s") from error
    except OSError as error:
        raise CountError(str(error)) from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if '"event":"request"' not in line]
        raise CountError("\n".join(said[-20:]))
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise CountError(f"{command[0]} ran, but printed {done.stdout[:200]!r}") from error


def known() -> dict[str, dict[str, float]]:
    """The budget, by the kind of its figures. Raises `CountError` if there is none for this Python."""
    found = tomllib.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    if found.pop("python", None) != _python():
        raise CountError(f"{BUDGET.name} has no budget for Python {_python()}: WRITE=1 writes another")
    return found


def check(kind: str, tolerance: float, allowed: dict[str, float], counted: dict[str, float]) -> int:
    """Prints the comparison. Returns how many paths are over the budget."""
    rows = budget.compared(allowed, counted, tolerance)
    print(f"{kind}, per call{'':42} {'budget':>16} {'counted':>16}")
    print("\n".join(map(str, rows)))
    return sum(bool(row.complaint) for row in rows)


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what is counted as the budget")
    given = parser.parse_args()
    with_valgrind = shutil.which("valgrind", path=_PROGRAMS) is not None
    try:
        if given.write:
            if not with_valgrind:
                sys.exit("a budget needs valgrind (Debian's valgrind)")
            BUDGET.write_text(budget.written(_python(), instructions(), calibrated()))
            print(f"written: {BUDGET}")
            return
        allowed = known()
        if with_valgrind:
            over = check("instructions", TOLERANCE, allowed["instructions"], instructions())
        else:
            print(
                "valgrind is missing (Debian's valgrind): CPU time in units of a fixed loop instead, which tells less"
            )
            over = check("calibrated", TOLERANCE_CALIBRATED, allowed["calibrated"], calibrated())
    except CountError as error:
        sys.exit(f"nothing could be counted: {error}")
    if over:
        sys.exit(f"{over} of the hot paths are not within the budget")


if __name__ == "__main__":
    main()
