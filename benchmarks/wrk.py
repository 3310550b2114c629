"""Load: wrk, which sends one request over and over from each of its clients."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[%s]==]
wrk.headers["content-type"] = "application/json"

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "duration_us": %%d, "bytes": %%d, "p50_us": %%d, "p99_us": %%d, "errors": '
      .. '{"connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


class LoadError(Exception):
    """Something went wrong under load, so that there is no figure."""


@dataclass(frozen=True)
class Result:
    """What wrk counted."""

    requests: int
    """Completed. Those under way at the end are not counted."""
    seconds: float
    p50_s: float
    p99_s: float
    """wrk adds to the latencies what clients would have met that, waiting for an answer, did not ask: a p99 that was
    measured by other means can be lower."""


def run(
    program: str,
    script: Path,
    url: str,
    *,
    clients: int,
    seconds: int,
    answer_bytes: int,
    cores: tuple[int, ...],
) -> Result:
    """Posts for so long what `write_script` has written. Raises `LoadError` on any error, and if what arrived is less
    than so many bytes per answer."""
    command = [program, "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--latency", "--script", str(script), url]
    done = subprocess.run(
        processes.on_cores(cores, command),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
        start_new_session=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise LoadError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    counted = json.loads(lines[-1])
    if any(counted["errors"].values()):
        raise LoadError(f"errors under load, {clients} clients, {url}: {counted}")
    if not counted["requests"]:
        raise LoadError(f"not one request completed in {seconds} s, {clients} clients, {url}")
    if counted["bytes"] < counted["requests"] * answer_bytes:
        raise LoadError(f"answers shorter than their {answer_bytes} bytes, {clients} clients, {url}: {counted}")
    return Result(counted["requests"], counted["duration_us"] / 1e6, counted["p50_us"] / 1e6, counted["p99_us"] / 1e6)


def write_script(path: Path, body: bytes) -> Path:
    """A script that posts this body."""
    path.write_text(_SCRIPT % body.decode())
    return path
