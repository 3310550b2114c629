"""Forebay under mixed load for minutes: `make soak`, or `SOAK_S=60 make soak` for one minute.

Resolver, edge and providers are processes of their own. Clients of many kinds ask, providers fail in many ways, the
configuration changes all the while. What the services hold is looked at from outside, again and again. In the end it
must not have grown, no client may have got an answer that was not to be expected, and what the providers counted must
be what the clients and the edge counted. Exits with status 1 if any of it does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks import processes, soak_clients, soak_verdict
from benchmarks.soak_providers import CONTROL
from benchmarks.soak_verdict import Soaked
from benchmarks.watching import Sample, Watched

DEFAULT_S = 300.0
SAMPLES = 150
RELOAD_S = 1.5
"""Longer than the resolver waits for a file to settle, so that no change is missed."""
INVALID_EVERY = 5
"""Which of the changes is a mistake, to be refused."""
SETTLE_S = 10.0
"""For what is under way once nobody asks any more."""

CONFIG = """# change {change}
policy: {{timeouts: {{headers: 1s, first-content: 3s, idle: 10s, total: 15s}}}}
providers:
{providers}
model-pools:
  clusters:
    - {{id: calm, strategy: round-robin, members: [{{model: calm-a-m}}, {{model: calm-b-m}}]}}
    - {{id: limits, members: [{{model: limited-m}}, {{model: overloaded-m}}, {{model: calm-a-m, priority: 1}}]}}
    - {{id: slow, members: [{{model: slow-m}}]}}
    - {{id: cut, members: [{{model: cut-m}}, {{model: calm-a-m, priority: 1}}]}}
    - {{id: silent, members: [{{model: silent-m}}, {{model: calm-b-m, priority: 1}}]}}
    - {{id: garbage, members: [{{model: garbage-m}}, {{model: calm-b-m, priority: 1}}]}}
    - {{id: long, members: [{{model: long-m}}]}}
    - {{id: left, members: [{{model: left-m}}]}}
{mistake}"""


@dataclass
class Arrangement:
    """Everything that runs."""

    directory: Path
    urls: dict[str, str]
    """Of the providers, by their names."""
    resolver: Watched
    edge: Watched
    url: str
    operations: str
    reloads: int = 0
    mistakes: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {"resolver": [], "edge": []})

    def look(self, at: float) -> dict[str, Sample]:
        return {"resolver": self.resolver.look(at), "edge": self.edge.look(at)}

    def change(self, number: int) -> None:
        """Another configuration, in one step; now and then one that is refused."""
        is_mistake = number % INVALID_EVERY == 0
        self.mistakes += is_mistake
        self.reloads += not is_mistake
        new = self.directory / "config.new"
        new.write_text(config(self.urls, number, is_mistake))
        new.replace(self.directory / "config.yaml")

    def control(self, what: str) -> dict[str, dict[str, int]]:
        """Asks the providers."""
        request = urllib.request.Request(f"{self.urls[CONTROL]}/{what}", data=b"{}")  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - as above
            return dict(json.load(response))

    def metrics(self) -> dict[str, float]:
        """The edge's, by their names with labels."""
        with urllib.request.urlopen(f"{self.operations}/metrics", timeout=5) as response:  # noqa: S310 - as above
            text = response.read().decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    @property
    def logs(self) -> str:
        return "".join(log.read_text(errors="replace") for log in sorted(self.directory.glob("*.log")))


def config(urls: dict[str, str], change: int = 1, is_mistake: bool = False) -> str:
    providers = "\n".join(
        f"  - {{id: {name}, dialect: openai, base-url: '{url}', models: [{name}-m], allow-private: true}}"
        for name, url in urls.items()
        if name != CONTROL
    )
    return CONFIG.format(change=change, providers=providers, mistake="    - {id: mistake}\n" if is_mistake else "")


