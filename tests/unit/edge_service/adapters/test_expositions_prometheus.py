from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edge_service.adapters.expositions_prometheus import exposition, families


def test_one_worker_alone_says_what_a_process_alone_would() -> None:
    registry = CollectorRegistry()
    requests = Counter("forebay_requests", 'Those "served"', ["name"], registry=registry)
    requests.labels('a "name"\n').inc(2)
    Gauge("forebay_requests_in_progress", "Under way", registry=registry).set(1)
    Histogram("forebay_resolve_seconds", "Waiting", buckets=(0.1, 1.0), registry=registry).observe(0.2)
    assert exposition(families(registry)) == generate_latest(registry)
