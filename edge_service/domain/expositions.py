"""Adds up the metrics of several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

LEAST = frozenset({"forebay_resolver_up"})
"""Gauges of which the sum is the least value; that of any other gauge is the total."""

_LASTING = frozenset({"counter", "histogram", "summary"})


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all of its samples."""

    name: str
    kind: str
    """In Prometheus' words: `counter`, `gauge`, `histogram`."""
    help: str
    samples: tuple[Sample, ...]


def summed(expositions: Iterable[Sequence[Family]]) -> tuple[Family, ...]:
    """Each metric once, in the order in which they first came: the values added up; of `_created` times, the
    earliest."""
    heads: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for exposition in expositions:
        for family in exposition:
            heads.setdefault(family.name, family)
            of_all = values.setdefault(family.name, {})
            for sample in family.samples:
                key = sample.name, sample.labels
                of_all[key] = _both(sample.name)(of_all[key], sample.value) if key in of_all else sample.value
    return tuple(
        Family(name, head.kind, head.help, tuple(Sample(*key, value) for key, value in values[name].items()))
        for name, head in heads.items()
    )


def lasting(exposition: Sequence[Family]) -> tuple[Family, ...]:
    """The metrics to keep when a worker is gone: a counter that falls is taken for a restart from 0, and would be
    counted twice."""
    return tuple(family for family in exposition if family.kind in _LASTING)


def _both(name: str) -> Callable[[float, float], float]:
    return min if name in LEAST or name.endswith("_created") else _sum


def _sum(one: float, other: float) -> float:
    return one + other
