"""Events, codes, fields, flags, variables and commands that the documents tell of are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from google.protobuf import json_format, message_factory

from forebay.resolver.v1 import pool_admin_service_pb2 as admin_pb

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = "".join(
    path.read_text()
    for package in ("edge_service", "resolver_service")
    for path in sorted((ROOT / package).rglob("*.py"))
)
FLAGS = CODE + (ROOT / "forebay_cli" / "__main__.py").read_text()

SETTINGS = [*DOCUMENTS, ROOT / "docker-compose.yml", ROOT / "deploy" / "tls.compose.yaml", ROOT / "config.example.yaml"]
OF_COMPOSE = {"CERTIFICATES_DIR", "CONFIG_DIR", "GID", "PORT", "PROMETHEUS_PORT", "STORE_PASSWORD", "UID"}

CONTRACT = admin_pb.DESCRIPTOR.pool  # Of the other files as well, which this one needs.

OF_OTHERS = {"haproxy_server_status", "rule_files"}
FLAGS_OF_OTHERS = {"build", "help", "profile", "wait"}  # Of docker compose, and of every command.


def test_the_documents_tell_of_some() -> None:
    assert len(words(ROOT / "docs" / "scaling.md")) > 10
    assert len(flags(ROOT / "docs" / "operations.md")) > 20
    assert len(variables(ROOT / "docker-compose.yml")) > 10


def words(document: Path) -> set[str]:
    """Names with a `_` in them, but for those of metrics, which have a test of their own."""
    return {word for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", document.read_text()) if "forebay_" not in word}


def flags(document: Path) -> set[str]:
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", document.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_calls_by_its_name_exists(document: Path) -> None:
    assert {word for word in words(document) - OF_OTHERS if not re.search(rf"\b{word}\b", CODE)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_flag_that_a_document_names_exists(document: Path) -> None:
    assert {flag for flag in flags(document) - FLAGS_OF_OTHERS if not re.search(rf'"(--)?{flag}"', FLAGS)} == set()


def variables(document: Path) -> set[str]:
    return set(re.findall(r"FOREBAY_([A-Z_]+[A-Z])\b", document.read_text()))


def is_known(variable: str) -> bool:
    """Whether a program takes it: by itself, or as a flag of the edge's, the resolver's or the command's."""
    tails = {variable, variable.removeprefix("EDGE_"), variable.removeprefix("RESOLVER_")}
    named = [f"FOREBAY_{variable}", *(tail.lower().replace("_", "-") for tail in tails)]
    return any(f'"{name}"' in FLAGS for name in named)


@pytest.mark.parametrize("document", SETTINGS, ids=lambda path: path.name)
def test_every_variable_that_a_document_names_exists(document: Path) -> None:
    assert {name for name in variables(document) - OF_COMPOSE if not is_known(name)} == set()


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "config.example.yaml"], ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"(?<=[`/])forebay ([a-z]+)\b", document.read_text()))
    assert {name for name in named if f'"{name}"' not in FLAGS} == set()


def test_what_documents_have_grpcurl_say_is_of_the_contract() -> None:
    lines = [line for path in DOCUMENTS for line in path.read_text().splitlines() if line.startswith("grpcurl ")]
    assert lines
    for line in lines:
        *_, said, _, called = shlex.split(line)
        service, _, method = called.rpartition("/")
        asked = CONTRACT.FindServiceByName(service).FindMethodByName(method).input_type
        json_format.Parse(said, message_factory.GetMessageClass(asked)())
