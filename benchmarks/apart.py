"""What is not measured per request: memory, starts, and how soon a changed file is in effect."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks import debian, forebay, holding, processes
from benchmarks.found import Found
from benchmarks.nginx import Nginx
from benchmarks.processes import Cores, StartError
from benchmarks.routes import ROUTES
from benchmarks.systems import EDGE, RESOLVER, System
from benchmarks.window import LoadError
from edge_service.adapters.resolver_grpc.client import ResolverClient
from edge_service.app.ports import Question
from edge_service.domain.errors import ApiError
from edge_service.domain.failover import ReportClosed

FIRST_STREAMS = 100
STREAMS = 400
EVERY_S = 0.005
"""How often a resolver is asked while it reads a changed file."""
BEFORE_S = 0.5
LONGEST_S = 60.0

PER_STREAM = "per open stream"
IDLE = "idle"
AFTER = "after all loads"
START = "start"
IN_EFFECT = "reload in effect"
WAITED = "longest resolve while reloading"


def open_streams(found: Found, asked: Iterable[System], tools: Mapping[str, str], cores: Cores) -> None:
    """The memory that each open stream takes: resident memory with some hundreds of streams, less that with a hundred,
    over those between. Measured before any load, which might leave memory that is used again."""
    for system in asked:
        pids = {name: its for name, its in system.pids.items() if name != RESOLVER}
        stream = system.asked(ROUTES["held"])
        try:
            if debian.LUA not in tools:
                raise LoadError(f"{debian.LUA} is missing")
            with holding.held(stream, FIRST_STREAMS, cores.others):
                before = {name: _resident(its) for name, its in pids.items()}
                with holding.held(stream, STREAMS, cores.others):
                    for name, its in pids.items():
                        found.is_of(f"{name}, {PER_STREAM}", (_resident(its) - before[name]) / STREAMS)
        except (LoadError, OSError) as error:
            found.missing.update({f"{name}, {PER_STREAM}": str(error) for name in pids})


def resident(found: Found, asked: Iterable[System], when: str) -> None:
    """The resident memory of each system's processes."""
    for system in asked:
        for name, its in system.pids.items():
            with contextlib.suppress(OSError):  # It has ended, and its rows say so.
                found.is_of(f"{name}, {when}", _resident(its))


def _resident(pids: Iterable[int]) -> int:
    return sum(map(processes.rss_bytes, pids))


def starts(found: Found, provider: Nginx, directory: Path, rounds: int, pools: Iterable[int]) -> None:
    """Starts the services so many times, with so many pools each, and lets the resolver read a changed file. None of it
    is pinned: a file is read in a process beside the resolver's."""
    nowhere = Cores((), ())
    for count in pools:
        for number in range(rounds):
            place = directory / f"start-{count}-{number}"
            text = forebay.config(provider, [ROUTES["ten"]], pools=count)
            try:
                with forebay.running(text, place, nowhere) as services:
                    for name, service in ((RESOLVER, services.resolver), (EDGE, services.edge)):
                        found.took(f"{name}, {count:,} pools, {START}", service.start_s)
                        found.is_of(f"{name}, {count:,} pools, {IDLE}", service.idle_bytes)
                    in_effect_s, waited_s = asyncio.run(
                        _reloaded(services.resolver.address, place / "config" / "config.yaml", text)
                    )
            except (StartError, LoadError, OSError) as error:
                names = [f"{name}, {count:,} pools, {what}" for name in (RESOLVER, EDGE) for what in (START, IDLE)]
                names += [f"{RESOLVER}, {count:,} pools, {what}" for what in (IN_EFFECT, WAITED)]
                found.missing.update(dict.fromkeys(names, str(error) or repr(error)))
                break
            found.took(f"{RESOLVER}, {count:,} pools, {IN_EFFECT}", in_effect_s)
            found.took(f"{RESOLVER}, {count:,} pools, {WAITED}", waited_s)


async def _reloaded(address: str, file: Path, text: str) -> tuple[float, float]:
    """After how long a new name is known, and the longest that an old one had to wait meanwhile. Requests come when
    they come, and wait from when they were due. Raises `LoadError`."""
    client = ResolverClient([address], "")
    took: list[float] = []
    asking: set[asyncio.Task[None]] = set()

    async def ask(due_at: float) -> None:
        plan = await client.resolve(Question("bench", "ten", stream=True))
        took.append(time.perf_counter() - due_at)
        client.report(plan.decision_id, ReportClosed())

    async def ask_on() -> None:
        due_at = time.perf_counter()
        while True:
            asking.add(asyncio.create_task(ask(due_at)))
            due_at += EVERY_S
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))

    async def known() -> None:
        while True:
            with contextlib.suppress(ApiError):
                await client.resolve(Question("bench", "new", stream=True))
                return
            await asyncio.sleep(EVERY_S)

    changed = file.with_suffix(".new")
    changed.write_text(text + "    - {id: new, members: [{pool: pool-ten}]}\n")
    steady = asyncio.create_task(ask_on())
    try:
        await asyncio.sleep(BEFORE_S)
        changed_at = time.perf_counter()
        os.replace(changed, file)
        async with asyncio.timeout(LONGEST_S):
            await known()
        in_effect_s = time.perf_counter() - changed_at
        await asyncio.sleep(BEFORE_S)
    except TimeoutError as error:
        raise LoadError(f"a changed file was not in effect after {LONGEST_S:.0f} s") from error
    finally:
        steady.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        await client.aclose()
    if failed := [error for error in ended if error is not None]:
        raise LoadError(f"a resolve failed while a file was read: {failed[0]!r}")
    return in_effect_s, max(took)
