from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.domain.preconditions import PreconditionError, entity_tag, if_match

TAGS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'))


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([], None),
        ([b"*"], None),
        ([b" * "], None),
        ([b'"a"'], {"a"}),
        ([b'"a","b" , "c"'], {"a", "b", "c"}),
        ([b'"a"', b'"b"'], {"a", "b"}),
        ([b'W/"a"'], set()),
        ([b'W/"a", "b"'], {"b"}),
        ([b'""'], {""}),
        ([b'"a,b"'], {"a,b"}),
        ([b',, "a" ,'], {"a"}),
        ([b'"\xe9"'], {"é"}),
    ],
)
def test_what_an_if_match_asks_for(values: list[bytes], tags: set[str] | None) -> None:
    assert if_match(values) == tags


@pytest.mark.parametrize("value", [b"", b"a", b'"a', b'"a" "b"', b'w/"a"', b'*, "a"', b'"a", *', b'"a b"', b'""a"'])
def test_what_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(PreconditionError):
        if_match([value])


@given(st.lists(TAGS, min_size=1))
def test_any_list_of_tags_is_read_as_what_it_was_written_from(tags: list[str]) -> None:
    assert if_match([b", ".join(map(entity_tag, tags))]) == set(tags)


@given(st.lists(st.binary()))
def test_whatever_is_sent_is_read_or_refused(values: list[bytes]) -> None:
    with contextlib.suppress(PreconditionError):
        if_match(values)
