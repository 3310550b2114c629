from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry


@dataclass
class Link:
    is_ready: bool = False
    reports_dropped: int = 0
    reports_unacknowledged: int = 0


def test_what_the_resolver_s_client_knows_is_read_when_somebody_asks() -> None:
    registry, link = CollectorRegistry(), Link()
    PrometheusTelemetry(registry, link)
    link.is_ready, link.reports_dropped, link.reports_unacknowledged = True, 3, 1000
    assert registry.get_sample_value("forebay_resolver_up") == 1
    assert registry.get_sample_value("forebay_reports_dropped_total") == 3
    assert registry.get_sample_value("forebay_reports_unacknowledged") == 1000
