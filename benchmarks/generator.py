"""A program that makes load, run to its end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from benchmarks import processes
from benchmarks.window import LoadError


def ran(
    command: Sequence[str],
    *,
    cores: Sequence[int],
    longest_s: float | None = None,
    order: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """What became of it; it may have failed. The order is told on its stdin. Raises `LoadError` if it cannot be run, or
    does not end in time: it is killed then."""
    try:
        return subprocess.run(
            processes.on_cores(cores, command),
            input=order,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=longest_s,
            check=False,
            start_new_session=True,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(str(error)) from error
