from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import apart, bench, debian, goals, loads, processes
from benchmarks.arranged import Arrangement
from benchmarks.bench import Length
from benchmarks.forebay import Forebay, Service
from benchmarks.found import Found
from benchmarks.loads import Among
from benchmarks.nginx import Nginx
from benchmarks.processes import Cores
from benchmarks.running import Running
from benchmarks.systems import System
from benchmarks.window import LoadError
from tests.unit.benchmarks.measuring import window

ALONE = System("nginx", {"nginx": [1]}, lambda _: None)
SERVICE = Service(0, "", 0.0, 0)
ARRANGEMENT = Arrangement(Nginx(0, 1), Forebay(SERVICE, SERVICE), {Among.ALL: [ALONE], Among.BOTH: [ALONE]})


def test_an_error_ends_a_row_though_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    running, found = Running({}, Path(), Cores((), ()), 0), Found()
    windows = iter([window(1), LoadError()])

    def measured(*_: object) -> object:
        if isinstance(it := next(windows), LoadError):
            raise it
        return it

    monkeypatch.setattr(Running, "warm_up", lambda *_: None)
    monkeypatch.setattr(Running, "window", measured)
    monkeypatch.setattr(Length, "loads", [loads.JSON_32])
    bench.measure(found, ARRANGEMENT, running, Length(3, 1.0, is_quick=True))
    assert found.reason(loads.JSON_32, "nginx") == "LoadError()"


def test_memory_of_streams_is_not_told_without_what_lets_them_wait() -> None:
    found = Found()
    edge = System("Forebay", {"edge": [1]}, lambda _: None)
    apart.open_streams(found, [edge], {}, Cores((), ()))
    told = next(each for each in goals.verdicts(found) if each.goal.figure == "edge's memory, per open stream")
    assert told.missing == f"{debian.LUA} is missing"


def test_of_a_process_that_has_ended_no_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(pid: int) -> int:
        raise ProcessLookupError(pid)

    monkeypatch.setattr(processes, "rss_bytes", ended)
    found = Found()
    apart.resident(found, [ALONE], apart.AFTER)
    assert found.sizes_bytes == {}


def test_figures_that_cannot_be_written_are_printed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench, "run", lambda *_: Found())
    monkeypatch.setattr(bench.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["bench"])
    with pytest.raises(SystemExit, match="could not be written"):
        bench.main()
    assert "## Goals" in capsys.readouterr().out
