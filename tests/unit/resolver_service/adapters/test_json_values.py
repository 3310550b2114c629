from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver_service.adapters.grpc_api.json_values import DEEPEST, LARGEST_BYTES, decoded, encoded
from resolver_service.domain.config import ConfigError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert decoded(encoded(value)) == json.loads(encoded(value)) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{'a': 1}", "not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"\xff", "not valid UTF-8"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b"[NaN]", "NaN"),
        (b"9" * 5000, "too long"),
        (rb'["\udc00"]', "Unicode"),
        (rb'{"\udc00": 1}', "Unicode"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "levels deep"),
        (b"[" * 200_000, "levels deep"),
        (b" " * (LARGEST_BYTES + 1), "larger than 4 MiB"),
    ],
)
def test_what_is_no_value_is_refused_in_words_that_quote_nothing(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decoded(text)
    (problem,) = caught.value.problems
    assert problem.path == ""
    assert words in problem.message


def test_the_deepest_that_is_allowed_is() -> None:
    assert decoded(b"[" * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1))
