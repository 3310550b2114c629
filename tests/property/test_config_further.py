"""A configuration that is read after others comes to what it would have come to alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolver_service.adapters import config_yaml
from resolver_service.app.ports import Parsed
from resolver_service.domain.config import ConfigError, Problem, parse
from resolver_service.domain.same import same

GOLDEN = Path(__file__).parent.parent / "golden" / "config"
TEXTS = [Path("config.example.yaml").read_bytes(), *(path.read_bytes() for path in sorted(GOLDEN.glob("*.yaml")))]
SMALL = [text for text in TEXTS if len(text) < 4_000]
POOLS = b"""\
providers:
  - {id: p, dialect: openai, base-url: "https://p.example", models: [m, n]}
  # another
  - id: q
    dialect: anthropic
    base-url: https://q.example
    models:
    - m
model-pools:
  pools:
    - {id: a, members: [{provider: p, model: m}]}

    - id: b   # the second
      description: |
        - not an entry
      members:
        - provider: p
          model: m
        - {provider: q, model: m, weight: 3}
    - id: "c
        - d"
      members: [{model: m}]
  clusters:
    - id: k
      members: [{pool: a}, {pool: b}]
policy:
  failover: {never: [
    empty,
    - timeout
  ]}
""".replace(b"    - timeout\n", b"    timeout\n")


def _alone(text: bytes) -> Parsed:
    document: Any = config_yaml.read(text)
    return Parsed(document, parse(document))


def _found(read: Callable[[], Parsed]) -> Parsed | tuple[Problem, ...]:
    try:
        return read()
    except ConfigError as error:
        return error.problems


def check(texts: Sequence[bytes]) -> None:
    """Whatever came before."""
    reader = config_yaml.Reader()
    for text in texts:
        expected = _found(lambda text=text: _alone(text))
        found = _found(lambda text=text: reader.parsed(text))
        if not isinstance(expected, Parsed) or not isinstance(found, Parsed):
            assert found == expected
            continue
        assert same(found.document, expected.document)
        assert list(found.document) == list(expected.document)
        assert found.catalog == expected.catalog
        assert list(found.catalog.pools) == list(expected.catalog.pools)


edits = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["drop", "again", "swap", "deeper", "shallower", "quote", "bracket", "hyphen", "cut"]),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=4,
)


def edited(text: bytes, what: Sequence[tuple[int, str, int]]) -> bytes:
    lines = text.splitlines(keepends=True)
    for at, how, other in what:
        at, other = at % (len(lines) or 1), other % (len(lines) or 1)
        if not lines:
            break
        line = lines[at]
        match how:
            case "drop":
                del lines[at]
            case "again":
                lines.insert(other, line)
            case "swap":
                lines[at], lines[other] = lines[other], line
            case "deeper":
                lines[at] = b"  " + line
            case "shallower":
                lines[at] = line.removeprefix(b"  ")
            case "quote":
                lines[at] = line[: other % (len(line) or 1)] + b'"' + line[other % (len(line) or 1) :]
            case "bracket":
                lines[at] = line[: other % (len(line) or 1)] + b"[" + line[other % (len(line) or 1) :]
            case "hyphen":
                lines[at] = line[: len(line) - len(line.lstrip())] + b"- " + line.lstrip()
            case _:
                lines[at] = line[: other % (len(line) or 1)]
    return b"".join(lines)


@given(st.sampled_from([POOLS, POOLS, *SMALL]), edits, edits)
@example(POOLS, [(0, "cut", 0)], [(0, "cut", 0)])
def test_what_was_read_before_makes_no_difference(
    text: bytes, one: Sequence[tuple[int, str, int]], other: Sequence[tuple[int, str, int]]
) -> None:
    check([text, edited(text, one), text, edited(edited(text, one), other), edited(text, other)])


def test_one_after_the_other() -> None:
    check([*TEXTS, *reversed(TEXTS)])


def test_an_entry_that_has_not_changed_is_the_same_object() -> None:
    reader = config_yaml.Reader()
    before = reader.parsed(POOLS)
    after = reader.parsed(POOLS.replace(b"weight: 3", b"weight: 4"))
    pools = [parsed.document["model-pools"]["pools"] for parsed in (before, after)]
    assert [one is other for one, other in zip(*pools, strict=True)] == [True, False, True]
    assert [after.catalog.pools[key] is before.catalog.pools[key] for key in ("a", "b")] == [True, False]


@pytest.mark.parametrize(
    "change",
    [
        (b"models: [m, n]", b"models: [m, o]"),
        (b"policy:\n", b"policy:\n  attempts: 2\n"),
        (b"model-pools:\n", b"model-pools:\n  default-strategy: priority\n"),
        (b"https://q.example", b"https://r.example"),
        (b"model-pools:\n", b"model-pools:\n  enabled: false\n"),
    ],
)
def test_what_pools_rest_on_changes_them(change: tuple[bytes, bytes]) -> None:
    check([POOLS, POOLS.replace(*change), POOLS])


def test_anchors_of_one_name_in_two_entries_are_two_all_the_same() -> None:
    twice = b"providers:\n- &a {id: p}\n- &a {id: q}\nmodel-pools: {}\n"
    check([twice, twice.replace(b"- &a {id: p}", b"- {id: p}"), twice])


def test_what_stands_for_a_list_in_the_frame_may_stand_in_the_text() -> None:
    mine = b"model-pools:\n  pools: [the entries of list 0]\nproviders:\n- {id: the entries of list 0}\n"
    check([mine, POOLS, mine])
