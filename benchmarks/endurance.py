"""That a resolver's memory does not grow with what it is asked: `make bench-endurance`.

A million resolves over 10,000 pools, each reported as served and closed, first through the resolver's own code in this
process, a batch after the other, and then half as many of a resolver that runs by itself, over gRPC. Told is the
resident memory on the way. What is kept of late has to fill up first: plans of 10,000 names, receipts of 200,000
reports. From then on it must not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
from prometheus_client import CollectorRegistry

from benchmarks import processes
from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from resolver_service import bootstrap
from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.adapters.record_file import FileRecord
from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.adapters.telemetry_prometheus import PrometheusTelemetry, Sources
from resolver_service.app.alone import Alone
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor
from resolver_service.app.ports import Stores
from resolver_service.app.probes import ProbeBook
from resolver_service.app.watch import Bell

POOLS = 10_000
BATCH = 16
LOOKS = 10
SETTLED = 0.4
"""The share of the resolves after which everything that is kept for a while is full."""
MOST_GROWTH = 0.02
"""The most growth of the memory from then to the end: allocators are not exact."""

Exchange = Callable[[AsyncIterator[pb.ResolveStreamRequest]], AsyncIterator[pb.ResolveStreamResponse]]


def config(pools: int) -> str:
    members = ", ".join(f"{{provider: p{n}, model: m}}" for n in range(2))
    providers = [
        f"  - {{id: p{n}, dialect: openai, base-url: 'https://p{n}.example/v1', models: [m]}}" for n in range(2)
    ]
    lines = ["providers:", *providers, "model-pools:", "  pools:"]
    return "\n".join([*lines, *(f"    - {{id: pool{n}, members: [{members}]}}" for n in range(pools)), ""])


class _Context:
    """A call's, as far as `ResolveStream` asks it for anything."""

    async def send_initial_metadata(self, metadata: object) -> None:
        """Nobody waits for it."""


def servicer(path: Path) -> ResolverServicer:
    """As `bootstrap` makes it for a resolver that keeps nothing."""
    history, bell, probes = MemoryHistory(), Bell(), ProbeBook(60.0)
    configuration = Configuration(config_yaml.parsed, time.time, path.read_bytes(), history, bell.ring)
    gc.freeze()
    stores = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
    sources = Sources(dict, lambda: 1, dict, dict, None)
    telemetry = PrometheusTelemetry(CollectorRegistry(), sources)
    editor = Editor(configuration, FileRecord(path), history, amend, provider_edits=False)
    alone = Alone("endurance", configuration)
    made, *_ = bootstrap.create_servicers(configuration, editor, stores, probes, telemetry, bell, "endurance", alone)
    return made


async def exchanged(exchange: Exchange, resolves: int, pools: int, look: Callable[[int], None]) -> None:
    """Asks so many times, reports on all of it, and looks now and then. Raises `ValueError` at the first answer that
    is no plan."""
    ids = itertools.count(1)
    answered: asyncio.Queue[pb.ResolveStreamResponse | None] = asyncio.Queue()

    async def messages() -> AsyncIterator[pb.ResolveStreamRequest]:
        response: pb.ResolveStreamResponse | None = None
        for _ in range(resolves // BATCH):
            yield pb.ResolveStreamRequest(reports=_reports(response, ids), resolves=_resolves(ids, pools))
            response = await answered.get()

    asked = 0
    async for response in exchange(messages()):
        for answer in response.answers:
            if not answer.HasField("plan"):
                raise ValueError(f"no plan: {answer.error.message}")
        answered.put_nowait(response)
        asked += len(response.answers)
        if asked % (resolves // LOOKS // BATCH * BATCH) == 0:
            look(asked)


def _resolves(ids: Iterator[int], pools: int) -> list[pb.ResolveItem]:
    names = (f"pool{random.randrange(pools)}" for _ in range(BATCH))
    return [
        pb.ResolveItem(id=next(ids), request=pb.ResolveRequest(model=name, timeout_ms=300, will_report=True))
        for name in names
    ]


def _reports(response: pb.ResolveStreamResponse | None, ids: Iterator[int]) -> list[pb.ReportItem]:
    reports = []
    for answer in response.answers if response else ():
        plan, ended, closed = answer.plan, pb.ReportItem(id=next(ids)), pb.ReportItem(id=next(ids))
        ended.report.decision_id = closed.report.decision_id = plan.decision_id
        ended.report.ended.target_id = plan.attempts[0].target_id
        ended.report.ended.output_tokens = 10
        closed.report.closed.SetInParent()
        reports += [ended, closed]
    return reports


async def in_process(path: Path, resolves: int, pools: int) -> list[int]:
    """The memory of this process at each look."""
    made: Any = servicer(path)

    async def exchange(requests: AsyncIterator[pb.ResolveStreamRequest]) -> AsyncIterator[pb.ResolveStreamResponse]:
        async for response in made.ResolveStream(requests, _Context()):
            yield pb.ResolveStreamResponse.FromString(response)

    found: list[int] = []
    await exchanged(exchange, resolves, pools, lambda asked: _tell("in process", asked, os.getpid(), found))
    return found


async def over_the_wire(path: Path, resolves: int, pools: int) -> list[int]:
    """The memory of a resolver at each look."""
    command = [sys.executable, "-m", "resolver_service", "--config", str(path), "--listen", "127.0.0.1:0"]
    command += ["--ops-listen", ""]
    found: list[int] = []
    with processes.running(command, cores=(), log=path.with_name("resolver.log")) as process:
        async with grpc.aio.insecure_channel(processes.address_of(process)) as channel:
            stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
            look = lambda asked: _tell("over gRPC", asked, process.pid, found)  # noqa: E731
            await exchanged(stub.ResolveStream, resolves, pools, look)
    return found


def _tell(where: str, asked: int, pid: int, found: list[int]) -> None:
    found.append(processes.rss_bytes(pid))
    print(f"{where}: {asked:9,} resolves, {found[-1] / 1024**2:6.1f} MiB", flush=True)


def grown(found: list[int]) -> float:
    """The share by which the memory has grown since then."""
    since = found[int(SETTLED * len(found)) - 1]
    return (found[-1] - since) / since


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-endurance", description=__doc__.partition("\n")[0])
    parser.add_argument("--resolves", type=int, default=1_000_000)
    parser.add_argument("--pools", type=int, default=POOLS)
    given = parser.parse_args()
    if given.resolves < 100 * BATCH * LOOKS or given.pools < 1:
        parser.error(f"--resolves is at least {100 * BATCH * LOOKS}, --pools at least 1")
    with tempfile.TemporaryDirectory(prefix="forebay-endurance-") as name:
        path = Path(name) / "config.yaml"
        path.write_text(config(given.pools))
        growths = {
            "in process": grown(asyncio.run(in_process(path, given.resolves, given.pools))),
            "over gRPC": grown(asyncio.run(over_the_wire(path, given.resolves // 2, given.pools))),
        }
    for where, growth in growths.items():
        print(f"{where}: {growth:+.1%} since {SETTLED:.0%} of the resolves")
    if max(growths.values()) > MOST_GROWTH:
        sys.exit("it grows")


if __name__ == "__main__":
    main()
