"""When two trees of plain data are the same."""

from __future__ import annotations


def same(one: object, other: object) -> bool:
    """Equal in kind as well: Python takes `true` for 1, and 1 for 1.0. The order of keys does not matter."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(key in other and same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)  # Not-a-number is not equal to itself.
