"""Runs each hot path N times and then 2N times, with a mark between: the difference is the cost of N calls. `python -m
benchmarks.counted_paths` runs under valgrind (a mark is a call of getppid, at which callgrind writes down what it has
counted), `... --calibrated` by itself, with the clock of the process's CPU."""

from __future__ import annotations

import gc
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks import edge_paths, resolver_paths, socket_paths
from edge_service.adapters import telemetry_structlog

TIMES = 20
WARM_UP = 5
BLOCKS = 15
"""The least of so many is taken: whatever else the machine does can only add to it."""


async def _go(path: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        if inspect.isawaitable(waiting := path()):
            await waiting


def calibration() -> None:
    """Something that the interpreter does all the time, and that no change of ours makes cheaper or dearer."""
    found: dict[str, int] = {}
    for number in range(200):
        name = f"name-{number % 50}"
        found[name] = found.get(name, 0) + len(name)


def _begin_counting() -> None:
    subprocess.run(["callgrind_control", "--instr=on", str(os.getpid())], capture_output=True, check=True)


async def counted(paths: dict[str, Callable[[], Any]]) -> None:
    """Names the paths in the order of the marks; there are three for each path."""
    _begin_counting()
    for path in paths.values():
        await _go(path, WARM_UP)
        os.getppid()
        await _go(path, TIMES)
        os.getppid()
        await _go(path, 2 * TIMES)
        os.getppid()
    json.dump(list(paths), sys.stdout)


async def calibrated(paths: dict[str, Callable[[], Any]]) -> None:
    """Each path in units of the calibration, which takes turns with it."""

    async def least_s(path: Callable[[], Any]) -> float:
        began = time.process_time()
        await _go(path, TIMES)
        return time.process_time() - began

    ratios = {}
    for name, path in paths.items():
        await _go(path, WARM_UP)
        pairs = [(await least_s(path), await least_s(calibration)) for _ in range(BLOCKS)]
        ratios[name] = min(its for its, _ in pairs) / min(unit for _, unit in pairs)
    json.dump(ratios, sys.stdout)


def main() -> None:
    telemetry_structlog.configure()
    paths = {**edge_paths.paths(), **socket_paths.paths(), **resolver_paths.paths()}
    gc.collect()
    gc.freeze()
    gc.disable()
    uvloop.run(calibrated(paths) if "--calibrated" in sys.argv[1:] else counted(paths))


if __name__ == "__main__":
    main()
