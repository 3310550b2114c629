"""Processes of the measurement: started on the cores that they belong on, asked what they use, and ended."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import TASKSET, find

START_S = 20.0
STOP_S = 15.0
CORES_FOR_TWO = 4
"""Two workers, and as much again for what loads them and answers them."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """A process does not serve, or did not end as it should; its log says why."""


def last_line(directory: Path) -> str:
    """The last that the processes whose logs are here had to say."""
    logs = sorted(directory.glob("*.log"))
    return "; ".join(filter(None, (log.read_text(errors="replace").strip().rpartition("\n")[2] for log in logs)))


@dataclass(frozen=True)
class Cores:
    """Which cores are whose. Empty where nothing is pinned."""

    under_test: tuple[int, ...]
    others: tuple[int, ...]
    pair: tuple[int, ...] = ()
    """For an edge of two workers; the one of `under_test` where there are not four."""

    @property
    def description(self) -> str:
        if not self.under_test:
            reason = f"`{TASKSET}` is missing (Debian's util-linux)" if find(TASKSET) is None else "there is one core"
            return f"SKIPPED: {reason}, so every process ran wherever the kernel put it"
        return (
            f"with taskset: what is measured (nginx as a proxy, an edge, a peer) on core {_listed(self.under_test)}; "
            f"resolver, provider and load on core {_listed(self.others)}"
        )


def split_cores() -> Cores:
    """The first core for the process under test, the others for the rest, if there is more than one. Of four or more a
    second one is kept for a second worker."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or find(TASKSET) is None:
        return Cores((), ())
    pair = tuple(cores[: 2 if len(cores) >= CORES_FOR_TWO else 1])
    return Cores(tuple(cores[:1]), tuple(cores[len(pair) :]), pair)


def _listed(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))


def on_cores(cores: Sequence[int], command: Sequence[str]) -> list[str]:
    """The command, pinned. The process that it becomes is the same: taskset replaces itself by it."""
    taskset = find(TASKSET)
    return [taskset, "-c", _listed(cores), *command] if cores and taskset else list(command)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    cores: Sequence[int],
    log: Path,
    environment: Mapping[str, str] | None = None,
    is_loud: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process for the time of the block, out of reach of the terminal's Ctrl-C: it is ended here, and only here,
    with whatever it started and left behind. What a loud one has to say on stdout is not wanted, and is in the log as
    well."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            on_cores(cores, command),
            stdout=errors if is_loud else subprocess.PIPE,
            stderr=errors,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        try:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        finally:  # After a second Ctrl-C as well.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def address_of(process: subprocess.Popen[bytes]) -> str:
    """What stands at the end of the line in which a service says where it serves. Raises `StartError`."""
    assert process.stdout is not None  # noqa: S101 - `running` made it
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline().decode() if selector.select(START_S) else ""
    found = re.search(r" on (\S+)\s*$", line)
    if found is None:
        raise StartError(f"{_command(process)} did not say where it serves: {line!r}")
    return found[1]


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], longest_s: float = START_S) -> None:
    """Raises `StartError` if the process ends, or takes too long."""
    deadline = time.monotonic() + longest_s
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"{_command(process)} does not serve")
        time.sleep(0.005)


def _command(process: subprocess.Popen[bytes]) -> str:
    return " ".join(process.args) if isinstance(process.args, list) else str(process.args)


def answers(url: str) -> bool:
    """Whether a GET of it is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - a loopback URL of our own
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """CPU seconds, in user space and kernel, that the process, its threads and its children have used so far, those
    that have ended included."""
    return sum(_clock_s(p) + _ended_children_s(p) for p in _family(pid))


def _clock_s(pid: int) -> float:
    """To the nanosecond, where `/proc/PID/stat` counts in steps of 10 ms: the clock of clock_getcpuclockid(3), whose id
    Python has for threads alone."""
    return time.clock_gettime((~pid << 3) | 2)


def _ended_children_s(pid: int) -> float:
    """proc(5), `/proc/PID/stat`: cutime and cstime."""
    return sum(map(int, _stat(pid)[13:15])) / TICKS_PER_S


def children_cpu_s() -> float:
    """CPU seconds of the children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_cpu_s() -> float:
    """CPU seconds of everything on this machine so far: proc(5), `/proc/stat`."""
    user, nice, system, _idle, _iowait, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + sum(interrupts)) / TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """The memory of the process and its children that is resident now; shared pages count in each. Raises
    `ProcessLookupError` if it has ended, whether or not somebody has asked for its status."""
    if not _resident_bytes(pid):
        raise ProcessLookupError(f"process {pid} has ended")
    return sum(map(_resident_bytes, _family(pid)))


def _resident_bytes(pid: int) -> int:
    """0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _stat(pid: int) -> list[str]:
    """From the state on: the name before it may have spaces and parentheses in it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid: int) -> list[int]:
    """Those that it started and that run."""
    return _family(pid, deep=False)[1:]


def _family(pid: int, *, deep: bool = True) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # It may have ended in between.
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
        if not deep:
            break
    return family
