from __future__ import annotations

import datetime
from typing import Any

import pytest

from resolver_service.domain.catalog import RawModel
from resolver_service.domain.config import parse
from resolver_service.domain.policy import Policy
from resolver_service.domain.providers import Credential, Dialect
from tests.unit.resolver_service.domain.written import (
    SECRET,
    document,
    problems,
    provider,
    targets,
)

# --- Providers -------------------------------------------------------------------------------------------------------


def test_a_provider_is_as_it_is_written() -> None:
    tree = document(
        [
            {
                "id": " One ",
                "dialect": "anthropic",
                "base-url": " https://one.example:8443/base// ",
                "credentials": [
                    "env:_KEY_1",
                    "file:/run/secrets/one key",
                    {"ref": " env:LAST ", "disabled": True},
                    {"ref": "env:NULL", "disabled": None},
                ],
                "models": [" Alpha ", "beta"],
                "allow-private": True,
                "disabled": True,
            }
        ]
    )
    (one,) = parse(tree).providers
    assert (one.id, one.dialect, one.base_url) == ("One", Dialect.ANTHROPIC, "https://one.example:8443/base")
    assert one.models == ("Alpha", "beta")
    assert one.allow_private
    assert one.disabled
    assert one.credentials == (
        Credential("env:_KEY_1", 0),
        Credential("file:/run/secrets/one key", 1),
        Credential("env:LAST", 2, disabled=True),
        Credential("env:NULL", 3),
    )


@pytest.mark.parametrize("more", [{}, {"credentials": None}, {"credentials": []}])
def test_a_provider_without_credentials_has_an_empty_one(more: dict[str, Any]) -> None:
    (one,) = parse(
        {"providers": [{"id": "one", "dialect": "gemini", "base-url": "http://one.example", **more}]}
    ).providers
    assert one.credentials == (Credential("", 0),)
    assert one.models == ()
    assert not one.allow_private
    assert not one.disabled


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080", "https://[::1]:1234/v1", "HTTPS://Example.COM", "http://10.0.0.1", "https://a_b-c.d/e/f"],
)
def test_a_base_url_is_absolute(url: str) -> None:
    assert parse({"providers": [provider("one", **{"base-url": url + "/"})]}).providers[0].base_url == url


USER = "must not have a user name or password: list a reference under credentials"
ABSOLUTE = "expected an absolute http or https URL, such as https://api.example.com/v1"


@pytest.mark.parametrize(
    ("url", "messages"),
    [
        (None, ["is required"]),
        ("", [ABSOLUTE]),
        ("api.example.com/v1", [ABSOLUTE]),
        ("/v1", [ABSOLUTE]),
        ("ftp://example.com", [ABSOLUTE]),
        ("file:///etc/passwd", [ABSOLUTE]),
        ("https://", [ABSOLUTE]),
        ("https://:443", [ABSOLUTE]),
        ("https:///v1", [ABSOLUTE]),
        ("https://exa mple.com", [ABSOLUTE]),
        ("https://example.com/a\nb", [ABSOLUTE]),
        ("https://example.com\\@evil.example", [ABSOLUTE]),
        ("https://exämple.com", [ABSOLUTE]),
        ("https://ex%61mple.com", [ABSOLUTE]),
        ("https://[::1", [ABSOLUTE]),
        ("https://[fe80::1%25eth0]", [ABSOLUTE]),
        ("https://example.com:99999", [ABSOLUTE]),
        ("https://example.com:port", [ABSOLUTE]),
        ("https://example.com:0", [ABSOLUTE]),
        ("https://example.com/\ud800", [ABSOLUTE]),
        (
            f"https://user:{SECRET}@example.com",
            ["must not have a user name or password: list a reference under credentials"],
        ),
        (f"https://example.com?key={SECRET}", ["must not have a query"]),
        ("https://example.com?", ["must not have a query"]),
        (f"https://example.com/v1#{SECRET}", ["must not have a fragment"]),
        (
            f"https://{SECRET}@example.com?#",
            [
                USER,
                "must not have a query",
                "must not have a fragment",
            ],
        ),
        (["https://example.com"], ["expected a URL, got a list"]),
        (443, ["expected a URL, got an integer"]),
    ],
)
def test_a_base_url_that_is_none_is_refused_and_never_shown(url: object, messages: list[str]) -> None:
    got = problems({"providers": [provider("one", **{"base-url": url})]})
    assert got == [("providers[0].base-url", message) for message in messages]
    assert SECRET not in str(got)


