from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.adapters.http import management_requests as requests
from edge_service.domain.headers import Headers
from edge_service.domain.management import BadQuestionError, Caller


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ([], ""),
        ([(b"authorization", b"Bearer k")], "k"),
        ([(b"authorization", b"bearer  k ")], "k"),
        ([(b"authorization", b"Basic k")], ""),
        ([(b"authorization", b"k")], ""),
        ([(b"x-management-key", b" k ")], "k"),
        ([(b"x-management-key", b"k"), (b"authorization", b"Bearer other")], "k"),
        ([(b"x-management-key", b""), (b"authorization", b"Bearer other")], ""),
        ([(b"x-api-key", b"k")], ""),
        ([(b"x-goog-api-key", b"k")], ""),
        ([(b"x-management-key", b"\xff")], ""),
        ([(b"x-management-key", b"a\tb")], ""),
        ([(b"x-management-key", b"k" * 5000)], ""),
    ],
)
def test_where_the_key_is_shown(head: Headers, key: str) -> None:
    scope = {"headers": head, "client": ("192.0.2.7", 1)}
    assert requests.caller(scope) == Caller(key, "192.0.2.7")
    assert requests.caller({**scope, "client": None}) == Caller(key, "")


def test_the_key_is_not_shown_further() -> None:
    assert "canary" not in repr(requests.caller({"headers": [(b"x-management-key", b"canary")], "client": None}))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b'"\\ud800"', "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b"[Infinity]", "not valid JSON"),
        (b"1e999", "not valid JSON"),
        (b"1" * 5000, "not valid JSON"),
        (b"01", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "'b' twice"),
        (b'{"a": 1, "\\u0061": 1}', "'a' twice"),
        (b"[" * 51 + b"]" * 51, "too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "too deeply"),
        (b'{"a":' * 51 + b"1" + b"}" * 51, "too deeply"),
    ],
)
def test_json_that_could_be_read_in_two_ways_or_none_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadQuestionError, match=said):
        requests.decoded(body)


def test_what_is_deep_enough_for_any_configuration_is_read() -> None:
    assert requests.decoded(b"[" * 50 + b"]" * 50)
    assert requests.decoded(b'{"a": [{"b": 1}, {"b": 1}]}') == {"a": [{"b": 1}, {"b": 1}]}


@given(st.binary())
def test_whatever_the_body_is_it_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadQuestionError):
        requests.decoded(body)


EVERY = frozenset(requests.QUERY)


def read(query: bytes = b"", head: Headers | None = None, *, is_change: bool = True) -> requests.Asked:
    scope: dict[str, Any] = {"query_string": query, "headers": head or [], "path_params": {}}
    return requests.read(scope, "", EVERY, is_change=is_change)


def test_a_query_is_read_by_its_names() -> None:
    asked = read(b"id=a%2Fb+c%23&validate-only=true&page-size=7&before=18446744073709551615")
    assert asked.query == {"id": "a/b c#", "validate-only": True, "page-size": 7, "before": 2**64 - 1}
    assert asked.change.validate_only


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (b"validate_only=true", "no query parameter 'validate_only'"),
        (b"validate-only=1", "neither true nor false"),
        (b"validate-only=", "neither true nor false"),
        (b"validate-only", "neither true nor false"),
        (b"id=a&id=b", "twice"),
        (b"id=%ff", "not UTF-8"),
        (b"page-size=0", "from 1 to 100"),
        (b"page-size=101", "from 1 to 100"),
        (b"page-size=-1", "from 1 to 100"),
        (b"page-size=1e1", "from 1 to 100"),
        (b"page-size=%d9%a1", "from 1 to 100"),
        (b"before=18446744073709551616", "from 1 to"),
        (b"before=" + b"1" * 5000, "from 1 to"),
    ],
)
def test_a_query_that_is_none_is_refused(query: bytes, said: str) -> None:
    with pytest.raises(BadQuestionError, match=said):
        read(query)


@pytest.mark.parametrize(
    ("shown", "author"),
    [
        (None, "management-api"),
        (b"  ", "management-api"),
        (b"ann", "ann"),
        (" Jürgen Ångström ".encode(), "Jürgen Ångström"),
        (b"a" * 64, "a" * 64),
        ("ü".encode() * 64, "ü" * 64),
    ],
)
def test_who_makes_a_change(shown: bytes | None, author: str) -> None:
    assert read(head=[(b"x-forebay-author", shown)] if shown else []).change.author == author


@pytest.mark.parametrize("shown", [b"a" * 65, b"a\tb", b"\xff", "a\u200eb".encode(), "a\u2028b".encode()])
def test_an_author_that_is_no_name_is_refused(shown: bytes) -> None:
    with pytest.raises(BadQuestionError, match="64 printable"):
        read(head=[(b"x-forebay-author", shown)])


def test_who_changes_nothing_is_not_asked_for_a_name_or_a_tag() -> None:
    asked = read(head=[(b"x-forebay-author", b"\xff"), (b"if-match", b"x")], is_change=False)
    assert (asked.change.author, asked.tags) == ("", None)
