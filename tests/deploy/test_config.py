"""The configuration that comes with docker-compose.yml."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_service import settings as edge_settings
from resolver_service import settings as resolver_settings
from resolver_service.adapters import config_yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "config" / "forebay.yaml"


def test_it_is_valid_and_has_a_name_of_each_kind() -> None:
    catalog = config_yaml.load(CONFIG.read_bytes())
    assert catalog.providers
    assert catalog.pools
    assert catalog.clusters


def test_the_edge_is_given_every_key_that_it_refers_to() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    wanted = set(re.findall(r"env:(\w+)", CONFIG.read_text()))
    assert wanted
    assert wanted <= set(re.findall(r"^      (\w+): \$\{\1:-\}$", compose, re.MULTILINE))


def environment(service: str) -> dict[str, str]:
    """Of a service that is composed with TLS."""
    merged: dict[str, str] = {}
    for file in ("docker-compose.yml", "deploy/tls.compose.yaml"):
        merged |= yaml.safe_load((ROOT / file).read_text())["services"][service]["environment"]
    return {name: "" if value.startswith("$") else value for name, value in merged.items()}


def test_with_tls_nobody_consents_to_plaintext() -> None:
    directory = Path("/etc/forebay-certificates")
    cert, key, ca = (directory / name for name in ("cert.pem", "key.pem", "ca.pem"))
    resolver = resolver_settings.load([], environment("resolver"))
    assert (resolver.tls, resolver.client_ca, resolver.listen) == ((cert, key), ca, "0.0.0.0:8401")
    edge = edge_settings.load([], environment("edge"))
    assert (edge.tls, edge.resolver_pair, edge.resolver_ca) == ((cert, key), (cert, key), ca)
    assert edge.resolvers == ("resolver:8401",)


def composed() -> dict[str, Any]:
    """The services as they are written, with what they have in common."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def services(*profiles: str) -> set[str]:
    return {name for name, service in composed().items() if set(service["profiles"]) & set(profiles)}


def test_each_profile_has_its_services() -> None:
    assert services("") == {"resolver", "edge", "config-access"}
    assert services("monitoring") == {"resolver", "edge", "config-access", "prometheus"}
    parts = {"resolver-1", "resolver-2", "edge-1", "edge-2", "edge-3", "store", "front"}
    assert services("ha") == parts | {"config-access", "store-access"}


def test_resolvers_share_a_store_and_edges_know_all_of_them() -> None:
    parts = composed()
    for name in ("resolver-1", "resolver-2"):
        told = {k: v.replace("${FOREBAY_STORE_PASSWORD:-}", "x") for k, v in parts[name]["environment"].items()}
        assert resolver_settings.load([], told).store == "redis://:x@store:6379/0"
    known = [edge_settings.load([], parts[f"edge-{n}"]["environment"]).resolvers for n in (1, 2, 3)]
    assert {frozenset(each) for each in known} == {frozenset({"resolver-1:8401", "resolver-2:8401"})}
    assert len({each[0] for each in known}) == 2, "one resolver has all the work"


def test_the_front_alone_is_published_and_has_noticed_before_an_edge_refuses_anything() -> None:
    parts = composed()
    assert [name for name in services("ha") if parts[name].get("ports")] == ["front"]
    front = (ROOT / "deploy" / "haproxy.cfg").read_text()
    (inter_s,) = re.findall(r"check inter (\d+)s", front)
    (fall,) = re.findall(r" fall (\d+)", front)
    for number in (1, 2, 3):
        assert f"server edge-{number} edge-{number}:8400" in front
        told = edge_settings.load([], parts[f"edge-{number}"]["environment"])
        assert told.drain_delay_s > int(inter_s) * int(fall)
        assert float(parts[f"edge-{number}"]["stop_grace_period"].rstrip("s")) > told.drain_delay_s + told.drain_s


def test_the_engine_reads_it_too() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("there is no docker compose")
    for profile in ([], ["--profile", "ha"], ["--profile", "monitoring"]):
        command = ["docker", "compose", "--env-file", os.devnull, *profile, "config", "--services"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == services(profile[-1] if profile else "")
