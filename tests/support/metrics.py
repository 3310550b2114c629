"""What a service says on its operations' address."""

from __future__ import annotations

import re

import httpx2

from tests.support.processes import PLAIN, Process


def operations_of(process: Process) -> str | None:
    """The URL, if it has one."""
    found = re.search(r"operations on ([^\s,]+)", process.line)
    return found[1] if found else None


async def exposition(process: Process) -> str:
    """The text of `/metrics`."""
    url = operations_of(process)
    assert url is not None, process.line
    async with httpx2.AsyncClient(base_url=url, verify=PLAIN) as client:
        return (await client.get("/metrics")).text


async def metrics(process: Process) -> dict[str, float]:
    """Each sample by its name with its labels."""
    samples = (line.rsplit(" ", 1) for line in (await exposition(process)).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}
