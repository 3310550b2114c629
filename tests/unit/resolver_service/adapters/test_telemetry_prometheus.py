from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from resolver_service.adapters.telemetry_prometheus import PrometheusTelemetry, Sources
from resolver_service.app.ports import HealthChanged
from resolver_service.app.status import State
from resolver_service.domain.policy import Disposition


class Metrics:
    def __init__(self, state_write_failures: int | None = None) -> None:
        self.registry = CollectorRegistry()
        self.telemetry = PrometheusTelemetry(
            self.registry,
            Sources(
                standings=lambda: {"p/m#0": State.COOLING},
                revision=lambda: 7,
                reloads=lambda: {"accepted": 6, "rejected": 2},
                probes=lambda: {"handed_out": 3, "returned": 2, "expired": 1},
                state_write_failures=None if state_write_failures is None else lambda: state_write_failures,
            ),
        )

    def __call__(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)


def test_resolves_are_counted_and_timed() -> None:
    metrics = Metrics()
    for seconds in (0.00002, 0.000025, 0.2, 5.0):
        metrics.telemetry.resolved("chat", "ok", seconds)
    metrics.telemetry.resolved("", "not_found", 0.00001)
    assert metrics("forebay_resolves_total", name="chat", result="ok") == 4
    assert metrics("forebay_resolves_total", name="", result="not_found") == 1
    bucket = "forebay_resolver_resolve_seconds_bucket"
    assert [metrics(bucket, le=le) for le in ("1e-05", "2.5e-05", "0.1", "0.3", "+Inf")] == [1, 3, 3, 4, 5]
    assert metrics("forebay_resolver_resolve_seconds_count") == 5
    assert metrics("forebay_resolver_resolve_seconds_sum") == pytest.approx(5.200055)


def test_cool_downs_are_counted_by_what_cools_and_why() -> None:
    metrics = Metrics()
    for scope in ("p#0", "p/m/x#*", "p/m#*#1", "p/m#0"):
        metrics.telemetry.health_changed(HealthChanged("cooling", scope, "p/m#0", Disposition.QUOTA, 300))
    metrics.telemetry.health_changed(HealthChanged("restored", "p#0", "p/m#0", Disposition.QUOTA))
    counted = {
        scope: metrics("forebay_cooldowns_total", scope=scope, reason="quota")
        for scope in ("credential", "model", "target")
    }
    assert counted == {"credential": 1, "model": 1, "target": 2}


def test_reports_and_streams_are_counted() -> None:
    metrics = Metrics()
    metrics.telemetry.reported("failed", "applied")
    metrics.telemetry.reported("failed", "repeated")
    metrics.telemetry.reported("failed", "repeated")
    metrics.telemetry.stream_opened()
    metrics.telemetry.stream_opened()
    metrics.telemetry.stream_closed()
    assert metrics("forebay_reports_total", kind="failed", effect="applied") == 1
    assert metrics("forebay_reports_total", kind="failed", effect="repeated") == 2
    assert metrics("forebay_resolve_streams") == 1


def test_what_others_keep_count_of_is_read_from_them() -> None:
    metrics = Metrics(state_write_failures=4)
    states = {s.value: metrics("forebay_target_state", target="p/m#0", state=s.value) for s in State}
    assert states == {"ready": 0, "cooling": 1, "probing": 0, "drained": 0, "disabled": None}
    assert metrics("forebay_config_revision") == 7
    assert metrics("forebay_config_reloads_total", result="rejected") == 2
    assert metrics("forebay_probes_total", event="expired") == 1
    assert metrics("forebay_state_write_failures_total") == 4


def test_where_no_state_is_kept_no_failure_is_counted() -> None:
    assert b"forebay_state_write_failures" not in generate_latest(Metrics().registry)
