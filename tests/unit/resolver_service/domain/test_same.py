from __future__ import annotations

import pytest

from resolver_service.domain.same import same


@pytest.mark.parametrize("value", [None, True, 0, 1.5, float("nan"), "", [], {}, {"a": [1, {"b": None}]}])
def test_a_value_is_the_same_as_itself_and_as_its_like(value: object) -> None:
    assert same(value, value)
    assert same([value, {"x": value}], [value, {"x": value}])


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), (1, 1.0), (0, False), (None, {}), ([], {}), ("1", 1), ([1], [1, 2]), ({"a": 1}, {"b": 1})],
)
def test_what_python_takes_for_equal_may_not_be(one: object, other: object) -> None:
    assert not same(one, other)
    assert not same({"a": [one]}, {"a": [other]})


def test_the_order_of_keys_does_not_matter_and_that_of_items_does() -> None:
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same([1, 2], [2, 1])
