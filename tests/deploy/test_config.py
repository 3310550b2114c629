"""The configuration that comes with docker-compose.yml."""

from __future__ import annotations

import re
from pathlib import Path

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
