from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from resolver_service.adapters import config_yaml
from resolver_service.domain.catalog import Group
from resolver_service.domain.config import ConfigError, Problem
from resolver_service.domain.policy import Policy

EXAMPLE = Path(__file__).parents[4] / "config.example.yaml"
SECRET = "sk-live-0123456789abcdefXYZ"


def problem(text: str | bytes) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        config_yaml.read(text)
    (found,) = caught.value.problems
    return found.path, found.message


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        ("# nothing but a comment\n", None),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("a: ü".encode(), {"a": "ü"}),
        ("a: [1, 2.5, true, null, text]", {"a": [1, 2.5, True, None, "text"]}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: 2025-02-31\nb: off", {"a": "2025-02-31", "b": "off"}),
        ("# YAML 1.2\na: yes\nb: 0o17\nc: 1:30\nd: 010", {"a": "yes", "b": 15, "c": "1:30", "d": 10}),
    ],
)
def test_yaml_is_read_to_plain_data(text: str | bytes, tree: object) -> None:
    assert config_yaml.read(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("[env:A, env:B]", ["env:A", "env:B"]),
        ("{a: http://localhost:8080/v1?x, b: 1}", {"a": "http://localhost:8080/v1?x", "b": 1}),
        ("{a: really?? yes}", {"a": "really?? yes"}),
        ("""["x:y?z", 'x:y?z', x:y?z]""", ["x:y?z"] * 3),
        ("""{"a":"b:c", 'd':e:f}""", {"a": "b:c", "d": "e:f"}),
        ("a: |\n  b:c? d\n", {"a": "b:c? d\n"}),
        ("a:b: c:d", {"a:b": "c:d"}),
        ("? a\n: b", {"a": "b"}),
    ],
)
def test_colons_and_question_marks_inside_words_stay(text: str, tree: object) -> None:
    assert config_yaml.read(text) == tree


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "a:\n  [1, 2",
            "line 3, column 1",
            "while parsing a flow sequence that begins in line 2: did not find expected ',' or ']'; close it with the "
            "bracket that it began with",
        ),
        (
            "a: 1\nb: 'x\nc: 2\nd: 3\n",
            "line 5, column 1",
            "while scanning a quoted scalar that begins in line 2: found unexpected end of stream; "
            "a quote is not closed",
        ),
        (
            "a: 1\n\tb: 2",
            "line 2, column 1",
            "while scanning a plain scalar that begins in line 1: found a tab character that violates indentation; "
            "indent with spaces",
        ),
        ("a: 1\nb: 2\na: 3", "line 3, column 1", "duplicate key 'a'"),
        ("- {id: one, id: two}", "line 1, column 13", "duplicate key 'id'"),
        (f"{{{SECRET}: {SECRET}, {SECRET}: 1}}", "line 1, column 60", "duplicate key"),
        ("a: *nowhere", "line 1, column 4", "found undefined alias; put a value that begins with '*' in quotes"),
        (
            "a: 1\n---\nb: 2",
            "line 2, column 1",
            "expected a single document in the stream: but found another document; take out the line '---'",
        ),
        (f"a: !{SECRET} 1", "line 1, column 4", "unknown tag; put a value that begins with '!' in quotes"),
        (
            "a: !!python/tuple [ls]",
            "line 1, column 4",
            "unknown tag; put a value that begins with '!' in quotes",
        ),
        (f"a: !!int {SECRET}", "line 1, column 4", "not a number, or too long a one"),
        (f"a: !!timestamp {SECRET}", "line 1, column 4", "unknown tag; put a value that begins with '!' in quotes"),
        ("a: " + "9" * 5000, "line 1, column 4", "not a number, or too long a one"),
        ("a: 1\n? {b: 1}\n: 2", "line 2, column 3", "not a valid key"),
        ("a: ü\nb: \x00", "line 2, column 4", "a character that is not allowed"),
        ("a: \ud800", "line 1, column 4", "a character that is not allowed"),
        ("a: ü\nb: ".encode() + b"\xff", "line 2, column 4", "not valid UTF-8"),
        ("a: 1".encode("utf-16"), "line 1, column 1", "not valid UTF-8"),
        ("[" * 101 + "]" * 101, "line 1, column 101", "nested more than 100 levels deep"),
        ("- " * 1_000_000, "line 1, column 201", "nested more than 100 levels deep"),
        ("? " * 1_000_000, "line 1, column 201", "nested more than 100 levels deep"),
        ("{a: " * 1_000_000, "line 1, column 401", "nested more than 100 levels deep"),
        ("#" * (16 * 1024 * 1024 + 1), "", "larger than 16 MiB"),
        (b"#" * (16 * 1024 * 1024 + 1), "", "larger than 16 MiB"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_yaml_is_one_problem_with_its_place_and_without_its_values(
    text: str | bytes, place: str, message: str
) -> None:
    assert problem(text) == (place, message)


def test_a_hundred_levels_are_read() -> None:
    assert config_yaml.read("[" * 100 + "]" * 100)


def test_a_value_that_contains_itself_is_no_trouble() -> None:
    with pytest.raises(ConfigError, match=r"providers: expected a list, got a mapping"):
        config_yaml.load("&x {providers: *x, policy: *x, model-pools: *x}")


def test_problems_of_the_configuration_come_through() -> None:
    with pytest.raises(ConfigError) as caught:
        config_yaml.load("providers: [{id: one}]\npolcy: {}")
    assert [found.path for found in caught.value.problems] == [
        "providers[0].dialect",
        "providers[0].base-url",
        "polcy",
    ]


def test_the_example_has_all_that_it_promises() -> None:
    catalog = config_yaml.load(EXAMPLE.read_bytes())
    assert list(catalog.clusters) == ["coding-high", "coding-fast", "chat", "reasoning", "vision"]
    assert {provider.dialect.value for provider in catalog.providers} == {"openai", "anthropic", "gemini"}
    assert [provider.id for provider in catalog.providers if provider.allow_private] == ["local"]
    assert {pool.strategy.value for pool in catalog.pools.values()} == {"priority", "round-robin"}
    assert isinstance(catalog.find("gpt-4.1"), Group)


def test_the_example_shows_the_default_policy() -> None:
    text = EXAMPLE.read_text()
    beginning, end = text.index("\npolicy:"), text.index("\nmodel-pools:")
    assert config_yaml.load(text).models["gpt-4.1"].policy == Policy()
    for key in (
        "attempts",
        "on-exhausted",
        "connect",
        "headers",
        "first-content",
        "idle",
        "total",
        "stream",
        "failover",
    ):
        assert f" {key}: " in text[beginning:end]


LINES = """\
# A comment.
providers:
  - id: a
    dialect: openia
    models: [m, 1]

  - &second {id: b, dialect: openai, base-url: nowhere}
model-pools:
  pools:
    - members:
        - provider: a
          model: m
          wieght: 2
  clusters: [
    {id: c,
     members: [{pool: gone}]},
    *second,
  ]
"""


@pytest.mark.parametrize("read", [config_yaml.load, lambda text: config_yaml.parsed(text.encode())])
def test_every_mistake_has_its_line(read: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(LINES)
    assert {(problem.path, problem.line) for problem in caught.value.problems} == {
        ("providers[0].dialect", 4),
        ("providers[0].base-url", 3),
        ("providers[0].models[1]", 5),
        ("providers[1].base-url", 7),
        ("model-pools.pools[0].members[0].wieght", 13),
        ("model-pools.clusters[0].members[0].pool", 16),
        ("model-pools.clusters[1].members", 7),
        ("model-pools.clusters[1].dialect", 7),
        ("model-pools.clusters[1].base-url", 7),
    }
    assert "line 13, model-pools.pools[0].members[0].wieght: unknown key" in caught.value.in_text()
    assert "line 13" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "", "providers: [", '{"a b": 1, "c]d": 1, 7: 1}'])
def test_where_no_line_is_known_none_is_told(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_yaml.load(text)
    assert caught.value.in_text() == str(caught.value)


def test_a_mistake_in_a_very_large_text_has_its_line_too() -> None:
    with pytest.raises(ConfigError) as caught:
        config_yaml.load("# as large as it gets\n" * 60_000 + "nothing: here\n")
    assert caught.value.in_text().startswith("line 60001, nothing: unknown key")


def test_a_text_that_is_nearly_all_aliases_is_let_go_of_in_a_moment() -> None:
    """It stands for 9 to the power of 9 values."""
    levels = [f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]" for before, letter in pairwise("abcdefghi")]
    text = "\n".join(["a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]", *levels])
    (problem,) = config_yaml.located(text, [Problem("i", "is too much")])
    assert problem.line == 9