REFERENCE = "expected a reference, env:NAME or file:/absolute/path, never the secret itself"
CREDENTIAL_KEYS = "only 'ref' and 'disabled' can stand here; env:NAME has no space after the colon"


@pytest.mark.parametrize(
    ("credential", "path", "message"),
    [
        (SECRET, "", REFERENCE),
        (f"env:{SECRET}", "", REFERENCE),
        ("env:", "", REFERENCE),
        ("env:1A", "", REFERENCE),
        ("env:Ä", "", REFERENCE),
        ("ENV:A", "", REFERENCE),
        ("$A", "", REFERENCE),
        ("", "", REFERENCE),
        ("file:relative", "", REFERENCE),
        ("file:/", "", REFERENCE),
        ("file:/a\nb", "", REFERENCE),
        ("env:A\nB", "", REFERENCE),
        ({"ref": SECRET}, ".ref", REFERENCE),
        ({"ref": {SECRET: SECRET}}, ".ref", "expected a reference, env:NAME or file:/absolute/path, got a mapping"),
        ({"disabled": True}, ".ref", "expected a reference, env:NAME or file:/absolute/path, got nothing"),
        ({"ref": "env:A", "disabled": SECRET}, ".disabled", "expected true or false, got a string"),
        ({SECRET: None}, "", CREDENTIAL_KEYS),
        ({"env": SECRET}, "", CREDENTIAL_KEYS),
        ({"ref": "env:A", SECRET: SECRET}, "", CREDENTIAL_KEYS),
        ([SECRET], "", "expected a reference, env:NAME or file:/absolute/path, got a list"),
        (None, "", "expected a reference, env:NAME or file:/absolute/path, got nothing"),
        (1234567890123, "", "expected a reference, env:NAME or file:/absolute/path, got an integer"),
    ],
)
def test_a_credential_that_is_no_reference_is_refused_and_never_shown(
    credential: object, path: str, message: str
) -> None:
    got = problems({"providers": [provider("one", credentials=["env:OK", credential])]})
    assert got == [(f"providers[0].credentials[1]{path}", message)]


@pytest.mark.parametrize(
    ("dialect", "url", "end"),
    [
        ("anthropic", "https://p.example/v1", "/v1"),
        ("gemini", "https://p.example/v1/", "/v1"),
        ("gemini", "https://p.example/v1beta", "/v1beta"),
        ("anthropic", "https://p.example/behind/v1", "/v1"),
        ("anthropic", "https://p.example/v1/messages", "/v1/messages"),
        ("openai", "https://p.example/v1/chat/completions/", "/chat/completions"),
    ],
)
def test_what_requests_have_in_their_own_paths_is_not_in_the_base_url(dialect: str, url: str, end: str) -> None:
    (problem,) = problems(document([{**provider("p"), "dialect": dialect, "base-url": url}]))
    message = f"must not end in {end}, which requests of the dialect '{dialect}' have in their own paths"
    assert problem == ("providers[0].base-url", message)


@pytest.mark.parametrize(
    ("dialect", "base_url"),
    [
        ("openai", "https://p.example/v1"),
        ("openai", "https://p.example/v1beta/openai"),
        ("anthropic", "https://p.example/anthropic"),
        ("gemini", "https://v1.example"),
    ],
)
def test_a_base_url_is_as_the_providers_own_sdk_takes_it(dialect: str, base_url: str) -> None:
    catalog = parse(document([{**provider("p"), "dialect": dialect, "base-url": base_url}]))
    assert catalog.providers[0].base_url == base_url


def test_a_credential_stands_once_in_a_provider() -> None:
    one = provider("one", credentials=["env:A", "env:B", {"ref": " env:A"}])
    two = provider("two", credentials=["env:A"])
    assert problems({"providers": [one, two]}) == [
        ("providers[0].credentials[2].ref", "the same reference as providers[0].credentials[0]")
    ]


@pytest.mark.parametrize("credentials", [SECRET, {SECRET: SECRET}])
def test_credentials_are_a_list(credentials: object) -> None:
    ((path, message),) = problems({"providers": [provider("one", credentials=credentials)]})
    assert path == "providers[0].credentials"
    assert message.startswith("expected a list, got a ")
    assert SECRET not in message


