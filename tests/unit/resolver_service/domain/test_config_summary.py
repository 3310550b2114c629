from __future__ import annotations

import difflib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver_service.domain.config_summary import LONGEST_DIFF, MOST_COMPARED, diff, summary

BEFORE: dict[str, Any] = {
    "providers": [{"id": "p"}, {"id": "q"}],
    "policy": {"attempts": 3},
    "model-pools": {"pools": [{"id": "a"}, {"id": "b"}, {"members": [{"model": "m"}]}], "clusters": [{"id": "c"}]},
}


def with_groups(**groups: Any) -> dict[str, Any]:
    return {**BEFORE, "model-pools": {**BEFORE["model-pools"], **groups}}


A, B, M = BEFORE["model-pools"]["pools"]


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (BEFORE, "nothing but its text changed"),
        (with_groups(pools=[{"id": "A", "strategy": "priority"}, B, M]), "pool A changed"),
        (with_groups(pools=[A, B, M, {"id": "x"}, {"id": "y"}], clusters=[]), "2 pools added, cluster c removed"),
        (with_groups(pools=[A, B]), "pool m removed"),
        (with_groups(pools=[B, A, M]), "pools put in another order"),
        (with_groups(enabled=False), "model-pools.enabled changed"),
        ({**BEFORE, "policy": {}, "clients": []}, "policy changed, clients changed"),
        ({**BEFORE, "providers": [{"id": "p", "disabled": True}]}, "provider q removed, provider p changed"),
    ],
)
def test_what_a_change_comes_to_in_words(after: dict[str, Any], words: str) -> None:
    assert summary(BEFORE, after) == words


LINES = st.lists(st.sampled_from(["a", "b", "", "  c"]), max_size=30)


@given(LINES, LINES)
def test_a_diff_leads_from_one_to_the_other(old: list[str], new: list[str]) -> None:
    before, after = ("".join(f"{line}\n" for line in lines).encode() for lines in (old, new))
    told = diff(before, after)
    assert bool(told) == (old != new)
    place, made = 0, list[str]()
    for line in told.splitlines():
        if line.startswith("@@"):
            begin, count = (int(n) for n in line.split()[1][1:].split(","))
            begin -= bool(count)
            made += old[place:begin]
            place = begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert old[place] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            place += 1
    assert made + old[place:] == new


def test_it_is_what_everyone_knows() -> None:
    old = [f"line {n}" for n in range(40)]
    new = [*old[:10], "new", *old[11:30], *old[31:]]
    known = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    assert diff("\n".join(old).encode(), "\n".join(new).encode()).splitlines() == known


def test_what_is_very_long_is_cut_and_told_quickly() -> None:
    old, new = (b"\n".join(b"%d" % (n * f) for n in range(MOST_COMPARED * 5)) for f in (3, 7))
    told = diff(old, new)
    assert len(told) <= LONGEST_DIFF + 10
    assert told.endswith("\n[...]")
