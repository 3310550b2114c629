"""A system under a load for some seconds: what came of it, and what the operating system charged each process for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import processes

TAIL_S = 0.2
"""After a window, for what the load generator left under way: the window pays for it."""


class LoadError(Exception):
    """Something went wrong under load, so that there is no figure."""


@dataclass(frozen=True)
class Result:
    """What a load generator counted."""

    requests: int
    """Completed, without any error. Those under way at the end are not counted."""
    seconds: float
    p50_s: float
    p99_s: float
    first_s: float = 0.0
    """Until the first bytes of the answer's body, the median; 0 where the generator does not tell."""
    gap_s: float = 0.0
    """Between two pieces of a stream, the 99th percentile."""
    pieces: float = 0.0
    """In how many pieces a stream arrived, the median."""


@dataclass(frozen=True)
class Window:
    result: Result
    cpu_s: Mapping[str, float]
    """By process under test."""
    load_side_s: float
    """CPU of the load generator and the provider."""
    foreign_s: float
    """CPU of everything else on the machine: noise."""
    wall_s: float

    @property
    def rate(self) -> float:
        return self.result.requests / self.result.seconds

    def cpu_us(self, *names: str) -> float:
        """Per request, of these processes; of all that were under test without any name."""
        return sum(self.cpu_s[name] for name in names or self.cpu_s) / self.result.requests * 1e6

    def __str__(self) -> str:
        cpu = ", ".join(f"{name} {self.cpu_us(name):,.0f} us" for name in self.cpu_s)
        return f"{cpu}, {self.rate:,.0f}/s, p99 {self.result.p99_s * 1000:.2f} ms"


def charged(load: Callable[[], Result], pids: Mapping[str, Sequence[int]], provider_pid: int) -> Window:
    """Runs the load. Raises whatever it raises, and `LoadError` if a process has ended."""

    def used_s() -> dict[str, float]:
        try:
            return {name: sum(map(processes.cpu_s, its)) for name, its in {**pids, "": [provider_pid]}.items()}
        except OSError as error:
            raise LoadError(f"a process has ended: {error}") from error

    before, machine_before, load_before = used_s(), processes.machine_cpu_s(), processes.children_cpu_s()
    began = time.perf_counter()
    result = load()
    time.sleep(TAIL_S)
    used = {name: after - before[name] for name, after in used_s().items()}
    load_s = processes.children_cpu_s() - load_before
    machine_s = processes.machine_cpu_s() - machine_before
    return Window(
        result=result,
        cpu_s={name: used[name] for name in pids},
        load_side_s=used[""] + load_s,
        foreign_s=max(0.0, machine_s - sum(used.values()) - load_s),
        wall_s=time.perf_counter() - began,
    )
