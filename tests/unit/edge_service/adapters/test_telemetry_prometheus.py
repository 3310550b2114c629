from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry
from edge_service.app.record import Record, Tokens, Tried
from edge_service.domain.outcome import Disposition


@dataclass
class Link:
    is_connected: bool = False
    reports_dropped: int = 0
    reports_unacknowledged: int = 0


def test_what_the_resolver_s_client_knows_is_read_when_somebody_asks() -> None:
    registry, link = CollectorRegistry(), Link()
    PrometheusTelemetry(registry, link, lambda *_: None)
    link.is_connected, link.reports_dropped, link.reports_unacknowledged = True, 3, 1000
    assert registry.get_sample_value("forebay_resolver_up") == 1
    assert registry.get_sample_value("forebay_reports_dropped_total") == 3
    assert registry.get_sample_value("forebay_reports_unacknowledged") == 1000


def test_what_an_answer_cost_and_what_its_request_lost_is_counted() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, Link(), lambda *_: None)
    record = Record("r", 0.0)
    record.dropped, record.dialect, record.passed_over = ("seed", "top_k"), "anthropic", ["gemini", "gemini"]
    record.tried += [
        Tried("a/m#0", Disposition.BROKEN, 200, 0.1, tokens=Tokens(9, 1)),
        Tried("b/m#0", Disposition.OK, 0, 0.1, tokens=Tokens(7, 3, 2)),
        Tried("c/m#0", Disposition.OK, 0, 0.1),
    ]
    for _ in range(2):
        telemetry.ended(record, 1.0)

    def tokens(target: str, kind: str) -> float | None:
        return registry.get_sample_value("forebay_attempt_tokens_total", {"target": target, "kind": kind})

    assert [tokens("a/m#0", kind) for kind in ("input", "output", "cached")] == [18, 2, 0]
    assert [tokens("b/m#0", kind) for kind in ("input", "output", "cached")] == [14, 6, 4]
    assert tokens("c/m#0", "input") is None
    for field in record.dropped:
        assert registry.get_sample_value("forebay_dropped_total", {"field": field, "dialect": "anthropic"}) == 2
    assert registry.get_sample_value("forebay_passed_over_total", {"dialect": "gemini"}) == 4


def test_times_are_counted_in_the_buckets_that_they_fit_into() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, Link(), lambda *_: None)
    for resolve_s in (0.0, 0.0005, 0.00051, 0.3, 7.0):
        record = Record("r", 0.0)
        record.resolve_s = resolve_s
        telemetry.ended(record, 1.0)

    def buckets(le: str) -> float | None:
        return registry.get_sample_value("forebay_resolve_seconds_bucket", {"le": le})

    assert [buckets(le) for le in ("0.0005", "0.001", "0.1", "0.3", "1.0", "+Inf")] == [2, 3, 3, 4, 4, 5]
    assert registry.get_sample_value("forebay_resolve_seconds_count") == 5
    assert registry.get_sample_value("forebay_resolve_seconds_sum") == 7.30101


def test_requests_under_way_are_those_that_have_begun_and_not_ended() -> None:
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, Link(), lambda *_: None)
    telemetry.began()
    telemetry.began()
    telemetry.ended(Record("r", 0.0), 1.0)
    assert registry.get_sample_value("forebay_requests_in_progress") == 1
    assert registry.get_sample_value("forebay_requests_total", {"name": "", "status": "0"}) == 1