@contextlib.contextmanager
def arranged(directory: Path) -> Iterator[Arrangement]:
    """All processes for the time of the block. Raises `StartError` if one does not start, or does not end with 0."""
    python = [sys.executable, "-W", "error", "-m"]

    def run(name: str, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        return processes.running([*python, *arguments], cores=(), log=directory / f"{name}.log")

    with run("providers", "benchmarks.soak_providers") as providers:
        urls = dict(pair.split("=") for pair in processes.address_of(providers).split(","))
        path = directory / "config.yaml"
        path.write_text(config(urls))
        listen = ("--listen", "127.0.0.1:0", "--ops-listen")
        with run("resolver", "resolver_service", "--config", str(path), *listen, "127.0.0.1:0") as resolver:
            address, ops, tasks = processes.address_of(resolver), processes.free_port(), directory / "tasks"
            flags = ("--resolver", address, *listen, f"127.0.0.1:{ops}")
            with run("edge", "benchmarks.counted_edge", str(tasks), *flags) as edge:
                url = processes.address_of(edge)
                processes.wait_until(lambda: processes.answers(f"{url}/readyz"), edge)
                ports = frozenset(urllib.parse.urlsplit(each).port or 0 for each in urls.values())
                yield Arrangement(
                    directory,
                    urls,
                    Watched(resolver.pid),
                    Watched(edge.pid, ports, tasks),
                    url,
                    operations=f"http://127.0.0.1:{ops}",
                )
    for name, process in (("resolver", resolver), ("edge", edge)):
        if process.returncode != 0:
            raise processes.StartError(f"{name} ended with status {process.returncode}")


async def soak(it: Arrangement, seconds: float) -> Soaked:
    """The whole of it, between two moments of rest that should look alike."""
    before = await _at_rest(it)
    began_at = time.monotonic()
    async with soak_clients.asking(it.url) as tally, _changing(it):
        for number in range(1, SAMPLES + 1):
            await asyncio.sleep(max(0.0, began_at + seconds * number / SAMPLES - time.monotonic()))
            for name, sample in it.look(time.monotonic() - began_at).items():
                it.samples[name].append(sample)
            if sys.stdout.isatty() and number % (SAMPLES // 10) == 0:
                print(
                    f"{number / SAMPLES:.0%}: {tally.requests:,} requests, {sum(tally.errors.values())} errors",
                    flush=True,
                )
    took_s = time.monotonic() - began_at
    await _nothing_under_way(it)
    counts, metrics = await asyncio.to_thread(it.control, "counts"), await asyncio.to_thread(it.metrics)
    after = await _at_rest(it)
    return Soaked(took_s, it.samples, before, after, tally, counts, metrics, it.reloads, it.mistakes, it.logs)


@contextlib.asynccontextmanager
async def _changing(it: Arrangement) -> AsyncIterator[None]:
    """Changes of the configuration for the time of the block."""

    async def change() -> None:
        number = 1
        while True:
            await asyncio.sleep(RELOAD_S)
            number += 1
            it.change(number)

    changing = asyncio.create_task(change())
    try:
        yield
    finally:
        changing.cancel()


async def _nothing_under_way(it: Arrangement) -> None:
    async with asyncio.timeout(SETTLE_S):
        while (await asyncio.to_thread(it.metrics))["forebay_requests_in_progress"]:
            await asyncio.sleep(0.05)


async def _at_rest(it: Arrangement) -> dict[str, Sample]:
    """After one request, which sweeps connections that providers have closed meanwhile out of the edge's pool."""
    await asyncio.to_thread(it.control, "hang-up")
    async with httpx2.AsyncClient(base_url=it.url, timeout=soak_clients.PATIENCE_S) as client:
        response = await client.post(soak_clients.PATH, json={"model": soak_verdict.INEXACT, "messages": []})
        response.raise_for_status()
    previous = None
    deadline = time.monotonic() + SETTLE_S
    while True:  # Until two looks half a second apart show the same.
        sample = it.look(0.0)
        shown = {name: (s.fds, s.connections, s.tasks) for name, s in sample.items()}
        if shown == previous or time.monotonic() > deadline:
            return sample
        previous = shown
        await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=float(os.environ.get("SOAK_S") or DEFAULT_S),
        help=f"how long the load lasts (default: $SOAK_S, else {DEFAULT_S:g})",
    )
    given = parser.parse_args()
    if not given.seconds >= 5:
        parser.error("--seconds is at least 5")
    # As Ctrl-C does, so that whatever was started is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="forebay-soak-") as name:
        try:
            with arranged(Path(name)) as it:
                soaked = asyncio.run(soak(it, given.seconds))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except (processes.StartError, TimeoutError, OSError) as error:
            logs = "\n".join(Path(log).read_text(errors="replace")[-2000:] for log in Path(name).glob("*.log"))
            sys.exit(f"no figures: {error!r}\n{logs}")
    print(soak_verdict.text(soaked))
    if not all(check.holds for check in soak_verdict.checks(soaked)):
        sys.exit(1)


if __name__ == "__main__":
    main()
