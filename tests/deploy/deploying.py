"""docker-compose.yml with a real engine: brought up under a name of its own, and asked."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
KEY = "sk-of-the-provider"
MANAGEMENT_KEY = "of-the-management"
STORE_PASSWORD = "ofTheStore"


@dataclass(frozen=True)
class Deployment:
    """The services, up."""

    project: str
    port: int
    config: Path
    """The directory on this machine that the resolver has."""
    environment: dict[str, str]
    profile: tuple[str, ...] = ()
    """How the profile is asked for, if it is not the usual one."""

    def compose(self, *arguments: str, check: bool = True) -> str:
        # The file .env of whoever runs this is none of the tests' business.
        command = ["docker", "compose", "--env-file", os.devnull, "--project-name", self.project]
        command += ["-f", "docker-compose.yml", "-f", "tests/deploy/compose.yaml", *self.profile, *arguments]
        return run(command, self.environment, check=check)

    def execute(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command)

    def inspect(self, service: str) -> Any:
        identifier = self.compose("ps", "--all", "--quiet", service).strip()
        return json.loads(run(["docker", "inspect", identifier], self.environment))[0]

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, trust_env=False)

    def chat(self, model: str) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        return httpx2.post(url, json=body, timeout=10, trust_env=False)

    def models(self) -> set[str]:
        response = self.get("/v1/models")
        return {model["id"] for model in response.json()["data"]} if response.status_code == 200 else set()


def run(command: list[str], environment: dict[str, str], check: bool = True) -> str:
    """Its output. Raises `AssertionError` with all that it said if it fails."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def eventually(holds: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.1)


def missing() -> str:
    """Why these tests cannot run here; empty if they can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command, reason in (
        (["docker", "compose", "version"], "docker has no compose plugin"),
        (["docker", "info"], "no docker engine answers"),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{reason}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"
    return ""


@contextlib.contextmanager
def deploy(directory: Path, config: str, request: pytest.FixtureRequest, *profile: str) -> Iterator[Deployment]:
    """The services for the time of the block, over this configuration. Skips the test where there is no engine."""
    if reason := missing():
        # Said aloud: a skip that nobody sees looks like a pass.
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nNOT TESTED, docker-compose.yml: {reason}", flush=True)
        pytest.skip(reason)

    (directory / "forebay.yaml").write_text(config)
    # Nobody but the owner, who is not the resolver's user, gets in: as strict as any checkout may be.
    (directory / "forebay.yaml").chmod(0o600)
    directory.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("FOREBAY_", "COMPOSE_"))}
    it = Deployment(
        project=f"forebay-test-{secrets.token_hex(4)}",
        port=port,
        config=directory,
        environment={
            **outer,
            "FOREBAY_PORT": str(port),
            "FOREBAY_CONFIG_DIR": str(directory),
            "FOREBAY_TOKEN": "of-the-services",
            "FOREBAY_MANAGEMENT_KEY": MANAGEMENT_KEY,
            "FOREBAY_STORE_PASSWORD": STORE_PASSWORD,
            "OPENAI_API_KEY": KEY,
        },
        profile=profile,
    )
    try:
        it.compose("build")
        try:
            it.compose("up", "--detach", "--wait", "--wait-timeout", "180")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{it.compose('logs')}") from None
        yield it
    finally:
        it.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5")
