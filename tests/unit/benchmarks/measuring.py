"""Windows as the measurement makes them, without measuring anything."""

from __future__ import annotations

from benchmarks.found import Found, Row
from benchmarks.loads import Load
from benchmarks.window import Result, Window


def window(cpu_us: float, process: str = "edge", *, requests: int = 1000, p50_ms: float = 1.0) -> Window:
    """So much CPU of one process for each request."""
    result = Result(requests, 2.0, p50_ms / 1000, p50_ms / 500, first_s=p50_ms / 1000, pieces=50.0)
    return Window(result, {process: cpu_us * requests / 1e6}, load_side_s=0.5, foreign_s=0.1, wall_s=2.2)


def put(found: Found, load: Load, system: str, windows: list[Window]) -> None:
    found.rows[load.name, system] = Row(windows)
