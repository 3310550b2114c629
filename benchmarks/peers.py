"""Gateways that do the same work, each as its documents start it, with one provider and nothing else switched on."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments, processes
from benchmarks.asking import Asked
from benchmarks.nginx import UPSTREAM_MODEL, Nginx
from benchmarks.routes import ROUTES, Route
from benchmarks.systems import System

LITELLM, PORTKEY, FERROGW, SMG = "LiteLLM", "Portkey", "ferrogw", "smg"
PATH = "/v1/chat/completions"
ASKED = (ROUTES["whole"], ROUTES["events-50"])
"""The routes that they are asked for."""
START_S = 120.0
_KEY = "sk-5d1f0c9a7be34862"
_KNOWN_MODEL = "gpt-4o-mini"
"""ferrogw serves no model of a provider that it does not know."""


@dataclass(frozen=True)
class Started:
    """How one is started, and asked."""

    command: Sequence[str]
    environment: Mapping[str, str]
    asked: Callable[[str, Route], Asked]
    """By the address at which it listens."""


@dataclass(frozen=True)
class Peer:
    name: str
    package: str
    start: Callable[[Path, Path, int, Nginx, Sequence[Route]], Started]
    """From the programs of its environment, a directory of its own, the port to listen at, the provider, the routes."""
    one_for_all: bool = True
    """Serves all routes. Otherwise each has a process of its own, since there is one place for all that is asked."""


def _headers(**more: str) -> dict[str, str]:
    return {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in more.items()}}


def _litellm(programs: Path, directory: Path, port: int, provider: Nginx, routes: Sequence[Route]) -> Started:
    file = directory / "config.yaml"
    models = [
        {
            "model_name": route.name,
            "litellm_params": {
                "model": f"openai/{UPSTREAM_MODEL}",
                "api_base": f"{provider.url}/{route.place}/v1",
                "api_key": "bench-key",
            },
        }
        for route in routes
    ]
    file.write_text(json.dumps({"model_list": models}))  # JSON is YAML too.
    command = [str(programs / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    # Otherwise it asks the network for what models cost.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": _KEY}
    headers = _headers(authorization=f"Bearer {_KEY}")
    return Started(
        [*command, "--telemetry", "False"],
        environment,
        lambda url, route: Asked(url + PATH, route.body("chat", route.name), headers),
    )


def _portkey(modules: Path, _: Path, port: int, provider: Nginx, __: Sequence[Route]) -> Started:
    def asked(url: str, route: Route) -> Asked:
        host = f"{provider.url}/{route.place}/v1"
        more = {"x_portkey_provider": "openai", "x_portkey_custom_host": host, "authorization": "Bearer bench-key"}
        return Asked(url + PATH, route.body("chat", UPSTREAM_MODEL), _headers(**more))

    program = modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", str(program), f"--port={port}", "--headless"]
    return Started(command, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}, asked)


def _ferrogw(programs: Path, directory: Path, port: int, provider: Nginx, routes: Sequence[Route]) -> Started:
    file = directory / "config.yaml"
    file.write_text("strategy: {mode: single}\ntargets: [{virtual_key: openai}]\n")
    environment = {
        "GATEWAY_CONFIG": str(file),
        "OPENAI_BASE_URL": f"{provider.url}/{routes[0].place}/v1",
        "OPENAI_API_KEY": "bench-key",
        "MASTER_KEY": _KEY,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "error",
        "RATE_LIMIT_RPS": "1000000",
        "RATE_LIMIT_BURST": "1000000",
    }
    headers = _headers(authorization=f"Bearer {_KEY}")
    return Started(
        [str(programs / "ferrogw"), "serve"],
        environment,
        lambda url, route: Asked(url + PATH, route.body("chat", _KNOWN_MODEL), headers),
    )


def _smg(programs: Path, _: Path, port: int, provider: Nginx, routes: Sequence[Route]) -> Started:
    command = [str(programs / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port), "--backend", "openai"]
    command += ["--worker-urls", f"{provider.url}/{routes[0].place}", "--model-path", UPSTREAM_MODEL]
    command += ["--disable-tokenizer-autoload", "--disable-health-check", "--history-backend", "none"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(processes.free_port())]
    return Started(
        [*command, "--log-level", "warn"],
        {},
        lambda url, route: Asked(url + PATH, route.body("chat", UPSTREAM_MODEL)),
    )


PEERS = (
    Peer(LITELLM, "litellm", _litellm),
    Peer(PORTKEY, "portkey", _portkey),
    Peer(FERROGW, "ferrogw", _ferrogw, one_for_all=False),
    Peer(SMG, "smg", _smg, one_for_all=False),
)


@dataclass
class Running:
    """Its processes, and where each route is asked for."""

    pids: list[int] = field(default_factory=list)
    asked: dict[str, Callable[[Route], Asked]] = field(default_factory=dict)


def programs(peer: Peer) -> Path:
    """Of its environment, which is made if it is missing. Raises `MissingToolError`."""
    return environments.of_node(peer.package) if peer.name == PORTKEY else environments.of_python(peer.package)


@contextlib.contextmanager
def running(peer: Peer, directory: Path, cores: Sequence[int], provider: Nginx) -> Iterator[System]:
    """For the time of the block. Raises `MissingToolError` and `StartError`."""
    where = programs(peer)
    it = Running()
    with contextlib.ExitStack() as stack:
        for number, routes in enumerate([ASKED] if peer.one_for_all else [[route] for route in ASKED]):
            place = directory / str(number)
            place.mkdir(parents=True)
            port = processes.free_port()
            started = peer.start(where, place, port, provider, routes)
            environment = {**started.environment, "HOME": str(place), "PATH": os.environ["PATH"]}
            process = stack.enter_context(
                processes.running(
                    started.command, cores=cores, log=directory / f"{number}.log", environment=environment, is_loud=True
                )
            )
            processes.wait_until(functools.partial(processes.is_listening, port), process, START_S)
            it.pids.append(process.pid)
            url = f"http://127.0.0.1:{port}"
            it.asked.update({route.name: _at(url, started) for route in routes})
        yield System(peer.name, {peer.name: it.pids}, lambda route: it.asked[route.name](route))


def _at(url: str, started: Started) -> Callable[[Route], Asked]:
    return lambda route: started.asked(url, route)
