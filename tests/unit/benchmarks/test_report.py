from __future__ import annotations

from pathlib import Path

from benchmarks import apart, debian, loads, machine, report
from benchmarks.found import NOT_ASKED, Found, Row
from benchmarks.processes import Cores
from benchmarks.systems import FOREBAY, NGINX, PROVIDER
from tests.unit.benchmarks.measuring import put, window


def measured() -> Found:
    found = Found(missing={"smg": "it does not start"})
    for system, process, us in ((PROVIDER, "", 0.0), (NGINX, "nginx", 20.0), (FOREBAY, "edge", 100.0)):
        put(found, loads.JSON_1, system, [window(us, process) for _ in range(3)])
    return found


def line(text: str, begin: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(begin))


def test_ratios_come_before_absolute_times() -> None:
    text = report.text(measured(), "make bench", is_quick=False)
    assert text.index("## Goals") < text.index("## Ratios") < text.index("## Absolute")
    assert "**5.00x (5.00x–5.00x)**" in line(text, f"| {loads.JSON_1.name} | **")  # noqa: RUF001 - a range


def test_a_missing_peer_has_a_row_that_says_so() -> None:
    text = report.text(measured(), "make bench", is_quick=False)
    assert "no figure: it does not start" in line(text, f"| {loads.JSON_1.name} | smg |")
    assert "- smg: it does not start" in text


def test_a_row_that_ended_says_why_and_has_no_figure() -> None:
    found = measured()
    found.rows[loads.JSON_1.name, FOREBAY] = Row([window(100)], ended="5 resets")
    text = report.text(found, "make bench", is_quick=False)
    assert line(text, f"| {loads.JSON_1.name} | Forebay | clients |").count("no figure: 5 resets") == 1
    assert "5.00x" not in text


def test_a_quick_report_leaves_out_the_goals_that_it_did_not_look_at() -> None:
    assert NOT_ASKED in report.text(measured(), "make bench", is_quick=False)
    assert NOT_ASKED not in report.text(measured(), "make bench-quick", is_quick=True)


def test_of_a_time_that_ended_in_an_error_no_round_is_told() -> None:
    found = measured()
    name = f"resolver, 100 pools, {apart.START}"
    found.took(name, 0.5)
    found.missing[name] = "the second time it did not serve"
    text = report.text(found, "make bench", is_quick=False)
    assert line(text, f"| {name} |") == f"| {name} | - |"
    assert "the second time it did not serve | not measured" in line(text, "| resolver serves after")


def test_a_version_is_told_of_peers_that_took_part(tmp_path: Path) -> None:
    found = measured()
    put(found, loads.JSON_1, "ferrogw", [window(50, "ferrogw")])
    told = "\n".join(machine.facts(found, {debian.NGINX: str(tmp_path / "nginx")}, Cores((), ())))
    assert "ferrogw " in told
    assert "LiteLLM" not in told
    assert "nginx of unknown version" in told


def test_a_tool_that_does_not_say_its_version_costs_no_report(tmp_path: Path) -> None:
    told = "\n".join(machine.facts(measured(), {debian.WRK: "/bin/true"}, Cores((), ())))
    assert "true of unknown version" in told
