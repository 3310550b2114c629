"""Configurations as people, editors and attackers write them: each gives a catalog, or all that is wrong with it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_service.adapters import config_yaml
from resolver_service.domain.config import Problem, parse
from resolver_service.domain.config_reader import path_text
from tests.property.test_config import parts, problems

CORPUS = Path(__file__).parent.parent / "golden" / "config"
NAMES = sorted(path.stem for path in CORPUS.glob("*.yaml"))
EXAMPLE = (Path(__file__).parents[2] / "config.example.yaml").read_text()
SECRET = "SECRET-0123456789"
"""What must not be quoted. In the corpus it stands where secrets do not belong, and people put them all the same."""

_MARK = re.compile(r"line \d+, column \d+")


def check_places(document: object, found: tuple[Problem, ...]) -> None:
    """Each is at a place that is there, or lacks just its last key."""
    for problem in found:
        missing = _missing(document, problem.path)
        assert not missing or re.fullmatch(r"[a-z-]+", missing), problem


def _missing(node: object, path: str) -> str:
    """What is left of a path where the document ends."""
    path = path.removeprefix(".")
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        step = path_text((key,))
        if path.startswith(step) and path[len(step) : len(step) + 1] in ("", ".", "["):
            return _missing(value, path[len(step) :])
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_of_the_corpus(name: str) -> None:
    text = (CORPUS / f"{name}.yaml").read_bytes()
    kept = CORPUS / f"{name}.problems"
    found = problems(config_yaml.load, text) or ()
    assert [str(problem) for problem in found] == (kept.read_text().splitlines() if kept.exists() else [])
    assert SECRET not in str(found)
    if found and not _MARK.fullmatch(found[0].path):
        check_places(config_yaml.read(text), found)


def test_the_corpus_is_complete() -> None:
    assert len(NAMES) > 60
    assert {path.stem for path in CORPUS.glob("*.problems")} <= set(NAMES)


@pytest.mark.parametrize("name", ["as it is", "with CRLF", "with a BOM"])
def test_the_example_is_valid_and_cut_anywhere_it_is_a_catalog_or_an_error(name: str) -> None:
    text = EXAMPLE.encode()
    if name == "with CRLF":
        text = text.replace(b"\n", b"\r\n")
    elif name == "with a BOM":
        text = b"\xef\xbb\xbf" + text
    assert problems(config_yaml.load, text) is None
    places = [0, 1, 2]
    # In the middle of lines as well, and of characters.
    for line in re.finditer(rb"[^\n]*\n", text):
        if not line[0].lstrip().startswith(b"#"):
            places += [line.start(), line.end() - 1, (line.start() + line.end()) // 2]
    for place in places:
        problems(config_yaml.load, text[:place])


def test_wrong_types_everywhere_are_told_of_at_their_places() -> None:
    """Each value of the example, replaced by each other kind of value."""
    tree = config_yaml.read(EXAMPLE)
    for node, key in parts(tree):
        kept = node[key]
        for other in (None, True, 10**400, -0.5, float("nan"), "", "\0", "x" * 300, [], [[]], {}, {"": None}):
            node[key] = other
            found = problems(parse, tree)
            check_places(tree, found or ())
        node[key] = kept
    assert problems(parse, tree) is None


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """The example with nodes deleted, duplicated, exchanged, renamed or put in the place of others; and then with a
    secret where people put them, though they do not belong there."""
    tree: Any = config_yaml.read(EXAMPLE)
    for _ in range(draw(st.integers(1, 6))):
        if not parts(tree):
            break  # All of it was deleted.
        node, key = draw(st.sampled_from(parts(tree)))
        other, other_key = draw(st.sampled_from(parts(tree)))
        match draw(st.sampled_from(["delete", "duplicate", "replace", "exchange", "rename", "wrap"])):
            case "delete":
                del node[key]
            case "duplicate" if isinstance(node, list):
                node.insert(draw(st.integers(0, len(node))), copy.deepcopy(node[key]))
            case "replace":
                node[key] = copy.deepcopy(other[other_key])
            case "exchange":
                mine, its = copy.deepcopy(node[key]), copy.deepcopy(other[other_key])
                node[key], other[other_key] = its, mine
            case "rename" if isinstance(node, dict):
                node[other_key] = node.pop(key)
            case "wrap":
                node[key] = draw(st.sampled_from([[node[key]], {key: node[key]}, str(node[key])]))
    providers = tree.get("providers")
    for provider in providers if isinstance(providers, list) else ():
        if isinstance(provider, dict) and draw(st.booleans()):
            where = draw(st.sampled_from(["credentials", "base-url", "api-key", "password", "headers"]))
            provider[where] = draw(
                st.sampled_from([SECRET, [SECRET], [{"ref": SECRET}], {"ref": SECRET}, {"env": SECRET}])
            )
            inner = draw(st.sampled_from(["headers", "api-version", "drop", "auth"]))
            provider["quirks"] = {
                inner: draw(st.sampled_from([SECRET, [SECRET], {"x-title": [SECRET]}, {SECRET: "a"}]))
            }
    return tree


@given(mutants())
@settings(max_examples=150)
def test_a_mutated_example_is_a_catalog_or_problems_at_their_places(tree: Any) -> None:
    found = problems(parse, tree)
    assert found != ()
    check_places(tree, found or ())
    assert SECRET not in str(found)
    assert all(len(str(problem).splitlines()) == 1 for problem in found or ())


@given(st.data())
@settings(max_examples=100)
def test_an_example_whose_lines_are_mixed_up_is_a_catalog_or_an_error(data: st.DataObject) -> None:
    lines = [line for line in EXAMPLE.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    lines = [re.sub(r"env:\w+", SECRET, line) for line in lines]
    for _ in range(data.draw(st.integers(1, 5))):
        at, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        match data.draw(st.sampled_from(["delete", "repeat", "exchange", "indent", "outdent", "cut", "insert"])):
            case "delete" if len(lines) > 1:
                del lines[at]
            case "repeat":
                lines.insert(other, lines[at])
            case "exchange":
                lines[at], lines[other] = lines[other], lines[at]
            case "indent":
                lines[at] = "  " + lines[at]
            case "outdent":
                lines[at] = lines[at].removeprefix("  ")
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case _:
                place = data.draw(st.integers(0, len(lines[at])))
                what = data.draw(
                    st.sampled_from(["\t", "\0", "{", "]", "'", '"', "&a", "*a", "!x", ": ", "- ", "|", "%", "é"])
                )
                lines[at] = lines[at][:place] + what + lines[at][place:]
    found = problems(config_yaml.load, "\n".join(lines))
    assert found != ()
    assert SECRET not in str(found)


def test_a_key_that_is_folded_into_the_text_above_it_is_not_shown() -> None:
    document = f"""
providers:
  - id: openai
    preset: openai
      - {SECRET}
      - {SECRET}
"""
    found = problems(config_yaml.load, document) or ()
    assert [str(problem).partition(";")[0] for problem in found] == [
        "providers[0].preset: unknown preset 'openai - ... - ...'"
    ]
