"""How a provider is asked: where its credential is shown, and at which path."""

from __future__ import annotations

import pytest

from edge_service.adapters.upstream.requests import OWN, headers_for, path_for
from edge_service.domain.plan import Attempt, Quirks


@pytest.mark.parametrize(
    ("dialect", "auth_header", "shown"),
    [
        ("openai", "", (b"authorization", b"Bearer sk-1")),
        ("anthropic", "", (b"x-api-key", b"sk-1")),
        ("gemini", "", (b"x-goog-api-key", b"sk-1")),
        ("anthropic", "bearer", (b"authorization", b"Bearer sk-1")),
        ("openai", "x-api-key", (b"x-api-key", b"sk-1")),
        ("openai", "x-goog-api-key", (b"x-goog-api-key", b"sk-1")),
        ("openai", "api-key", (b"api-key", b"sk-1")),
    ],
)
def test_a_credential_is_shown_where_the_provider_looks_for_it(
    dialect: str, auth_header: str, shown: tuple[bytes, bytes]
) -> None:
    always = ((b"x-title", b"forebay"),)
    assert headers_for(dialect, auth_header, b"sk-1", always) == [*OWN, shown, *always]
    assert headers_for(dialect, auth_header, b"", always) == [*OWN, *always]


@pytest.mark.parametrize(
    ("quirks", "path", "at"),
    [
        (Quirks(), "/chat/completions", "/chat/completions"),
        (Quirks(api_version="v 1"), "/chat/completions", "/chat/completions?api-version=v%201"),
        (Quirks(api_version="v1"), "/responses/r?stream=true", "/responses/r?stream=true&api-version=v1"),
        (Quirks(deployment_paths=True), "/chat/completions", "/openai/deployments/a%2Fb%20c/chat/completions"),
        (Quirks(deployment_paths=True), "/responses", "/openai/responses"),
        (Quirks(deployment_paths=True), "/responses/r", "/openai/responses/r"),
    ],
)
def test_the_path_is_the_providers_own(quirks: Quirks, path: str, at: str) -> None:
    asked = Attempt("p/m#0", "p", "openai", "http://p.test", "a/b c", "", quirks=quirks)
    assert path_for(asked, path) == at
