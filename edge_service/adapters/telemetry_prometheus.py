"""Metrics and the log line of each request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_service.app.record import Record, Tokens

_log = structlog.get_logger("forebay.edge.request")

# Seconds. Overheads and resolves are a matter of milliseconds, first content may take minutes.
_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class ResolverLink(Protocol):
    """What the resolver's client knows of itself, read when somebody asks."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def reports_dropped(self) -> int: ...

    @property
    def reports_unacknowledged(self) -> int: ...


class PrometheusTelemetry:
    """A `Telemetry`. Label values are names and targets that somebody has configured, dispositions and statuses: what
    clients write adds no series."""

    def __init__(self, registry: CollectorRegistry, resolver: ResolverLink) -> None:
        self._log = _log.bind()  # Once: unbound, it would look for its configuration with each line.
        Gauge("forebay_resolver_up", "Whether any resolver has accepted a stream", registry=registry).set_function(
            lambda: float(resolver.is_ready)
        )
        Gauge(
            "forebay_reports_unacknowledged", "Reports that no resolver has acknowledged yet", registry=registry
        ).set_function(lambda: resolver.reports_unacknowledged)
        registry.register(_ReportsDropped(resolver))
        self._requests = _Children(
            Counter("forebay_requests", "Requests by the name that was found", ["name", "status"], registry=registry)
        )
        self._attempts = _Children(
            Counter("forebay_attempts", "Attempts that are over", ["target", "disposition"], registry=registry)
        )
        self._failovers = _Children(
            Counter("forebay_failovers", "Moves to the next target", ["disposition"], registry=registry)
        )
        self._tokens = _Children(
            Counter(
                "forebay_attempt_tokens",
                "Tokens that providers tell of: input with cached, cached, output with reasoning",
                ["target", "kind"],
                registry=registry,
            )
        )
        self._dropped = _Children(
            Counter(
                "forebay_dropped",
                "Fields that answers do without, by the dialect that has no words for them",
                ["field", "dialect"],
                registry=registry,
            )
        )
        self._passed_over = _Children(
            Counter(
                "forebay_passed_over",
                "Targets that were not asked, since their dialect cannot say what the request asks for",
                ["dialect"],
                registry=registry,
            )
        )
        self._possible_duplicates = Counter(
            "forebay_possible_duplicates",
            "Moves away from a target that may have run the request",
            registry=registry,
        )
        self._turned_away = _Children(
            Counter(
                "forebay_turned_away",
                "Requests beyond a bound, answered before any work, by the error's code",
                ["code"],
                registry=registry,
            )
        )
        self._unmetered = Counter(
            "forebay_unmetered",
            "Requests of clients that have limits, served by a remembered plan and counted by nobody",
            registry=registry,
        )
        self._in_progress = Gauge("forebay_requests_in_progress", "Requests under way", registry=registry)
        self._resolve = Histogram(
            "forebay_resolve_seconds", "Waiting for the resolver's plan", buckets=_SHORT, registry=registry
        )
        self._overhead = Histogram(
            "forebay_overhead_seconds", "The gateway's own share until the answer", buckets=_SHORT, registry=registry
        )
        self._first_content = Histogram(
            "forebay_first_content_seconds", "Until a stream's first content", buckets=_LONG, registry=registry
        )

    def turned_away(self, code: str) -> None:
        """A request was, of which nothing else is told: a line for each would be work, and there may be very many."""
        self._turned_away.of(code).inc()

    def began(self) -> None:
        """As the port says."""
        self._in_progress.inc()

    def ended(self, record: Record, now: float) -> None:
        """As the port says."""
        self._in_progress.dec()
        self._requests.of(record.name, str(record.status)).inc()
        for tried in record.tried:
            self._attempts.of(tried.target_id, tried.disposition).inc()
            if tried.tokens is not None:
                self._count(tried.target_id, tried.tokens)
        for tried in record.tried[:-1]:
            self._failovers.of(tried.disposition).inc()
        for name in record.dropped:
            self._dropped.of(name, record.dialect).inc()
        for dialect in record.passed_over:
            self._passed_over.of(dialect).inc()
        if duplicates := record.possible_duplicates:
            self._possible_duplicates.inc(duplicates)
        if record.is_unmetered:
            self._unmetered.inc()
        self._resolve.observe(record.resolve_s)
        self._overhead.observe(record.overhead_s)
        if record.first_content_s is not None:
            self._first_content.observe(record.first_content_s)
        tokens = record.tokens
        self._log.info(
            "request",
            request_id=record.request_id,
            decision_id=record.decision_id,
            name=record.name,
            operation=record.operation,
            stream=record.stream,
            status=record.status,
            ending=record.ending,
            code=record.code,
            walk=[
                {
                    "target": t.target_id,
                    "disposition": t.disposition,
                    "status": t.status,
                    "ms": _ms(t.seconds),
                    "provider_request_id": t.provider_request_id,
                }
                for t in record.tried
            ],
            dropped=record.dropped,
            input_tokens=tokens and tokens.input,
            output_tokens=tokens and tokens.output,
            cached_tokens=tokens and tokens.cached,
            resolve_ms=_ms(record.resolve_s),
            overhead_ms=_ms(record.overhead_s),
            total_ms=_ms(now - record.arrived_at),
        )

    def _count(self, target_id: str, tokens: Tokens) -> None:
        self._tokens.of(target_id, "input").inc(tokens.input)
        self._tokens.of(target_id, "output").inc(tokens.output)
        self._tokens.of(target_id, "cached").inc(tokens.cached)


class WorkersTelemetry:
    """Of the process that watches over several workers."""

    def __init__(self, registry: CollectorRegistry, serving: Callable[[], int]) -> None:
        """`serving` tells how many accept connections."""
        Gauge("forebay_workers", "Workers that accept connections", registry=registry).set_function(serving)
        self._ends = Counter(
            "forebay_worker_ends", "Workers that ended without being told to, or not well", registry=registry
        )

    def ended(self) -> None:
        """One that was not told to, or not well."""
        self._ends.inc()


class _Children:
    """A counter's children by their label values: the library's own look-up costs more than the increment."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._known: dict[tuple[str, ...], Counter] = {}

    def of(self, *labels: str) -> Counter:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._counter.labels(*labels)
        return child


class _ReportsDropped(Collector):
    """A counter that somebody else counts."""

    def __init__(self, resolver: ResolverLink) -> None:
        self._resolver = resolver

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "forebay_reports_dropped",
            "Reports that were given up, the oldest first, while no resolver acknowledged them",
            value=self._resolver.reports_dropped,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
