from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from resolver_service.domain.config import ConfigError, parse
from resolver_service.domain.presets import PRESETS
from resolver_service.domain.providers import Dialect, Provider
from resolver_service.domain.quirks import (
    NO_QUIRKS,
    AuthHeader,
    Effort,
    EffortField,
    Feature,
    MaxTokensField,
    Quirks,
    SystemRole,
    ThoughtsField,
)

AZURE = "https://r.openai.azure.com/openai/v1"


def read(**entry: Any) -> Provider:
    (provider,) = parse(
        {"providers": [{"id": "p", **{key.replace("_", "-"): v for key, v in entry.items()}}]}
    ).providers
    return provider


def problem_paths(**entry: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(**entry)
    return [problem.path.removeprefix("providers[0].") for problem in caught.value.problems]


def test_a_preset_and_a_credential_are_enough() -> None:
    groq = read(preset="groq", credentials=["env:GROQ_API_KEY"])
    assert (groq.dialect, groq.base_url, groq.responses) == (Dialect.OPENAI, "https://api.groq.com/openai/v1", False)
    assert groq.quirks == PRESETS["groq"].quirks
    assert not groq.allow_private


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_provider(name: str) -> None:
    preset = PRESETS[name]
    more: dict[str, Any] = {"allow_private": True} if preset.is_local else {}
    if not preset.base_url:
        assert problem_paths(preset=name) == ["base-url"]
        more["base_url"] = AZURE
    provider = read(preset=name.upper(), **more)
    assert (provider.dialect, provider.responses, provider.quirks) == (preset.dialect, preset.responses, preset.quirks)
    assert provider.base_url == (preset.base_url or AZURE)


@pytest.mark.parametrize("name", PRESETS)
def test_base_urls_are_as_the_providers_own_sdks_take_them(name: str) -> None:
    preset = PRESETS[name]
    url = urlsplit(preset.base_url)
    if preset.is_local:
        assert (url.scheme, url.hostname, url.path) == ("http", "127.0.0.1", "/v1")
    elif preset.base_url:
        assert url.scheme == "https"
        assert not preset.base_url.endswith("/")
    if preset.dialect is not Dialect.OPENAI:
        assert not url.path


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.is_local])
def test_a_preset_on_this_machine_needs_the_word(name: str) -> None:
    assert problem_paths(preset=name) == ["allow-private"]
    assert problem_paths(preset=name, allow_private=False) == ["allow-private"]
    assert read(preset=name, base_url="https://elsewhere.example/v1").base_url == "https://elsewhere.example/v1"


def test_what_is_said_wins_over_the_preset_key_by_key() -> None:
    quirks = {
        "drop": [],
        "headers": {"X-Title": "a"},
        "system-role": "developer",
        "auth-header": "bearer",
        "rename": {"seed": "random_seed"},
        "takes": ["top_k"],
        "lacks": ["n", "output.schema"],
        "efforts": ["low", "max"],
        "effort-field": "reasoning.effort",
        "thoughts": ["reasoning"],
        "max-stops": 2,
        "call-id-chars": 0,
    }
    provider = read(preset="azure-openai", base_url=AZURE + "/", responses=False, quirks=quirks)
    assert (provider.base_url, provider.responses) == (AZURE, False)
    assert provider.quirks == Quirks(
        max_tokens_field=MaxTokensField.MAX_COMPLETION_TOKENS,
        system_role=SystemRole.DEVELOPER,
        auth_header=AuthHeader.BEARER,
        headers=(("x-title", "a"),),
        rename=(("seed", "random_seed"),),
        takes=(Feature.TOP_K,),
        lacks=(Feature.N, Feature.OUTPUT_SCHEMA),
        efforts=(Effort.LOW, Effort.MAX),
        effort_field=EffortField.REASONING,
        thoughts=(ThoughtsField.REASONING,),
        max_stops=2,
    )
    mistral = PRESETS["mistral"].quirks
    assert read(preset="mistral", quirks={"drop": [], "rename": {}}).quirks == replace(mistral, drop=(), rename=())
    assert read(preset="mistral", quirks={"call-id-chars": 0}).quirks == replace(mistral, call_id_chars=0)


