"""`make demo`, as whoever types it sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-W", "error", "-m", "examples.failover_demo")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What is set for services that are run for good, which is none of the demo's business. Whatever was left behind
    shows itself in the directory for temporary files."""
    services = {"FOREBAY_EDGE_LISTEN": "nonsense", "FOREBAY_TOKEN": "secret"}
    yield {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "error", **services}
    assert list(tmp_path.iterdir()) == []


def test_shows_a_failover_and_ends_by_itself(environment: dict[str, str]) -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50)

    assert (done.returncode, done.stderr) == (0, "")
    _, moved, straight, why, streamed, recovered = scenes(done.stdout)
    assert "200 OK" in moved
    assert "x-forebay-target: second/m#0\n   x-forebay-attempts: 2" in moved
    assert "first answered 429, then second answered 200" in moved
    assert "x-forebay-target: second/m#0\n   x-forebay-attempts: 1" in straight
    assert "(behind the gateway: second answered 200)" in straight
    assert "cooling: rate-limited" in why
    assert "x-forebay-target: second/m#0\n   x-forebay-attempts: 2" in streamed
    assert "'Hello' 'from' 'the' 'second' 'provider.' [DONE]" in streamed
    assert "x-forebay-target: first/m#0\n   x-forebay-attempts: 1" in recovered
    assert "'Hello from the first provider.'" in recovered


def scenes(output: str) -> list[str]:
    """What stands before the first scene, and the five scenes."""
    parts = [""]
    for line in output.splitlines(keepends=True):
        if line[:1].isdigit():
            parts.append("")
        parts[-1] += line
    return parts


def test_stops_what_it_started_when_it_is_interrupted(environment: dict[str, str]) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("3. ") for line in process.stdout)
        children = children_of(process.pid)
        assert len(children) == 2
        process.send_signal(signal.SIGINT)
        assert "Stopping ..." in process.stdout.read()
        assert process.wait(20) == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
