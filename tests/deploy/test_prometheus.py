"""Prometheus of the profile `monitoring`, started for real: Debian's, since no image has to be fetched for it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.support.faulty_upstream import says
from tests.support.metrics import exposition, operations_of
from tests.support.processes import Process, own_host
from tests.support.setup import setup

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "prometheus.yml"
PATIENCE_S = 30.0

pytestmark = pytest.mark.slow


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: Debian's package prometheus has it")
    return found


def test_the_configuration_is_valid() -> None:
    checked = subprocess.run([program("promtool"), "check", "config", CONFIG], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should() -> None:
    rules = Path(__file__).with_name("alerts_test.yml")
    tested = subprocess.run([program("promtool"), "test", "rules", rules], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


async def linted(exposed: str) -> str:
    """What promtool finds fault with."""
    process = await asyncio.create_subprocess_exec(
        *(program("promtool"), "check", "metrics"), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate(exposed.encode())
    return errors.decode() if process.returncode else ""


def at(services: dict[str, Process]) -> dict[str, Any]:
    """The configuration, with services where they are in place of names that lead to containers."""
    config = yaml.safe_load(CONFIG.read_text())
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in services]
    for job in jobs:
        del job["dns_sd_configs"]
        operations = operations_of(services[job["job_name"]]) or ""
        job["static_configs"] = [{"targets": [operations.removeprefix("http://")]}]
    return {"global": {**config["global"], "scrape_interval": "1s"}, "scrape_configs": jobs}


@contextlib.asynccontextmanager
async def prometheus(config: dict[str, Any], directory: Path) -> AsyncIterator[httpx2.AsyncClient]:
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"{own_host()}:9090"
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address}/api/v1", timeout=5) as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def answer(client: httpx2.AsyncClient, path: str, **query: str) -> Any:
    """None for as long as nobody answers."""
    with contextlib.suppress(httpx2.TransportError):
        response = await client.get(path, params=query)
        if response.status_code == 200:
            return response.json()["data"]
    return None


async def test_both_services_are_scraped_and_what_they_count_can_be_asked_for(tmp_path: Path) -> None:
    program("prometheus")
    async with setup(tmp_path, says("hello")) as it:
        assert (await it.chat()).status_code == 200
        services = {"resolver": it.services.resolver, "edge": it.services.edge}
        for service in services.values():
            assert not await linted(await exposition(service))
        async with prometheus(at(services), tmp_path) as asked, asyncio.timeout(PATIENCE_S):
            health: dict[str, str] = {}
            while set(health.values()) != {"up"} or len(health) != 2:
                await asyncio.sleep(0.1)
                targets = await answer(asked, "/targets", state="active") or {"activeTargets": []}
                health = {each["labels"]["job"]: each["health"] for each in targets["activeTargets"]}
            for query in ("sum(forebay_requests_total)", "sum(forebay_resolves_total)"):
                while not (found := await answer(asked, "/query", query=query))["result"]:
                    await asyncio.sleep(0.1)
                assert float(found["result"][0]["value"][1]) >= 1
