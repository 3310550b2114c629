"""What Forebay costs beside its peers, in one interleaved run: `make bench`, and in two minutes `make bench-quick`.

All stand before the same provider and get the same loads, in turns within every round. CPU time is what the operating
system charged the processes for, over the requests that were completed. An error ends a row: there is no figure with
errors. What is missing is named, and the rest goes on.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import apart, arranged, debian, environments, goals, machine, nginx, picture, processes, report
from benchmarks.arranged import Arrangement
from benchmarks.debian import MissingToolError
from benchmarks.found import Found, MissingError, Row
from benchmarks.loads import LOADS, Among, Load
from benchmarks.picture import Bars
from benchmarks.running import Running
from benchmarks.systems import FOREBAY, NGINX, PROVIDER, WrongAnswerError
from benchmarks.window import LoadError

RESULTS = Path(__file__).parent / "results"
WARM_UP_S = 1.0
POOLS = (100, 1_000, 10_000)
"""With so many the services are started, and the file is read again."""


@dataclass(frozen=True)
class Length:
    rounds: int
    seconds: float
    """Of a window."""
    is_quick: bool

    @property
    def loads(self) -> Sequence[Load]:
        return [load for load in LOADS if load.is_quick] if self.is_quick else LOADS


def measure(found: Found, arrangement: Arrangement, running: Running, length: Length) -> None:
    """Every system under every load that concerns it; all take turns in every round."""
    for number in range(length.rounds + 1):
        for load in length.loads:
            for system in arrangement.asked(load):
                row = found.rows.setdefault((load.name, system.name), Row())
                if row.ended:
                    continue
                try:
                    if number == 0:
                        running.warm_up(system, load, WARM_UP_S)
                        continue
                    window = running.window(system, load, length.seconds)
                except (LoadError, WrongAnswerError, OSError) as error:
                    row.ended = str(error) or repr(error)
                    print(f"{load.name}, {system.name}: NO FIGURE: {row.ended}", flush=True)
                else:
                    row.windows.append(window)
                    print(f"{load.name}, round {number}, {system.name}: {window}", flush=True)


def run(directory: Path, length: Length) -> Found:
    """Raises `MissingToolError` and `StartError` where nothing can be measured at all."""
    found = Found()
    tools = debian.require(debian.NGINX)
    for tool in (debian.WRK, debian.LUA, *(() if length.is_quick else (debian.K6,))):
        try:
            path = str(environments.of_python(tool) / tool) if tool == debian.K6 else debian.require(tool)[tool]
            if tool == debian.LUA:
                nginx.require_lua(tools[debian.NGINX], directory / "lua")
            tools[tool] = path
        except MissingToolError as error:
            found.missing[tool] = str(error)
            print(f"SKIPPED: what needs {tool}: {error}", flush=True)
    cores = processes.split_cores()
    print(f"pinned: {cores.description}", flush=True)
    try:
        with arranged.arranged(found, tools, directory, cores, is_quick=length.is_quick) as arrangement:
            running = Running(tools, directory, cores, arrangement.provider.pid)
            apart.resident(found, arrangement.among[Among.ALL], apart.IDLE)
            apart.open_streams(found, arrangement.among[Among.BOTH], tools, cores)
            measure(found, arrangement, running, length)
            apart.resident(found, arrangement.among[Among.ALL], apart.AFTER)
            if not length.is_quick:
                apart.starts(found, arrangement.provider, directory, length.rounds, POOLS)
    except processes.StartError as error:
        if not any(row.windows for row in found.rows.values()):
            raise
        found.missing["a clean end"] = str(error)
    found.machine = list(machine.facts(found, tools, cores))
    return found


def drawn(found: Found) -> str:
    """The picture of the ratios."""
    bounds = {goal.load: goal.bound for goal in goals.GOALS if goal.load is not None}
    rows = []
    for load in LOADS:
        ratios = []
        for system in (system for name, system in found.rows if name == load.name):
            value = goals.edge if system == FOREBAY else goals.whole
            try:
                each = found.ratios((load, system, value), (load, NGINX, goals.whole))
            except MissingError:
                continue
            if system not in (NGINX, PROVIDER):
                ratios.append((system, statistics.median(each)))
        if ratios:
            rows.append(Bars(load.name, ratios, bounds.get(load)))
    note = "CPU per request, times that of nginx as a plain reverse proxy; of Forebay the edge's. Red: the goal."
    return picture.svg("What a request costs", note, rows)


def _last_lines(directory: Path) -> str:
    """What the processes had to say at the end."""
    logs = {log: log.read_text(errors="replace").splitlines() for log in sorted(directory.glob("*/*.log"))}
    return "\n".join(
        "\n".join([f"--- {log.parent.name}/{log.name}", *lines[-15:]]) for log, lines in logs.items() if lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Forebay and nginx under the most telling loads")
    parser.add_argument("--seconds", type=float, help="how long a window is (default: 3; quick: 1)")
    parser.add_argument("--rounds", type=int, help="how many windows of each kind (default: 5; quick: 3)")
    given = parser.parse_args()
    length = Length(given.rounds or (3 if given.quick else 5), given.seconds or (1 if given.quick else 3), given.quick)
    # As Ctrl-C does, so that whatever was started is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        directory = Path(name)
        try:
            found = run(directory, length)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except (MissingToolError, processes.StartError) as error:
            sys.exit(f"no figures: {error}\n{_last_lines(directory)}")
    stem = "bench-quick" if given.quick else "bench"
    text = report.text(found, f"make {stem}", is_quick=given.quick)
    print(f"\n{text}", flush=True)
    try:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(text)
        (RESULTS / f"{stem}.svg").write_text(drawn(found))
    except OSError as error:
        sys.exit(f"the figures are above, and could not be written: {error}")
    print(f"written to {RESULTS / stem}.md, and drawn in {stem}.svg")


if __name__ == "__main__":
    main()
