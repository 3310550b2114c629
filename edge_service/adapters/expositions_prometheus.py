"""Metrics as values that can be sent and summed, and as the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from edge_service.domain.expositions import Family, Sample


def families(registry: CollectorRegistry) -> tuple[Family, ...]:
    """All that the registry has to say now."""
    return tuple(
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            tuple(Sample(each.name, tuple(each.labels.items()), each.value) for each in metric.samples),
        )
        for metric in registry.collect()
    )


def exposition(families: Sequence[Family]) -> bytes:
    """In Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric
