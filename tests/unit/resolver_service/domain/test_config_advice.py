from __future__ import annotations

import pytest

from resolver_service.domain.config import parse
from resolver_service.domain.config_advice import advice
from tests.unit.resolver_service.domain.written import provider


def advised(url: str, **more: object) -> list[str]:
    tree = {"providers": [provider("other"), provider("one", **{"base-url": url, **more})]}
    return [str(problem) for problem in advice(parse(tree))]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost:8080/v1", "localhost"),
        ("http://LocalHost/v1", "localhost"),
        ("http://models.localhost/v1", "models.localhost"),
        ("http://127.0.0.2:1/v1", "127.0.0.2"),
        ("http://[::1]:1/v1", "::1"),
        ("http://0.0.0.0:1/v1", "0.0.0.0"),
        ("https://10.1.2.3/v1", "10.1.2.3"),
        ("https://192.168.1.1/v1", "192.168.1.1"),
        ("https://[fd12::1]/v1", "fd12::1"),
        ("https://[::ffff:10.1.2.3]/v1", "::ffff:10.1.2.3"),
    ],
)
def test_a_private_address_that_the_edge_would_refuse_is_told_of(url: str, host: str) -> None:
    (told,) = advised(url)
    assert told.startswith(f"providers[1].allow-private: the edge will refuse to call {host!r}, which is private")
    assert advised(url, **{"allow-private": False}) == [told]
    assert not advised(url, **{"allow-private": True})


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1]", "[::ffff:8.8.8.8]", "localhost.example", "169.254.169.254"]
)
def test_nothing_is_said_of_other_addresses(host: str) -> None:
    """Of a link-local one neither: those are never called, whatever is allowed."""
    assert not advised(f"https://{host}/v1")


@pytest.mark.parametrize("url", ["https://api.openai.com", "https://p.example:8443/"])
def test_an_address_of_openais_dialect_that_ends_before_v1_is_told_of(url: str) -> None:
    (told,) = advised(url)
    assert told == (
        "providers[1].base-url: has no path, so that requests go to /chat/completions: add /v1 unless the provider "
        "does without"
    )


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://api.deepseek.com", {}),
        ("https://p.example", {"dialect": "anthropic"}),
        ("https://p.example", {"quirks": {"api-version": "2024-10-21"}}),
        ("https://p.example/api", {}),
    ],
)
def test_an_address_that_is_known_or_meant_to_have_none_is_not(url: str, more: dict[str, object]) -> None:
    assert not advised(url, **more)
