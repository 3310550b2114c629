"""Load by time: wrk, which sends one request over and over from each of its clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import generator
from benchmarks.asking import Asked
from benchmarks.window import LoadError, Result

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[%s]==]
%s

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "duration_us": %%d, "bytes": %%d, "p50_us": %%d, "p99_us": %%d, "errors": '
      .. '{"connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


def run(
    program: str,
    script: Path,
    asked: Asked,
    *,
    clients: int,
    seconds: float,
    answer_bytes: int,
    cores: tuple[int, ...],
) -> Result:
    """Asks for so long, by a script that is written to the given place. Raises `LoadError` on any error, and if what
    arrived is less than so many bytes per answer.

    wrk adds to the latencies what clients would have met that, waiting for an answer, did not ask: a p99 that was
    measured by other means can be lower."""
    headers = "\n".join(f"wrk.headers[{json.dumps(name)}] = [==[{value}]==]" for name, value in asked.headers.items())
    script.write_text(_SCRIPT % (asked.body.decode(), headers))
    command = [program, "--threads", "1", "--connections", str(clients), "--duration", f"{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "--latency", "--script", str(script), asked.url]
    done = generator.ran(command, cores=cores, longest_s=seconds + 30)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise LoadError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    try:
        return _result(json.loads(lines[-1]), seconds, answer_bytes)
    except (ValueError, LookupError, TypeError) as error:
        raise LoadError(f"wrk does not say what came of it, but {lines[-1][-300:]!r}") from error


def _result(counted: dict[str, Any], seconds: float, answer_bytes: int) -> Result:
    if any(counted["errors"].values()):
        raise LoadError(f"errors under load: {counted['errors']} in {counted['requests']} requests")
    if not counted["requests"]:
        raise LoadError(f"not one request completed in {seconds} s")
    if counted["bytes"] < counted["requests"] * answer_bytes:
        raise LoadError(f"answers shorter than their {answer_bytes} bytes: {counted}")
    return Result(counted["requests"], counted["duration_us"] / 1e6, counted["p50_us"] / 1e6, counted["p99_us"] / 1e6)
