"""What was measured, in words and tables: ratios first, since they travel between machines."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import debian
from benchmarks.forebay import Forebay
from benchmarks.processes import Cores
from benchmarks.wrk import Result

NGINX = "nginx proxy"
FOREBAY = "Forebay"
EDGE = "edge"
RESOLVER = "resolver"
PACKAGES = ("grpcio", "protobuf", "uvicorn", "uvloop", "httptools", "starlette", "httpx2", "msgspec")


@dataclass(frozen=True)
class Load:
    """What clients do, each as fast as it can."""

    name: str
    clients: int
    route: str
    """The provider's, and the name of the cluster that leads there."""
    goal: float | None = None
    """How many times nginx's CPU the edge may take."""


@dataclass(frozen=True)
class Window:
    """A system under a load for some seconds."""

    result: Result
    cpu_s: Mapping[str, float]
    """By process under test."""
    load_side_s: float
    """CPU of wrk and the provider."""
    foreign_s: float
    """CPU of everything else on the machine: noise."""
    wall_s: float

    @property
    def rate(self) -> float:
        return self.result.requests / self.result.seconds

    def cpu_us(self, *processes: str) -> float:
        """Per request."""
        return sum(self.cpu_s[name] for name in processes) / self.result.requests * 1e6


@dataclass(frozen=True)
class Measured:
    loads: Sequence[Load]
    windows: Mapping[tuple[str, str], Sequence[Window]]
    """By load and system, in their order."""
    starts: Sequence[Forebay]
    after_bytes: Mapping[str, int]
    """What was resident after all loads, by service."""
    cores: Cores
    tools: Mapping[str, str]
    seconds: int
    rounds: int


def line(window: Window) -> str:
    """A window in short."""
    cpu = ", ".join(f"{name} {window.cpu_us(name):.0f} us" for name in window.cpu_s)
    return f"{cpu}, {window.rate:,.0f}/s, p99 {window.result.p99_s * 1000:.2f} ms"


def text(measured: Measured) -> str:
    """The report, in Markdown."""
    return "\n".join(
        [
            "# Forebay beside nginx: a first measurement",
            "",
            f"Written by `make bench`. Windows of {measured.seconds} s, {measured.rounds} for each figure, the systems "
            "taking turns; medians, with the least and the most in parentheses.",
            "CPU time is utime + stime from `/proc/PID/stat`, children included, over the requests that wrk completed. "
            f"No errors in {_requests(measured):,} requests: one would have ended the run.",
            "",
            "## Ratios to nginx as a plain reverse proxy",
            "",
            *_table(
                ["load", "edge CPU", "goal", "edge + resolver CPU", "requests/s", "p50", "p99"],
                [_ratios(measured, load) for load in measured.loads],
            ),
            "",
            "## Absolute",
            "",
            *_table(
                ["load", "process", "CPU us per request", "of a core", "requests/s", "p50 ms", "p99 ms"],
                [row for load in measured.loads for row in _absolute(measured, load)],
            ),
            "",
            "## Services",
            "",
            *_table(
                ["service", "start until it serves, s", "idle, MiB resident", "after all loads, MiB resident"],
                _services(measured),
            ),
            "",
            "The edge's start lasts until `/readyz` is 200: its stream to the resolver is open.",
            "",
            "## Machine",
            "",
            *(f"- {fact}" for fact in _machine(measured)),
            "",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    middle, least, most = (shown(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least}–{most})"  # noqa: RUF001 - a range


def _ratios(measured: Measured, load: Load) -> list[str]:
    """Round by round, so that a disturbance that lasts meets both."""
    pairs = list(zip(measured.windows[load.name, FOREBAY], measured.windows[load.name, NGINX], strict=True))

    def ratio(value_of: Callable[[Window], float], base_of: Callable[[Window], float] | None = None) -> str:
        base_of = base_of or value_of
        return _spread([value_of(f) / base_of(n) for f, n in pairs], "{:.2f}x".format)

    return [
        load.name,
        f"**{ratio(lambda w: w.cpu_us(EDGE), lambda w: w.cpu_us(NGINX))}**",
        f"{load.goal:g}x" if load.goal else "-",
        ratio(lambda w: w.cpu_us(EDGE, RESOLVER), lambda w: w.cpu_us(NGINX)),
        ratio(lambda w: w.rate),
        ratio(lambda w: w.result.p50_s),
        ratio(lambda w: w.result.p99_s),
    ]


def _absolute(measured: Measured, load: Load) -> Iterable[list[str]]:
    for system, process in ((NGINX, NGINX), (FOREBAY, EDGE), (FOREBAY, RESOLVER)):
        windows = measured.windows[load.name, system]
        yield [
            load.name,
            process,
            _spread([w.cpu_us(process) for w in windows], "{:,.0f}".format),
            _spread([w.cpu_s[process] / w.result.seconds for w in windows], "{:.0%}".format),
            *(
                ["", "", ""]
                if process == RESOLVER
                else [
                    _spread([w.rate for w in windows], "{:,.0f}".format),
                    _spread([w.result.p50_s * 1000 for w in windows], "{:.2f}".format),
                    _spread([w.result.p99_s * 1000 for w in windows], "{:.2f}".format),
                ]
            ),
        ]


def _services(measured: Measured) -> Iterable[list[str]]:
    for name, started in (
        (RESOLVER, [forebay.resolver for forebay in measured.starts]),
        (EDGE, [forebay.edge for forebay in measured.starts]),
    ):
        yield [
            name,
            _spread([service.start_s for service in started], "{:.2f}".format),
            _spread([service.idle_bytes / 2**20 for service in started], "{:.1f}".format),
            f"{measured.after_bytes[name] / 2**20:.1f}",
        ]


def _requests(measured: Measured) -> int:
    return sum(window.result.requests for windows in measured.windows.values() for window in windows)


def _machine(measured: Measured) -> Iterable[str]:
    windows = [window for windows in measured.windows.values() for window in windows]
    yield f"measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, revision {_revision()}"
    yield f"{os.cpu_count()} cores, {_cpu_model()}; {platform.system()} {platform.release()}, {platform.machine()}"
    yield f"pinned: {measured.cores.description}"
    yield (
        "noise: processes that are not the measurement's took "
        + _spread([w.foreign_s / w.wall_s for w in windows], "{:.0%}".format)
        + " of a core during the windows"
    )
    yield (
        "wrk and the provider together took "
        + _spread([w.load_side_s / w.wall_s for w in windows], "{:.0%}".format)
        + " of a core; near 100 %, a rate is theirs and not the proxy's"
    )
    yield f"Python {platform.python_version()}"
    yield ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield f"{_said_by(measured.tools[debian.NGINX], '-v')}; {_said_by(measured.tools[debian.WRK], '-v')}"


def _revision() -> str:
    root = Path(__file__).parent.parent
    git = ["git", "--no-optional-locks", "-C", str(root)]
    try:
        revision = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no git"
    return revision.stdout.strip() + (" with changes" if changes.stdout else "")


def _cpu_model() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return "unknown CPU"


def _said_by(program: str, flag: str) -> str:
    """The first line; both tools end with an error when they are asked for their version, or print it there."""
    said = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).splitlines()[0].partition(" Copyright")[0]
