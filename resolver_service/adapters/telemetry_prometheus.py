"""Metrics.

Counted here as it happens, in plain numbers: the library's own counters and histogram would cost a resolve a
microsecond. What others keep count of anyway is read from them when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from resolver_service.app.ports import HealthChanged, ReportEffect
from resolver_service.app.status import State

_BOUNDS_S = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.3)
"""A resolve takes some 30 microseconds, and edges give up on one after 300 milliseconds."""

_STATES = tuple(state for state in State if state is not State.DISABLED)
"""Those of targets that may serve."""

_Series: TypeAlias = Mapping[tuple[str, ...], int]
"""By the values of the labels."""
_Counts: TypeAlias = defaultdict[tuple[str, ...], int]


class SharedStore(Protocol):
    """What is known of the store that resolvers share."""

    @property
    def is_degraded(self) -> bool: ...

    @property
    def is_durable(self) -> bool | None:
        """None if it does not say."""

    @property
    def losses(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read what is not counted here."""

    standings: Callable[[], Mapping[str, State]]
    """By target."""
    revision: Callable[[], int]
    reloads: Callable[[], Mapping[str, int]]
    """By result."""
    probes: Callable[[], Mapping[str, int]]
    """By what became of them."""
    state_write_failures: Callable[[], int] | None
    """None where no state is kept."""
    store: Callable[[], SharedStore] | None = None
    """None for a resolver that shares nothing."""


class PrometheusTelemetry(Collector):
    """A `Telemetry`. Label values are names and targets that somebody has configured, and words of this program: what
    callers write adds no series."""

    def __init__(self, registry: CollectorRegistry, sources: Sources) -> None:
        self._sources = sources
        self._resolves: _Counts = defaultdict(int)
        self._resolve_buckets = [0] * (len(_BOUNDS_S) + 1)
        self._resolve_sum_s = 0.0
        self._reports: _Counts = defaultdict(int)
        self._cooldowns: _Counts = defaultdict(int)
        self._tokens: _Counts = defaultdict(int)
        self._streams = 0
        registry.register(self)

    def resolved(self, name: str, result: str, seconds: float) -> None:
        """As the port says."""
        self._resolves[name, result] += 1
        self._resolve_buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        self._resolve_sum_s += seconds

    def reported(self, kind: str, effect: ReportEffect) -> None:
        """As the port says."""
        self._reports[kind, effect] += 1

    def spent(self, target_id: str, input_tokens: int, output_tokens: int) -> None:
        """As the port says."""
        self._tokens[target_id, "input"] += input_tokens
        self._tokens[target_id, "output"] += output_tokens

    def stream_opened(self) -> None:
        """As the port says."""
        self._streams += 1

    def stream_closed(self) -> None:
        """As the port says."""
        self._streams -= 1

    def health_changed(self, change: HealthChanged) -> None:
        """A `Tell`."""
        if change.state == "cooling" and change.reason is not None:
            self._cooldowns[_kind(change.scope), change.reason.value] += 1

    def collect(self) -> Iterable[Metric]:
        """What is served as `/metrics`. May run in a thread beside the event loop, and so looks at copies."""
        yield _counter("forebay_resolves", "Resolves by the name that was found", ("name", "result"), self._resolves)
        yield HistogramMetricFamily(
            "forebay_resolver_resolve_seconds",
            "Making a plan, without the way to the resolver and back",
            buckets=list(_cumulative(self._resolve_buckets)),
            sum_value=self._resolve_sum_s,
        )
        yield GaugeMetricFamily("forebay_resolve_streams", "Open streams, one for each edge", value=self._streams)
        yield _counter("forebay_reports", "Reports of what became of attempts", ("kind", "effect"), self._reports)
        yield _counter("forebay_cooldowns", "Cool-downs that have begun", ("scope", "reason"), self._cooldowns)
        yield _counter(
            "forebay_tokens",
            "Tokens of answers that were reported as complete",
            ("target", "direction"),
            self._tokens,
        )
        probes: _Series = {(event,): count for event, count in self._sources.probes().items()}
        yield _counter(
            "forebay_probes", "Probes: handed out, returned unused, never heard of again", ("event",), probes
        )
        yield self._target_states()
        yield GaugeMetricFamily(
            "forebay_config_revision", "The configuration in effect, counted from 1", value=self._sources.revision()
        )
        reloads: _Series = {(result,): count for result, count in self._sources.reloads().items()}
        yield _counter("forebay_config_reloads", "Changed configurations that were offered", ("result",), reloads)
        if self._sources.state_write_failures is not None:
            yield CounterMetricFamily(
                "forebay_state_write_failures",
                "Failures to open or write the file in the state directory",
                value=self._sources.state_write_failures(),
            )
        if self._sources.store is not None:
            store = self._sources.store()
            yield GaugeMetricFamily(
                "forebay_store_up",
                "Whether the store that resolvers share answers; 0: this one goes by itself",
                value=float(not store.is_degraded),
            )
            if store.is_durable is not None:
                yield GaugeMetricFamily(
                    "forebay_store_durable",
                    "Whether what that store has acknowledged outlives its crash (appendfsync always)",
                    value=float(store.is_durable),
                )
            yield CounterMetricFamily("forebay_store_losses", "How often that store was lost", value=store.losses)

    def _target_states(self) -> Metric:
        metric = GaugeMetricFamily(
            "forebay_target_state",
            "1 for the state that a target is in; a target that nothing has happened to is ready and has no series",
            labels=("target", "state"),
        )
        for target_id, standing in self._sources.standings().items():
            for state in _STATES:
                metric.add_metric((target_id, state.value), float(state is standing))
        return metric


def _counter(name: str, explanation: str, labels: tuple[str, ...], counts: _Series) -> Metric:
    metric = CounterMetricFamily(name, explanation, labels=labels)
    for values, count in list(counts.items()):
        metric.add_metric(values, count)
    return metric


def _cumulative(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), list(buckets), strict=True):
        total += count
        yield bound, total


def _kind(scope: str) -> str:
    """Of which kind a scope is: see `Scopes` for why its spelling tells."""
    if "/" not in scope:
        return "credential"
    return "model" if scope.endswith("#*") else "target"
