"""Forebay under measurement: resolver and edge as an operator would start them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.nginx import UPSTREAM_MODEL, Nginx
from benchmarks.processes import Cores
from benchmarks.routes import REFUSED, Route

SETTLE_S = 1.0
"""Between serving and being idle."""
KEY = {"BENCH_API_KEY": "bench-key"}
_LISTEN = ("--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")


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


def config(provider: Nginx, routes: Iterable[Route], pools: int = 0) -> str:
    """For each route a cluster of that name, over a pool with a member for each of its places, and as many pools beside
    them as are missing to the given number.

    The 429 of the place where everything is refused is called `context-length`, which moves on here: a target that
    refused would rest otherwise, and the next requests would not be refused."""
    routes = list(routes)
    lines = ["providers:"]
    for route in routes:
        dialect = "openai" if route.provider in ("chat", "responses") else route.provider
        for number, place in enumerate(route.places):
            base = f"{provider.refusing_url if place == REFUSED else provider.url}/{place}"
            base += "/v1" if dialect == "openai" else ""
            lines.append(f"  - {{id: {route.name}-{number}, dialect: {dialect}, base-url: '{base}',")
            lines.append("     rules: [{status: 429, disposition: context-length}],")
            lines.append(f"     responses: {str(route.provider == 'responses').lower()},")
            lines.append("     credentials: ['env:BENCH_API_KEY'], allow-private: true}")
    lines += ["model-pools:", "  pools:"]
    for route in routes:
        lines.append(f"    - id: pool-{route.name}")
        strategy = "priority" if REFUSED in route.places else "round-robin"
        lines.append(f"      strategy: {strategy}\n      members:")
        for number in range(len(route.places)):
            member = f"provider: {route.name}-{number}, model: {UPSTREAM_MODEL}, priority: {number}"
            lines.append(f"        - {{{member}}}")
    for number in range(pools - len(routes)):
        lines.append(f"    - {{id: filler-{number}, members: [{{provider: {routes[0].name}-0, model: m-{number}}}]}}")
    lines.append("  clusters:")
    for route in routes:
        policy = "policy: {failover: {also: [context-length]}}"
        lines.append(f"    - {{id: {route.name}, members: [{{pool: pool-{route.name}}}], {policy}}}")
    return "\n".join([*lines, ""])


@contextlib.contextmanager
def resolver(configuration: str, directory: Path, cores: Sequence[int]) -> Iterator[Service]:
    """For the time of the block. Raises `StartError` if it does not start, or does not end with 0."""
    # In a directory of its own, as it is where it is deployed: the resolver looks at what is written beside it.
    path = directory / "config" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(configuration)
    command = [sys.executable, "-m", "resolver_service", "--config", str(path), *_LISTEN]
    began_at = time.perf_counter()
    with _ending_well(command, cores, directory / "resolver.log") as process:
        address = processes.address_of(process)
        start_s = time.perf_counter() - began_at
        time.sleep(SETTLE_S)
        yield Service(process.pid, address, start_s, processes.rss_bytes(process.pid))


@contextlib.contextmanager
def edge(resolver_address: str, directory: Path, cores: Sequence[int], *flags: str) -> Iterator[Service]:
    """For the time of the block, with its stream to the resolver open. Raises `StartError` as `resolver` does."""
    command = [sys.executable, "-m", "edge_service", "--resolver", resolver_address, *_LISTEN, *flags]
    began_at = time.perf_counter()
    with _ending_well(command, cores, directory / "edge.log") as process:
        url = processes.address_of(process)
        processes.wait_until(lambda: processes.answers(f"{url}/readyz"), process)
        start_s = time.perf_counter() - began_at
        time.sleep(SETTLE_S)
        yield Service(process.pid, url, start_s, processes.rss_bytes(process.pid))


@contextlib.contextmanager
def running(configuration: str, directory: Path, cores: Cores) -> Iterator[Forebay]:
    """Both services for the time of the block. Raises `StartError` as `resolver` does."""
    with (
        resolver(configuration, directory, cores.others) as resolving,
        edge(resolving.address, directory, cores.under_test) as serving,
    ):
        yield Forebay(resolving, serving)


@contextlib.contextmanager
def _ending_well(command: list[str], cores: Sequence[int], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with processes.running(command, cores=cores, log=log, environment=KEY) as process:
        yield process
    if process.returncode != 0:
        raise processes.StartError(f"{' '.join(command[:3])} ended with status {process.returncode}")
