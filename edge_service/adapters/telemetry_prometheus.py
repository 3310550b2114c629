"""Metrics of the edge."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from edge_service.app.record import Record, Tokens

# Seconds. Overheads and resolves are a matter of milliseconds, first content may take minutes.
_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class ResolverLink(Protocol):
    """What the resolver's client knows of itself, read when somebody asks."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def reports_dropped(self) -> int: ...

    @property
    def reports_unacknowledged(self) -> int: ...


class PrometheusTelemetry:
    """A `Telemetry`. Label values are names and targets that somebody has configured, dispositions and statuses: what
    clients write adds no series."""

    def __init__(
        self, registry: CollectorRegistry, resolver: ResolverLink, log: Callable[[Record, float], None]
    ) -> None:
        """`log` writes each request's log line."""
        self._log = log
        Gauge("forebay_resolver_up", "Whether any resolver has accepted a stream", registry=registry).set_function(
            lambda: float(resolver.is_connected)
        )
        Gauge(
            "forebay_reports_unacknowledged", "Reports that no resolver has acknowledged yet", registry=registry
        ).set_function(lambda: resolver.reports_unacknowledged)
        registry.register(_ReportsDropped(resolver))
        self._requests = _Counts(registry, "forebay_requests", "Requests by the name that was found", "name", "status")
        self._attempts = _Counts(registry, "forebay_attempts", "Attempts that are over", "target", "disposition")
        self._failovers = _Counts(registry, "forebay_failovers", "Moves to the next target", "disposition")
        self._tokens = _Counts(
            registry,
            "forebay_attempt_tokens",
            "Tokens that providers tell of: input with cached, cached, output with reasoning",
            "target",
            "kind",
        )
        self._dropped = _Counts(
            registry,
            "forebay_dropped",
            "Fields that answers do without, by the dialect that has no words for them",
            "field",
            "dialect",
        )
        self._passed_over = _Counts(
            registry,
            "forebay_passed_over",
            "Targets that were not asked, since their dialect cannot say what the request asks for",
            "dialect",
        )
        self._possible_duplicates = Counter(
            "forebay_possible_duplicates",
            "Moves away from a target that may have run the request",
            registry=registry,
        )
        self._turned_away = _Counts(
            registry,
            "forebay_turned_away",
            "Requests beyond a bound, answered before any work, by the error's code",
            "code",
        )
        self._unmetered = Counter(
            "forebay_unmetered",
            "Requests of clients that have limits, served by a remembered plan and counted by nobody",
            registry=registry,
        )
        self._in_progress = 0
        Gauge("forebay_requests_in_progress", "Requests under way", registry=registry).set_function(
            lambda: self._in_progress
        )
        self._resolve = _Seconds(registry, "forebay_resolve_seconds", "Waiting for the resolver's plan", _SHORT)
        self._overhead = _Seconds(
            registry, "forebay_overhead_seconds", "The gateway's own share until the answer", _SHORT
        )
        self._first_content = _Seconds(
            registry, "forebay_first_content_seconds", "Until a stream's first content", _LONG
        )

    def turned_away(self, code: str) -> None:
        """A request was turned away. This counter is all that tells of it: there may be very many."""
        self._turned_away.of[code,] += 1

    def began(self) -> None:
        """As the port says."""
        self._in_progress += 1

    def ended(self, record: Record, now: float) -> None:
        """As the port says."""
        self._in_progress -= 1
        self._requests.of[record.name, str(record.status)] += 1
        for tried in record.tried:
            self._attempts.of[tried.target_id, tried.disposition] += 1
            if tried.tokens is not None:
                self._count(tried.target_id, tried.tokens)
        if len(record.tried) > 1:
            self._count_moves(record)
        for name in record.dropped:
            self._dropped.of[name, record.dialect] += 1
        for dialect in record.passed_over:
            self._passed_over.of[dialect,] += 1
        if record.is_unmetered:
            self._unmetered.inc()
        self._resolve.observe(record.resolve_s)
        self._overhead.observe(record.overhead_s)
        if record.first_content_s is not None:
            self._first_content.observe(record.first_content_s)
        self._log(record, now)

    def _count_moves(self, record: Record) -> None:
        for tried in record.tried[:-1]:
            self._failovers.of[tried.disposition,] += 1
        if duplicates := record.possible_duplicates:
            self._possible_duplicates.inc(duplicates)

    def _count(self, target_id: str, tokens: Tokens) -> None:
        self._tokens.of[target_id, "input"] += tokens.input
        self._tokens.of[target_id, "output"] += tokens.output
        self._tokens.of[target_id, "cached"] += tokens.cached


class WorkersTelemetry:
    """The supervisor's own metrics."""

    def __init__(self, registry: CollectorRegistry, serving: Callable[[], int]) -> None:
        """`serving` is the number of workers that accept connections."""
        Gauge("forebay_workers", "Workers that accept connections", registry=registry).set_function(serving)
        self._ends = Counter(
            "forebay_worker_ends", "Workers that ended without being told to, or not well", registry=registry
        )

    def ended(self) -> None:
        """A worker ended that was not told to, or with another status than 0."""
        self._ends.inc()


class _Counts(Collector):
    """A counter by label values. The library's own costs a dozen calls for each increment, this one an addition."""

    def __init__(self, registry: CollectorRegistry, name: str, documentation: str, *labels: str) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self.of: defaultdict[tuple[str, ...], int] = defaultdict(int)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.of.items():
            family.add_metric(values, count)
        yield family


class _Seconds(Collector):
    """A histogram, likewise."""

    def __init__(self, registry: CollectorRegistry, name: str, documentation: str, bounds: tuple[float, ...]) -> None:
        self._name, self._documentation, self._bounds = name, documentation, bounds
        self._counts = [0] * (len(bounds) + 1)
        """Of each bucket alone."""
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterable[Metric]:
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets, self._sum)


class _ReportsDropped(Collector):
    """A counter that the resolver's client keeps."""

    def __init__(self, resolver: ResolverLink) -> None:
        self._resolver = resolver

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "forebay_reports_dropped",
            "Reports that were given up, the oldest first, while no resolver acknowledged them",
            value=self._resolver.reports_dropped,
        )
