"""What is written about metrics is about metrics that there are, and Prometheus is sent where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from edge_service import settings as edge_settings
from edge_service.adapters.telemetry_prometheus import PrometheusTelemetry, WorkersTelemetry
from resolver_service import settings as resolver_settings
from tests.contract.serving import serving

ROOT = Path(__file__).parents[2]
WRITTEN = [
    ROOT / "README.md",
    ROOT / "docker-compose.yml",
    ROOT / "deploy" / "alerts.yml",
    *(ROOT / "docs").rglob("*.md"),
]
PACKAGES = {"forebay_cli"}
_ENDS = {"counter": "_total", "histogram": "_bucket"}
"""What is added to a family's name in what is asked for."""


@dataclass
class Link:
    is_connected: bool = False
    reports_dropped: int = 0
    reports_unacknowledged: int = 0


def names(registry: CollectorRegistry) -> set[str]:
    return {each.name + _ENDS.get(each.type, "") for each in registry.collect()}


async def test_every_metric_that_is_written_about_exists() -> None:
    edge = CollectorRegistry()
    PrometheusTelemetry(edge, Link(), lambda *_: None)
    WorkersTelemetry(edge, lambda: 1)
    async with serving() as it:
        existing = names(edge) | names(it.registry)
    written = {
        name for path in WRITTEN for name in re.findall(r"\bforebay_[a-z_]*[a-z]\b", path.read_text())
    } - PACKAGES
    assert len(written) > 3
    assert written - existing == set()


def test_prometheus_asks_every_service_where_its_metrics_are() -> None:
    asked = {
        name: place["port"]
        for job in yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
        for place in job["dns_sd_configs"]
        for name in place["names"]
    }
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    resolver = resolver_settings.load(
        [], services["resolver"]["environment"] | {"FOREBAY_TOKEN": "", "FOREBAY_MANAGEMENT_KEY": ""}
    )
    edge = edge_settings.load([], services["edge"]["environment"])
    assert resolver.ops is not None
    assert edge.ops is not None
    front = re.search(r"^frontend operations\n  bind :(\d+)$", (ROOT / "deploy" / "haproxy.cfg").read_text(), re.M)
    assert front is not None
    assert asked == {"resolver": resolver.ops[1], "edge": edge.ops[1], "front": int(front[1])}
    networks = set(services["prometheus"]["networks"])
    assert all(networks & set(services[name]["networks"]) for name in asked)
