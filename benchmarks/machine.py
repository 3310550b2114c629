"""What was measured on, and with which versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import debian, environments
from benchmarks.found import Found
from benchmarks.peers import PEERS
from benchmarks.processes import Cores
from benchmarks.spread import told

SAY_S = 10.0
PACKAGES = ("grpcio", "protobuf", "uvicorn", "uvloop", "httptools", "starlette", "httpx2", "msgspec")


def facts(found: Found, tools: Mapping[str, str], cores: Cores) -> Iterator[str]:
    """One sentence each."""
    yield f"measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, revision {revision()}"
    yield f"{os.cpu_count()} cores, {_cpu_model()}; {platform.system()} {platform.release()}, {platform.machine()}"
    yield f"pinned: {cores.description}"
    if windows := [window for row in found.rows.values() for window in row.windows]:
        yield (
            "noise: processes that are not the measurement's took "
            + told([window.foreign_s / window.wall_s for window in windows], "{:.0%}".format)
            + " of a core during the windows"
        )
        yield (
            "load and provider together took "
            + told([window.load_side_s / window.wall_s for window in windows], "{:.0%}".format)
            + " of a core; near 100 %, a rate is theirs and not that of what was measured"
        )
    yield f"Python {platform.python_version()}"
    yield ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    took_part = {system for _, system in found.rows}
    if asked := [peer for peer in PEERS if peer.name in took_part]:
        yield ", ".join(f"{peer.name} {environments.version(peer.package)}" for peer in asked)
    said = [_said_by(tools[tool], flag) for tool, flag in _FLAGS.items() if tool in tools]
    node = debian.find(debian.NODE)
    yield "; ".join([*said, *([f"node {_said_by(node, '--version')}"] if node else [])])


_FLAGS = {debian.NGINX: "-v", debian.WRK: "-v", debian.K6: "version"}


def revision() -> str:
    """Of this work tree."""
    git = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no git"
    return head.stdout.strip() + (" with changes" if changes.stdout else "")


def _cpu_model() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return "unknown CPU"


def _said_by(program: str, flag: str) -> str:
    """The first line; nginx and wrk end with an error when they are asked for their version, or print it there."""
    try:
        said = subprocess.run(
            [program, flag], capture_output=True, encoding="utf-8", errors="replace", timeout=SAY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{Path(program).name} of unknown version: {error}"
    first = (said.stdout + said.stderr).partition("\n")[0].partition(" Copyright")[0]
    return first or f"{Path(program).name} of unknown version"
