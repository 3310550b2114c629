"""Forebay under measurement: resolver and edge as an operator would start them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.nginx import UPSTREAM_MODEL
from benchmarks.processes import Cores

SETTLE_S = 1.0
"""Between serving and being idle."""


@dataclass(frozen=True)
class Service:
    """A service that was started, and what that took."""

    pid: int
    address: str
    start_s: float
    """From its start until it serves; the edge's includes reaching the resolver."""
    idle_bytes: int
    """Resident, before the first request."""


@dataclass(frozen=True)
class Forebay:
    resolver: Service
    edge: Service


def config(provider_url: str, routes: Sequence[str]) -> str:
    """For each route of the provider a cluster of that name, over a pool of one member."""
    lines = ["providers:"]
    for route in routes:
        lines.append(f"  - {{id: provider-{route}, dialect: openai, base-url: '{provider_url}/{route}/v1',")
        lines.append("     credentials: ['env:BENCH_API_KEY'], allow-private: true}")
    lines += ["model-pools:", "  pools:"]
    for route in routes:
        lines.append(f"    - {{id: pool-{route}, members: [{{provider: provider-{route}, model: {UPSTREAM_MODEL}}}]}}")
    lines.append("  clusters:")
    lines += [f"    - {{id: {route}, members: [{{pool: pool-{route}}}]}}" for route in routes]
    return "\n".join([*lines, ""])


@contextlib.contextmanager
def running(configuration: str, directory: Path, cores: Cores) -> Iterator[Forebay]:
    """Both services for the time of the block. Raises `StartError` if one does not start, or does not end with 0."""
    directory.mkdir(exist_ok=True)
    path = directory / "config.yaml"
    path.write_text(configuration)
    python = [sys.executable, "-m"]
    listen = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
    logs = {name: directory / f"{name}.log" for name in ("resolver", "edge")}
    with contextlib.ExitStack() as stack:
        started = time.perf_counter()
        resolver = stack.enter_context(
            processes.running(
                [*python, "resolver_service", "--config", str(path), *listen],
                cores=cores.others,
                log=logs["resolver"],
            )
        )
        resolver_address = processes.address_of(resolver)
        resolver_s = time.perf_counter() - started

        started = time.perf_counter()
        edge = stack.enter_context(
            processes.running(
                [*python, "edge_service", "--resolver", resolver_address, *listen],
                cores=cores.under_test,
                log=logs["edge"],
                environment={"BENCH_API_KEY": "bench-key"},
            )
        )
        edge_url = processes.address_of(edge)
        processes.wait_until(lambda: processes.answers(f"{edge_url}/readyz"), edge)
        edge_s = time.perf_counter() - started

        time.sleep(SETTLE_S)
        yield Forebay(
            Service(resolver.pid, resolver_address, resolver_s, processes.rss_bytes(resolver.pid)),
            Service(edge.pid, edge_url, edge_s, processes.rss_bytes(edge.pid)),
        )
    for name, process in (("resolver", resolver), ("edge", edge)):
        if process.returncode != 0:
            raise processes.StartError(f"{name} ended with status {process.returncode}")
