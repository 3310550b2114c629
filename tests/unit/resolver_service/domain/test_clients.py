from __future__ import annotations

import time

import pytest

from resolver_service.domain.clients import MOST_KEPT, Client, Names
from resolver_service.domain.names import name_key


@pytest.mark.parametrize(
    ("entry", "names", "others"),
    [
        ("chat", ["chat", "CHAT"], ["chats", "cha", ""]),
        ("Coding-*", ["coding-high", "coding-", "CODING-x/y"], ["coding", "xcoding-high"]),
        ("gpt-?", ["gpt-4", "gpt-é"], ["gpt-", "gpt-41"]),
        ("*", ["anything", ""], []),
        ("a*b*c", ["abc", "aXbYc", "abcbc"], ["acb", "abcd"]),
        ("**a", ["a", "ba"], ["ab"]),
        ("[ab]*", ["[ab]", "[AB]c"], ["a", "b"]),
        ("a.c", ["a.c"], ["abc"]),
        ("!a", ["!a"], ["b"]),
    ],
)
def test_an_entry_stands_for_names(entry: str, names: list[str], others: list[str]) -> None:
    client = Client("c", Names([name_key(entry)]))
    for _ in range(2):  # The second time it knows.
        assert [client.may_call(name_key(name)) for name in names] == [True] * len(names)
        assert [client.may_call(name_key(name)) for name in others] == [False] * len(others)


def test_a_list_may_have_names_and_globs() -> None:
    names = Names(["one", "t?o", "th*", "four"])
    assert [key in names for key in ("one", "two", "three", "four", "five", "on", "one!")] == [True] * 4 + [False] * 3


def test_memory_is_bounded_however_many_names_there_are() -> None:
    names = Names(["a*"])
    for number in range(3 * MOST_KEPT):
        assert f"a{number}" in names
        assert f"b{number}" not in names
    assert len(names._known) == MOST_KEPT


def test_whoever_has_no_names_may_call_every_one() -> None:
    assert Client("c").may_call("anything")


@pytest.mark.parametrize("glob", ["*a" * 100, "a*" * 100, "?*" * 100, "*" * 199 + "b", "*a" * 99 + "b"])
def test_hostile_globs_take_no_time(glob: str) -> None:
    """What goes back into each `*` takes 2^100 steps here: no faster machine makes up for that."""
    began_at = time.process_time()
    assert Names([glob + "!"]).__contains__("a" * 10_000) is False
    assert time.process_time() - began_at < 5.0
