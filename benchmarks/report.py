"""What was found, in words and tables: ratios first, since they travel between machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from benchmarks import goals
from benchmarks.found import NOT_ASKED, Found, MissingError, Value
from benchmarks.loads import LOADS, Among, Load
from benchmarks.peers import PEERS
from benchmarks.spread import table, told
from benchmarks.systems import FOREBAY, NGINX, PROVIDER

NONE = "-"


def text(found: Found, command: str, *, is_quick: bool) -> str:
    """In Markdown. A quick one says nothing of goals that it did not look at."""
    requests = sum(window.result.requests for row in found.rows.values() for window in row.windows)
    parts: list[tuple[str, Sequence[str]]] = [
        ("Goals", _goals(found, is_quick)),
        ("Ratios to nginx as a plain reverse proxy", _ratios(found)),
        ("Beside its peers", _peers(found)),
        ("Absolute", _absolute(found)),
        ("Memory, starts, reloads", _apart(found)),
        ("What is missing", _missing(found)),
        ("Machine", [f"- {fact}" for fact in found.machine]),
    ]
    lines = [
        "# Forebay beside its peers",
        "",
        f"Written by `{command}`. Each figure is the median of its rounds, with the least and the most in parentheses; "
        "all systems take turns in every round. CPU time is what the operating system charged the processes for, "
        f"children included, over the requests that were completed: {requests:,} in all. An error ends a row.",
    ]
    for title, body in parts:
        if body:
            lines += ["", f"## {title}", "", *body]
    return "\n".join([*lines, ""])


def _goals(found: Found, is_quick: bool) -> Sequence[str]:
    rows = []
    for verdict in goals.verdicts(found):
        if is_quick and verdict.missing == NOT_ASKED:
            continue
        reached = verdict.missing or told(verdict.reached, verdict.goal.shown)
        rows.append([verdict.goal.figure, verdict.goal.told, reached, verdict.word])
    return table(["figure", "goal", "reached", ""], rows)


def _measured(found: Found) -> Iterator[tuple[Load, Sequence[str]]]:
    """The loads of this run, and who was under them."""
    for load in LOADS:
        if names := [system for name, system in found.rows if name == load.name]:
            yield load, names


def _shown(values: Callable[[], Sequence[float]], shown: Callable[[float], str]) -> str:
    try:
        return told(values(), shown)
    except MissingError:
        return NONE


_times = "{:.2f}x".format


def _ratios(found: Found) -> Sequence[str]:
    rows = []
    for load, names in _measured(found):
        if NGINX not in names:
            continue

        def ratio(value: Value, base: Value | None = None, load: Load = load) -> str:
            return _shown(lambda: found.ratios((load, FOREBAY, value), (load, NGINX, base or value)), _times)

        cells = [ratio(goals.edge, goals.whole), ratio(goals.whole), ratio(lambda window: window.rate)]
        cells += [ratio(lambda window: window.result.p50_s), ratio(lambda window: window.result.p99_s)]
        rows.append([load.name, f"**{cells[0]}**", *cells[1:]])
    return table(["load", "edge CPU", "edge + resolver CPU", "requests/s", "p50", "p99"], rows)


def _peers(found: Found) -> Sequence[str]:
    rows = []
    for load, names in _measured(found):
        if load.among is not Among.ALL:
            continue
        for system in (*names, *(peer.name for peer in PEERS if peer.name in found.missing)):
            if system == PROVIDER:
                continue
            us = _shown(lambda: found.each(load, system, goals.whole), "{:,.0f}".format)  # noqa: B023 - called at once
            times = _shown(
                lambda: found.ratios((load, system, goals.whole), (load, NGINX, goals.whole)),  # noqa: B023
                "{:,.1f}x".format,
            )
            added = [_added(found, load, system, value) for value in _LATENCIES]
            if reason := found.reason(load, system):
                us = f"no figure: {reason}"
            rows.append([load.name, system, f"**{times}**", us, *added])
    head = ["load", "system", "CPU to nginx's", "CPU us", "added p50 ms", "added p99 ms", "added first byte ms"]
    return table(head, rows) if rows else []


_LATENCIES: Sequence[Value] = (
    lambda window: window.result.p50_s,
    lambda window: window.result.p99_s,
    lambda window: window.result.first_s,
)


def _added(found: Found, load: Load, system: str, value: Value) -> str:
    def values() -> Sequence[float]:
        return [s * 1000 for s in found.differences((load, system, value), (load, PROVIDER, value))]

    return _shown(values, "{:.2f}".format)


def _absolute(found: Found) -> Sequence[str]:
    rows = [row for load, names in _measured(found) for system in names for row in _row(found, load, system)]
    head = ["load", "system", "by", "CPU us per request", "requests/s", "p50 ms", "p99 ms", "first byte ms", "pieces"]
    return table(head, rows)


def _row(found: Found, load: Load, system: str) -> Iterable[list[str]]:
    try:
        windows = found.windows(load, system)
    except MissingError as error:
        yield [load.name, system, load.by, f"no figure: {error}", *[NONE] * 5]
        return

    def cell(value: Value, shown: Callable[[float], str]) -> str:
        values = [value(window) for window in windows]
        return told(values, shown) if any(values) else NONE

    def of(process: str) -> str:
        return f"{process} {told([window.cpu_us(process) for window in windows], '{:,.0f}'.format)}"

    yield [
        load.name,
        system,
        load.by,
        ", ".join(of(process) for process in windows[0].cpu_s) or NONE,
        cell(lambda window: window.rate, "{:,.0f}".format),
        cell(lambda window: window.result.p50_s * 1000, "{:.2f}".format),
        cell(lambda window: window.result.p99_s * 1000, "{:.2f}".format),
        cell(lambda window: window.result.first_s * 1000, "{:.2f}".format),
        cell(lambda window: window.result.pieces, "{:.0f}".format),
    ]


def _apart(found: Found) -> Sequence[str]:
    times = [[name, _shown(partial(found.fact, name), _time)] for name in found.times_s]
    sizes = [[name, _shown(partial(found.fact, name), _size)] for name in found.sizes_bytes]
    return table(["", ""], [*sizes, *times]) if sizes or times else []


def _time(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:,.1f} KiB"


def _missing(found: Found) -> Sequence[str]:
    return [f"- {name}: {reason}" for name, reason in found.missing.items()]