def test_a_secret_under_a_likely_key_is_told_where_it_belongs() -> None:
    got = problems({"providers": [provider("one", **{"api-key": SECRET})]})
    assert got == [("providers[0].api-key", "unknown key 'api-key'; list a reference to it under 'credentials'")]


def test_a_provider_needs_id_dialect_and_base_url() -> None:
    assert problems({"providers": [{}]}) == [
        ("providers[0].id", "is required"),
        ("providers[0].dialect", "is required: openai, anthropic or gemini"),
        ("providers[0].base-url", "is required"),
    ]


SEPARATORS = "must not contain '/' or '#': they separate the parts of a target's name"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", SEPARATORS),
        ("a#1", SEPARATORS),
        ("a\x00b", "must not contain control characters"),
        ("a\nb", "must not contain control characters"),
        ("a\x85b", "must not contain control characters"),
        ("a\u2028b", "must not contain control characters"),
        ("a\ud800b", "must not contain control characters"),
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        (None, "is required"),
        (4.1, "expected a string, got a number; put it in quotes"),
        (7, "expected a string, got an integer; put it in quotes"),
        (True, "expected a string, got a boolean; put it in quotes"),
        (["a"], "expected a string, got a list"),
        ({"a": 1}, "expected a string, got a mapping"),
        (b"a", "expected a string, got binary data"),
        (datetime.date(2025, 1, 1), "expected a string, got a date"),
        ({"a"}, "expected a string, got a set"),
    ],
)
def test_a_provider_id_is_a_name_for_one_line(name: object, message: str) -> None:
    assert problems({"providers": [{**provider("one"), "id": name}]}) == [("providers[0].id", message)]


def test_a_model_stands_once_in_a_provider_whatever_its_case() -> None:
    assert problems({"providers": [provider("one", "Alpha", "beta", " aLPHA")]}) == [
        ("providers[0].models[2]", "duplicate model 'aLPHA'; the first is at providers[0].models[0]")
    ]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "must not be empty"),
        (None, "expected a string, got nothing"),
        (4.1, "expected a string, got a number; put it in quotes"),
        (["beta"], "expected a string, got a list"),
        ("a\rb", "must not contain control characters"),
    ],
)
def test_a_model_is_a_name(model: object, message: str) -> None:
    tree = {"providers": [{**provider("one"), "models": ["alpha", model]}]}
    assert problems(tree) == [("providers[0].models[1]", message)]


@pytest.mark.parametrize("key", ["allow-private", "disabled"])
@pytest.mark.parametrize(
    ("value", "kind"), [("yes", "a string"), (1, "an integer"), (0, "an integer"), ([], "a list"), (SECRET, "a string")]
)
def test_a_switch_is_true_or_false(key: str, value: object, kind: str) -> None:
    assert problems({"providers": [provider("one", **{key: value})]}) == [
        (f"providers[0].{key}", f"expected true or false, got {kind}")
    ]


# --- Raw models ------------------------------------------------------------------------------------------------------


def test_a_model_is_called_by_its_own_name_at_every_provider_that_lists_it() -> None:
    catalog = parse(
        {
            "providers": [
                provider("one", "Alpha", "beta", credentials=["env:A", "env:B"]),
                provider("two", "gamma", "ALPHA"),
            ]
        }
    )
    assert list(catalog.models) == ["alpha", "beta", "gamma"]
    alpha = catalog.find(" aLpHa ")
    assert isinstance(alpha, RawModel)
    assert alpha.id == "Alpha"
    assert alpha.policy == Policy()
    assert [[t.id for t in source.targets] for source in alpha.sources] == [
        ["one/Alpha#0", "one/Alpha#1"],
        ["two/ALPHA#0"],
    ]
    assert [t.path for t in targets(alpha)] == ["Alpha/one", "Alpha/one", "Alpha/two"]


def test_a_model_that_nobody_can_serve_is_not_called() -> None:
    one = provider("one", "alpha", "beta", disabled=True)
    two = provider("two", "alpha", credentials=["env:A", {"ref": "env:B", "disabled": True}])
    three = provider("three", "gamma", credentials=[{"ref": "env:C", "disabled": True}])
    catalog = parse({"providers": [one, two, three]})
    assert list(catalog.models) == ["alpha"]
    assert [t.disabled for t in targets(catalog.models["alpha"])] == [True, False, True]
    assert len(catalog.providers) == 3
