"""What a process holds, seen from outside: memory, file descriptors, threads, sockets, and the edge's tasks."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

_ESTABLISHED = "01"
TELL_S = 2.0


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    at: float
    """Seconds since the watch began."""
    rss_bytes: int
    fds: int
    threads: int
    connections: int
    """Established, to the ports that are of interest."""
    tasks: int
    """0 where nobody tells."""


@dataclass(frozen=True)
class Watched:
    """A process that is looked at."""

    pid: int
    ports: frozenset[int] = frozenset()
    """Connections to these are counted."""
    tasks_file: Path | None = None
    """Of `counted_edge`."""

    def look(self, at: float) -> Sample:
        return Sample(
            at,
            processes.rss_bytes(self.pid),
            fds=len(os.listdir(f"/proc/{self.pid}/fd")),
            threads=len(os.listdir(f"/proc/{self.pid}/task")),
            connections=self._connections() if self.ports else 0,
            tasks=self._tasks(),
        )

    def _connections(self) -> int:
        """proc(5), `/proc/PID/net/tcp`: those of the whole network, of which a client's are told by their remote port
        and state. No other process connects to these ports."""
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        rows = (line.split() for line in lines)
        return sum(row[3] == _ESTABLISHED and int(row[2].rpartition(":")[2], 16) in self.ports for row in rows)

    def _tasks(self) -> int:
        if self.tasks_file is None:
            return 0
        self.tasks_file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        deadline = time.monotonic() + TELL_S
        while not self.tasks_file.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} does not tell its tasks within {TELL_S} s")
            time.sleep(0.002)
        return int(self.tasks_file.read_text())


def median(samples: Sequence[Sample], of: Callable[[Sample], int], fifth: int) -> float:
    """The median over one fifth of the time; fifths are counted from 1."""
    size = len(samples) / 5
    return statistics.median(map(of, samples[round(size * (fifth - 1)) : round(size * fifth)]))
