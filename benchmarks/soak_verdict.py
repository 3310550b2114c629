"""What a soak has shown: a table of figures, and what had to hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from benchmarks.soak_clients import KINDS, UNASKED, Tally
from benchmarks.watching import Sample, median

MIB = 2**20
GROWTH = 0.03
GROWTH_BYTES = 2 * MIB
RECEIPT_BYTES = 150
"""The resolver remembers each report for ten minutes and more, to know it if it comes again (`app/receipts.py`): until
then its memory grows by design. An entry of a set, which is mostly empty at times, and the number in it."""
MISSED = 0.01
"""The share of the resolver's deadlines that may be missed: the machine has other work."""
INEXACT = "left"
"""Requests by this name are left by their clients: how far they got is anyone's guess."""
_ATTEMPTS = re.compile(r'forebay_attempts_total{disposition="(?P<disposition>[^"]+)",target="(?P<provider>[^/]+)/')


@dataclass(frozen=True)
class Soaked:
    """Everything that was seen."""

    took_s: float
    samples: Mapping[str, Sequence[Sample]]
    before: Mapping[str, Sample]
    after: Mapping[str, Sample]
    """At rest, before and after the load."""
    tally: Tally
    counts: Mapping[str, Mapping[str, int]]
    """The providers'."""
    metrics: Mapping[str, float]
    """The edge's."""
    reloads: int
    mistakes: int
    logs: str

    def dispositions(self, provider: str) -> dict[str, int]:
        """What became of the attempts with a provider, as the edge has counted it."""
        found = ((_ATTEMPTS.match(name), value) for name, value in self.metrics.items())
        return {m["disposition"]: int(value) for m, value in found if m is not None and m["provider"] == provider}

    def attempts(self, *dispositions: str) -> int:
        """Attempts that the edge has counted, without those of clients that leave."""
        return sum(
            count
            for name in self.counts
            if name != INEXACT
            for disposition, count in self.dispositions(name).items()
            if not dispositions or disposition in dispositions
        )

    @property
    def reports(self) -> int:
        """Reports that the resolver got and remembers."""
        return sum(sum(self.dispositions(name).values()) for name in self.counts)

    def provided(self, what: str) -> int:
        """Requests that the providers counted, without those of clients that leave."""
        return sum(counts.get(what, 0) for name, counts in self.counts.items() if name != INEXACT)

    def asked(self, outcome: str) -> int:
        """Outcomes that the clients counted, without those that leave."""
        return sum(self.tally.of(model, outcome) for model in {kind.model for kind in KINDS} - {INEXACT})


@dataclass(frozen=True)
class Check:
    """Something that had to hold."""

    name: str
    holds: bool
    detail: str


def checks(it: Soaked) -> list[Check]:
    return [*_flat(it), *_at_rest(it), *_exact(it), *_quiet(it)]


def _flat(it: Soaked) -> Iterator[Check]:
    """The second fifth of the time against the last: the first is for warming up."""
    by_design = {"edge": 0.0, "resolver": it.reports * 3 / 5 * RECEIPT_BYTES}
    for name, samples in it.samples.items():
        early, late = (median(samples, lambda s: s.rss_bytes, fifth) for fifth in (2, 5))
        most = early * (1 + GROWTH) + GROWTH_BYTES + by_design[name]
        detail = f"{early / MIB:.1f} -> {late / MIB:.1f} MiB, at most {most / MIB:.1f}"
        yield Check(f"memory of the {name} is flat", late <= most, detail)
        for what, of, slack in _COUNTED:
            if not any(map(of, samples)):
                continue  # Nobody looks at the resolver's.
            early, late = (median(samples, of, fifth) for fifth in (2, 5))
            yield Check(f"{what} of the {name} are flat", late <= early + slack, f"{early:g} -> {late:g}")


_CLIENTS = sum(kind.clients for kind in KINDS)
_COUNTED: tuple[tuple[str, Callable[[Sample], int], int], ...] = (
    # Load wavers: a client is in the middle of a request at one look, and between two at another. What is left behind
    # for good shows at rest, to the last one.
    ("file descriptors", lambda s: s.fds, _CLIENTS),
    ("threads", lambda s: s.threads, 2),
    ("connections", lambda s: s.connections, _CLIENTS),
    ("tasks", lambda s: s.tasks, 2 * _CLIENTS),
)


