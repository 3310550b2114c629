"""The programs that make load, each in place of one that is not what it should be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import clients, generator, k6, wrk
from benchmarks.asking import Asked
from benchmarks.window import LoadError

ASKED = Asked("http://127.0.0.1:9/v1", b"{}")
COUNTED = {"requests": 4, "duration_us": 2_000_000, "bytes": 44, "p50_us": 1000, "p99_us": 3000}
METRICS = {
    "http_reqs": {"values": {"count": 400}},
    "http_req_failed": {"values": {"passes": 0}},
    "http_req_duration": {"values": {"p(50)": 1.0, "p(99)": 3.0}},
}
Run = Callable[[str, Path], object]


def by_wrk(program: str, script: Path) -> object:
    return wrk.run(program, script, ASKED, clients=1, seconds=2, answer_bytes=11, cores=())


def by_k6(program: str, script: Path) -> object:
    return k6.run(program, script, ASKED, clients=1, rate=200, seconds=2, cores=())


def program(directory: Path, script: str) -> str:
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def says(*lines: object) -> str:
    return "cat <<'EOF'\n" + "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\nEOF"


def test_what_they_count_is_read(tmp_path: Path) -> None:
    errors = dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0)
    script = says("Running 2s test", {**COUNTED, "errors": errors})
    assert by_wrk(program(tmp_path, script), tmp_path / "load") == wrk.Result(4, 2.0, 0.001, 0.003)
    assert by_k6(program(tmp_path, says(METRICS)), tmp_path / "load") == k6.Result(400, 2, 0.001, 0.003)


@pytest.mark.parametrize("run", [by_wrk, by_k6])
@pytest.mark.parametrize(
    "script",
    [
        "exit 3",
        "exit 0",
        "kill -9 $$",
        says("usage: another program"),
        says("{ not what is meant"),
        says({"another": "version"}),
        says("{}"),
        "printf '\\377\\376'",
    ],
)
def test_another_program_of_that_name_gives_no_figure(run: Run, script: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError):
        run(program(tmp_path, script), tmp_path / "load")


@pytest.mark.parametrize("run", [by_wrk, by_k6])
def test_one_that_cannot_be_run_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="/nowhere/program"):
        run("/nowhere/program", tmp_path / "load")


@pytest.mark.parametrize("wrong", ["errors", "requests", "bytes"])
def test_wrk_s_errors_are_none_of_its_figures(wrong: str, tmp_path: Path) -> None:
    found = {**COUNTED, "errors": {"status": int(wrong == "errors")}}
    found.update({"requests": 0} if wrong == "requests" else {"bytes": 43} if wrong == "bytes" else {})
    with pytest.raises(LoadError):
        by_wrk(program(tmp_path, says(found)), tmp_path / "load")


@pytest.mark.parametrize(
    "wrong",
    [{"http_req_failed": {"values": {"passes": 1}}}, {"dropped_iterations": {"values": {"count": 1}}}],
    ids=["failed", "not sent when it was due"],
)
def test_k6_s_errors_are_none_of_its_figures(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="errors under load"):
        by_k6(program(tmp_path, says({**METRICS, **wrong})), tmp_path / "load")


def test_one_that_hangs_is_killed_in_time() -> None:
    with pytest.raises(LoadError, match="timed out"):
        generator.ran(["sleep", "1000"], cores=(), longest_s=0.05)


def test_clients_that_are_killed_say_so_though_they_said_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, "kill -9 $$"))
    with pytest.raises(LoadError, match="status -9"):
        clients.run(ASKED, clients=1, count=1, answer_bytes=1, cores=())
