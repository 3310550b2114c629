from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.dialects import native_tools
from edge_service.dialects.canonical import Native, Tool, ToolKind


@given(st.text())
def test_a_text_comes_back_as_it_went(text: str) -> None:
    arguments = native_tools.arguments(text)
    assert json.loads(arguments) == {"input": text}
    assert native_tools.text(arguments) == text


@pytest.mark.parametrize("arguments", ["", "{}", "*** Begin Patch", '{"patch":"x"}', '{"input":7}', '"x"', "[" * 9999])
def test_what_is_no_such_object_is_taken_for_the_text(arguments: str) -> None:
    assert native_tools.text(arguments) == arguments


@pytest.mark.parametrize(
    ("namespace", "name", "joined"),
    [
        ("", "f", "f"),
        ("", "f" * 90, "f" * 90),
        ("crm", "f", "crm__f"),
        ("mcp__crm__", "f", "mcp__crm__f"),
        ("n" * 31, "f" * 31, "n" * 31 + "__" + "f" * 31),
    ],
)
def test_a_namespace_stands_before_the_name(namespace: str, name: str, joined: str) -> None:
    assert native_tools.joined(namespace, name) == joined


def test_names_that_are_too_long_are_cut_and_stay_apart() -> None:
    one, other = native_tools.joined("n" * 63, "one"), native_tools.joined("n" * 63, "other")
    assert one != other
    assert all(re.fullmatch(r"n{55}_[0-9a-f]{8}", name) for name in (one, other))
    assert native_tools.joined("n" * 63, "one") == one


def test_natives_are_found_by_the_names_of_functions() -> None:
    custom = native_tools.custom("c", "", "", "", "crm")
    assert native_tools.natives((Tool("f"), custom)) == {"crm__c": Native(ToolKind.CUSTOM, "c", "crm")}
    assert native_tools.natives(()) == {}
