"""One system under one load, by whatever makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import clients, debian, k6, wrk
from benchmarks.loads import RATE, By, Load
from benchmarks.processes import Cores
from benchmarks.systems import System, verified_bytes
from benchmarks.window import LoadError, Result, Window, charged

FEWEST = 40
"""Requests of a load by count, in a window."""
FIRST = 20
"""Requests from which is taken how many a window has room for."""


@dataclass
class Running:
    tools: Mapping[str, str]
    directory: Path
    cores: Cores
    provider_pid: int
    _bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of the answers, by system and route."""
    _rates: dict[tuple[str, str], float] = field(default_factory=dict)
    """Requests per second, by load and system."""

    def warm_up(self, system: System, load: Load, seconds: float) -> None:
        """Checks what it answers, and lets it run. Raises `WrongAnswerError` and `LoadError`."""
        for tool in _needed(load):
            if tool not in self.tools:
                raise LoadError(f"{tool} is missing")
        self._bytes[system.name, load.route.name] = verified_bytes(system, load.route)
        if load.by is By.COUNT and not load.each:
            first = self._counted(system, load, FIRST * load.clients)
            self._rates[load.name, system.name] = first.requests / first.seconds
        self._run(system, load, seconds)

    def window(self, system: System, load: Load, seconds: float) -> Window:
        """Raises `LoadError`."""
        return charged(lambda: self._run(system, load, seconds), system.pids, self.provider_pid)

    def _run(self, system: System, load: Load, seconds: float) -> Result:
        if load.by is By.COUNT:
            rate = self._rates.get((load.name, system.name), 0.0)
            return self._counted(system, load, load.each * load.clients or max(FEWEST, round(rate * seconds)))
        asked, script = system.asked(load.route), self.directory / "load"
        if load.by is By.RATE:
            return k6.run(
                self.tools[debian.K6],
                script,
                asked,
                clients=load.clients,
                rate=RATE,
                seconds=seconds,
                cores=self.cores.others,
            )
        return wrk.run(
            self.tools[debian.WRK],
            script,
            asked,
            clients=load.clients,
            seconds=seconds,
            answer_bytes=self._bytes[system.name, load.route.name],
            cores=self.cores.others,
        )

    def _counted(self, system: System, load: Load, count: int) -> Result:
        length = self._bytes[system.name, load.route.name]
        asked = system.asked(load.route)
        return clients.run(asked, clients=load.clients, count=count, answer_bytes=length, cores=self.cores.others)


def _needed(load: Load) -> Iterator[str]:
    if load.by is By.TIME:
        yield debian.WRK
    if load.by is By.RATE:
        yield debian.K6
    if load.route.has_pauses:
        yield debian.LUA
