"""The configuration that comes with docker-compose.yml."""

from __future__ import annotations

import re
from pathlib import Path

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
