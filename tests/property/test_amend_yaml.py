"""Texts that are amended say what they are to say, and nothing else of them changes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.domain.config import ConfigError
from resolver_service.domain.same import same
from tests.property.test_config import parts

CORPUS = Path(__file__).parent.parent / "golden" / "config"
EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
AWKWARD = ("alias_of_itself", "aliases_nine_times_nine", "keys_that_are_no_words_but_can_be")
"""No tree, or too large a one to change each value of, or with keys that only a question mark can announce."""


def texts() -> dict[str, bytes]:
    """All of the corpus and the example that can be read and is a mapping."""
    found = {}
    for path in (*sorted(CORPUS.glob("*.yaml")), EXAMPLE):
        try:
            document = config_yaml.read(path.read_bytes())
        except ConfigError:
            continue
        if isinstance(document, dict) and path.stem not in AWKWARD:
            found[path.stem] = path.read_bytes()
    return found


TEXTS = texts()
POOL = {"id": "a new one", "strategy": "priority", "members": [{"provider": "new", "model": "m", "priority": 3}]}


def lists(document: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    groups = document.get("model-pools")
    found = [("providers", document.get("providers"))]
    found += [(key, groups.get(key)) for key in ("pools", "clusters")] if isinstance(groups, dict) else []
    return [(key, entries) for key, entries in found if isinstance(entries, list)]


def removed(before: bytes, after: bytes) -> list[str]:
    old, new = (text.decode("utf-8-sig").splitlines(keepends=True) for text in (before, after))
    return [line[2:].strip() for line in difflib.ndiff(old, new) if line.startswith("- ") and line[2:].strip()]


def check(text: bytes, new: Any) -> bytes:
    amended = amend(text, config_yaml.read(text), new)
    assert same(config_yaml.read(amended), new), amended.decode()
    return amended


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_that_is_added_takes_no_line_away(name: str) -> None:
    text = TEXTS[name]
    for number in range(len(lists(config_yaml.read(text)))):  # type: ignore[arg-type]
        new: Any = _unshared(config_yaml.read(text))
        _, entries = lists(new)[number]
        is_empty = not entries
        entries.append(POOL)
        gone = removed(text, check(text, new))
        assert len(gone) <= 1, gone
        if b"\n  pools:\n" in text and not is_empty and name == "config.example":
            assert not gone


@pytest.mark.parametrize("name", TEXTS)
def test_a_value_that_changes_changes_its_line_alone(name: str) -> None:
    text = TEXTS[name]
    document: Any = _unshared(config_yaml.read(text))
    for number, (node, key) in enumerate(parts(document)):
        if not isinstance(node[key], str | int | bool) or len(text) > 100_000 or number > 60:
            continue
        new: Any = _unshared(document)
        its, key = parts(new)[number]
        its[key] = "changed"
        gone = removed(text, check(text, new))
        # What stands behind an anchor is spelt out where it is referred to.
        assert len(gone) <= 2 + text.count(b": *"), gone


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_that_goes_takes_its_own_lines_along(name: str) -> None:
    text = TEXTS[name]
    document: Any = _unshared(config_yaml.read(text))
    for number, (_, entries) in enumerate(lists(document)):
        for place in range(min(len(entries), 20)):
            new: Any = _unshared(document)
            del lists(new)[number][1][place]
            kept = check(text, new).decode("utf-8-sig")
            for entry in lists(new)[number][1]:
                if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"].isalnum():
                    assert entry["id"] in kept


WORDS = st.sampled_from(["a", "true", "1.0", "0x1f", "- x", "#", "a: b", " b ", "", "é\u2028\n", "'\"\\", "2024-01-01"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, Any]:
    """A text and what it is to say: some values of its own replaced, taken out, put in, put elsewhere."""
    name = draw(st.sampled_from(sorted(name for name, text in TEXTS.items() if len(text) < 30_000)))
    new: Any = config_yaml.read(TEXTS[name])
    # Aliases are one object: what changes in one place must not change in the other.
    new = _unshared(new)
    for _ in range(draw(st.integers(1, 5))):
        places = parts(new)
        if not places:
            break
        node, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "delete", "add", "exchange"])):
            case "replace":
                node[key] = draw(VALUES)
            case "delete":
                del node[key]
            case "add" if isinstance(node, list):
                node.insert(draw(st.integers(0, len(node))), draw(VALUES))
            case "add":
                node[draw(WORDS)] = draw(VALUES)
            case _ if isinstance(node, list):
                node.reverse()
    return name, new


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


@given(changed())
@settings(max_examples=400)
def test_whatever_it_is_to_say_it_says(case: tuple[str, Any]) -> None:
    name, new = case
    assume(isinstance(new, dict) and any(key in new for key in config_yaml.read(TEXTS[name])))  # type: ignore[attr-defined]
    check(TEXTS[name], new)
