"""The wheel, installed as anyone would install it: away from this checkout, held to the lock's hashes."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import START_S, Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **options: object) -> str:
    """Its output. Raises `AssertionError` with all that it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT)
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are, in an environment of their own."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=True)
    pip = (directory / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "--no-deps", "-r", ROOT / "requirements" / "runtime.lock")
    run(*pip, "--no-deps", wheel)
    return directory / "bin"


@asynccontextmanager
async def serving(*command: str | Path, directory: Path) -> AsyncIterator[Process]:
    """The service for the time of the block, in a directory and an environment with nothing in them."""
    empty = directory / "empty"
    empty.mkdir(exist_ok=True)
    errors = directory / "errors.log"
    with errors.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=empty, env={}, stdout=asyncio.subprocess.PIPE, stderr=stderr
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode()
        found = re.search(r" on (\S+)\s*$", line)
        assert found, errors.read_text()
        service = Process(process, line, found[1], errors)
        yield service
        assert await service.stop() == 0, errors.read_text()
        assert list(empty.iterdir()) == []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_it_has_the_services_and_the_generated_code_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    # Generated where the contract is, imported as `forebay`.
    assert {f"forebay/resolver/v1/resolver_service_pb2{kind}" for kind in (".py", ".pyi", "_grpc.py")} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "edge_service",
        "forebay",
        "forebay_cli",
        "resolver_service",
    }
    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert not [name for name in names if re.search(r"(^|/)tests?[/_]|__pycache__", name)]


def test_nothing_that_it_needs_is_missing(scripts: Path) -> None:
    run(scripts / "pip", "check", "--disable-pip-version-check")


@pytest.mark.parametrize("command", ["forebay", "forebay-edge", "forebay-resolver"])
def test_every_command_explains_itself(scripts: Path, tmp_path: Path, command: str) -> None:
    assert f"usage: {command}" in run(scripts / command, "--help", cwd=tmp_path, env={})


def test_the_example_passes_the_check(scripts: Path, tmp_path: Path) -> None:
    config = ROOT / "config.example.yaml"
    assert ": valid: " in run(scripts / "forebay-resolver", "--config", config, "--check", cwd=tmp_path, env={})


async def test_it_serves_away_from_the_checkout(scripts: Path, tmp_path: Path) -> None:
    config = tmp_path / "forebay.yaml"
    config.write_text("providers:\n  - {id: p, dialect: openai, base-url: 'http://127.0.0.1:9/v1', models: [m]}\n")
    listen = ("--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
    resolve = (scripts / "forebay-resolver", "--config", config, *listen)
    async with serving(*resolve, directory=tmp_path) as resolver:
        assert "SERVING" in await asyncio.to_thread(
            run, scripts / "forebay", "health", "--resolver", resolver.address, env={}
        )
        edge_command = (scripts / "forebay-edge", "--resolver", resolver.address, *listen)
        async with (
            serving(*edge_command, directory=tmp_path) as edge,
            httpx2.AsyncClient(base_url=edge.address, trust_env=False) as client,
        ):
            for _ in range(200):
                if (ready := await client.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.05)
            assert ready.status_code == 200, edge.errors.read_text()
            assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["m"]