def test_what_is_said_to_be_known_or_not_wins_over_the_other_list_of_the_preset() -> None:
    ollama, together = PRESETS["ollama"].quirks, PRESETS["together"].quirks
    said = read(preset="ollama", quirks={"takes": ["n", "top_k"]}, allow_private=True).quirks
    assert said.takes == (Feature.N, Feature.TOP_K)
    assert said.lacks == tuple(feature for feature in ollama.lacks if feature is not Feature.N)
    said = read(preset="together", quirks={"lacks": ["top_k"]}).quirks
    assert said == replace(together, takes=(), lacks=(Feature.TOP_K,))
    assert problem_paths(preset="together", quirks={"takes": ["n"], "lacks": ["n"]}) == ["quirks.lacks"]


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_contradicts_itself(name: str) -> None:
    quirks = PRESETS[name].quirks
    assert not set(quirks.takes) & {*quirks.lacks, *quirks.drop}
    assert not set(dict(quirks.rename)) & set(quirks.drop)
    if PRESETS[name].dialect is not Dialect.OPENAI:
        assert quirks == NO_QUIRKS


def test_of_a_preset_with_another_dialect_the_address_is_left() -> None:
    """What else it knows is about its own protocol."""
    provider = read(preset="openai", dialect="anthropic")
    assert (provider.base_url, provider.responses, provider.quirks) == ("https://api.openai.com/v1", False, NO_QUIRKS)


@pytest.mark.parametrize(
    ("version", "base_url", "deployment_paths"),
    [
        (None, AZURE, False),
        ("preview", AZURE, False),
        ("2024-10-21", "https://r.openai.azure.com", True),
        ("2025-04-01-preview", "https://r.openai.azure.com/", True),
    ],
)
def test_the_version_tells_which_of_azures_paths_are_meant(
    version: str | None, base_url: str, deployment_paths: bool
) -> None:
    quirks = read(preset="azure-openai", base_url=base_url, quirks={"api-version": version}).quirks
    assert (quirks.api_version, quirks.deployment_paths) == (version or "", deployment_paths)


@pytest.mark.parametrize(("version", "base_url"), [(None, "https://r.openai.azure.com/"), ("2024-10-21", AZURE)])
def test_an_address_that_does_not_go_with_azures_paths_is_a_mistake(version: str | None, base_url: str) -> None:
    assert problem_paths(preset="azure-openai", base_url=base_url, quirks={"api-version": version}) == ["base-url"]


def test_without_a_preset_quirks_are_what_nearly_every_server_understands() -> None:
    assert read(dialect="openai", base_url="https://one.example/v1").quirks == Quirks(
        MaxTokensField.MAX_TOKENS, SystemRole.SYSTEM, drop=(), auth_header=None, headers=(), api_version=""
    )


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({f"x-{n}": "a" for n in range(17)}, "quirks.headers"),
        ({"x-a": "a" * 1001}, "quirks.headers.x-a"),
        ({"cf-aig-authorization": "Bearer a"}, "quirks.headers.cf-aig-authorization"),
        ({"X-Api-Key": "a"}, "quirks.headers.X-Api-Key"),
        ({"cookie": "a"}, "quirks.headers.cookie"),
    ],
)
def test_headers_are_few_short_and_never_credentials(headers: dict[str, str], path: str) -> None:
    assert problem_paths(preset="groq", quirks={"headers": headers}) == [path]


def test_dropped_and_renamed_fields_are_few() -> None:
    assert problem_paths(preset="groq", quirks={"rename": {f"f{n}": f"g{n}" for n in range(17)}}) == ["quirks.rename"]
    assert problem_paths(preset="groq", quirks={"drop": [f"f{n}" for n in range(51)]}) == ["quirks.drop"]