def _at_rest(it: Soaked) -> Iterator[Check]:
    for name in it.before:
        before, after = it.before[name], it.after[name]
        for what, of, _ in _COUNTED:
            if of(before) and what != "threads":  # Pools of threads keep what they have once needed.
                yield Check(
                    f"{what} of the {name} are back at rest", of(after) <= of(before), f"{of(before)} -> {of(after)}"
                )
    yield _equal("no request is under way", 0, it.metrics["forebay_requests_in_progress"])


def _exact(it: Soaked) -> Iterator[Check]:
    """Each request that was served was served by one provider, once."""
    yield Check("every answer was one of those expected", not it.tally.errors, f"{dict(it.tally.errors)}")
    missed, asked = it.tally.of("nobody", UNASKED), sum(it.tally.outcomes["unknown model"].values())
    yield Check("the resolver kept its deadline", missed <= 1 + asked * MISSED, f"missed {missed} times of {asked:,}")
    served = it.asked("served")
    yield _equal("clients were served as often as providers served", served, it.provided("served"))
    yield _equal("the edge counted as many", served, it.attempts("ok"))
    cut = it.counts["cut"].get("streams cut", 0)
    yield _equal("streams broke off that providers cut, and no others", cut, it.asked("interrupted"))
    yield _equal("providers were called as often as the edge says", it.attempts(), it.provided("calls"))
    yield _equal("no answer of theirs was broken off", 0, it.provided("broken off"))
    moved = it.attempts("timeout", "broken") - it.asked("interrupted")
    yield _equal("moves that may have cost twice", moved, it.metrics["forebay_possible_duplicates_total"])


def _quiet(it: Soaked) -> Iterator[Check]:
    yield Check("no traceback in the logs", "Traceback" not in it.logs, "")
    yield Check("every good configuration was taken", it.logs.count('"config_reloaded"') == it.reloads, f"{it.reloads}")
    yield Check("every mistake was refused", it.logs.count('"config_rejected"') == it.mistakes, f"{it.mistakes}")


def _equal(name: str, expected: float, found: float) -> Check:
    return Check(name, expected == found, f"{expected:,g}" if expected == found else f"{expected:,g} and {found:,g}")


def text(it: Soaked) -> str:
    """The figures and the checks, in Markdown."""
    kinds = [
        (kind.name, kind.model or "-", sum(counter.values()), _told(counter))
        for kind in KINDS
        if (counter := it.tally.outcomes.get(kind.name)) is not None
    ]
    held = [
        (name, what, *(f"{shown(value):,.1f}" for value in (it.before[name], *_fifths(samples), it.after[name])))
        for name, samples in it.samples.items()
        for what, shown in _HELD
        if any(map(shown, samples))
    ]
    requests = it.tally.requests
    return "\n".join(
        [
            f"# Soak: {it.took_s:.0f} s, {requests:,} requests, {requests / it.took_s:,.0f}/s, "
            f"{sum(it.tally.errors.values())} errors, {it.reloads} reloads, slowest {it.tally.slowest_s:.1f} s",
            "",
            *_table(("clients", "name", "requests", "what came of them"), kinds),
            "",
            *_table(("process", "holds", "at rest", "1/5", "2/5", "3/5", "4/5", "5/5", "at rest again"), held),
            "",
            *_table(
                ("provider", "what it counted", "attempts as the edge counted them"),
                [(name, _told(counts), _told(it.dispositions(name))) for name, counts in it.counts.items()],
            ),
            "",
            *_table(("", "what had to hold", ""), [_row(check) for check in checks(it)]),
            "",
        ]
    )


_HELD: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("MiB resident", lambda s: s.rss_bytes / MIB),
    *((what, of) for what, of, _ in _COUNTED),
)


def _fifths(samples: Sequence[Sample]) -> Iterator[Sample]:
    """The medians of each fifth of the time."""
    for fifth in range(1, 6):
        fields = ("rss_bytes", "fds", "threads", "connections", "tasks")
        medians = (int(median(samples, attrgetter(name), fifth)) for name in fields)
        yield Sample(0.0, *medians)


def _row(check: Check) -> tuple[str, str, str]:
    return ("ok" if check.holds else "**NOT OK**", check.name, check.detail)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {count:,}" for what, count in sorted(counts.items()))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(map(str, cells))} |" for cells in (head, ["---"] * len(head), *rows)]
