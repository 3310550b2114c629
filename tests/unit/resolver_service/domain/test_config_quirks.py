"""What is wrong with them is told in tests/golden/config."""

from __future__ import annotations

from typing import Any

import pytest

from resolver_service.domain.config import parse
from resolver_service.domain.config_quirks import LONGEST_VALUE, MOST_DROPPED, MOST_HEADERS, MOST_RENAMED
from resolver_service.domain.quirks import Quirks
from tests.unit.resolver_service.domain.written import document, problems, provider


def tree(quirks: dict[str, Any]) -> dict[str, Any]:
    return document([provider("one", "m", quirks=quirks)])


def quirks_of(quirks: dict[str, Any]) -> Quirks:
    return parse(tree(quirks)).providers[0].quirks


FULL: dict[str, Any] = {
    "drop": [f"f{n}" for n in range(MOST_DROPPED)],
    "rename": {f"f{n}": f"g{n}" for n in range(MOST_RENAMED)},
    "headers": {f"x-{n}": "v" * LONGEST_VALUE for n in range(MOST_HEADERS)},
}


def test_there_may_be_as_many_as_that_and_as_long() -> None:
    found = quirks_of(FULL)
    assert [len(each) for each in (found.drop, found.rename, found.headers)] == [50, 16, 16]


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("drop", [*FULL["drop"], "more"]),
        ("rename", {**FULL["rename"], "more": "moreover"}),
        ("headers", {**FULL["headers"], "x-more": "v"}),
        ("headers", {"x": "v" * (LONGEST_VALUE + 1)}),
    ],
)
def test_one_more_is_too_many(key: str, more: object) -> None:
    ((path, message),) = problems(tree({key: more}))
    assert path.startswith(f"providers[0].quirks.{key}")
    assert "are the most, got" in message


def test_a_header_that_is_wrong_in_itself_is_told_for_that() -> None:
    found = problems(tree({"headers": {"X-A": "v", "x-a": 5, "X-a": "w"}}))
    assert [message.partition(",")[0] for _, message in found] == [
        "expected a string",
        "the same header twice: upper and lower case do not matter",
    ]
