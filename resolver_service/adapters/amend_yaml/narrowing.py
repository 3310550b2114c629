"""Leaves out of a text, and of its document, the list entries that a change does not concern.

To locate everything in a text of thousands of pools takes a third of a second, and a change is to one of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any, TypeAlias

import yaml

from resolver_service.domain.config_blocks import parts, place
from resolver_service.domain.same import same

Edit: TypeAlias = tuple[int, int, str]
"""Start and end in the text, and what replaces that."""
# The anchor that it refers to may be left out.
_ALIAS = re.compile(r"[\s\[{,]\*[^\s,\]}]")


@dataclass(frozen=True, slots=True)
class Narrowed:
    text: str
    old: object
    new: object
    left_out: tuple[tuple[int, int], ...]
    """Start and end in the whole text, in order."""

    def widened(self, edits: Sequence[Edit]) -> list[Edit] | None:
        """The same edits in the whole text. None if one touches a place where something was left out."""
        gone = list(accumulate((end - start for start, end in self.left_out), initial=0))
        places = [start - before for (start, _), before in zip(self.left_out, gone, strict=False)]
        found = []
        for start, end, instead in edits:
            if bisect_left(places, start) < bisect_right(places, end):
                return None
            shift = gone[bisect_left(places, start)]
            found.append((start + shift, end + shift, instead))
        return found


def narrowed(text: str, old: object, new: object) -> Narrowed | None:
    """The narrowed text; None if there is nothing to leave out, or the text cannot be taken apart.

    Of each list the first and the last entry stay, and those next to the first and the last that differ: new entries
    are written in their style.
    """
    found = None if _ALIAS.search(text) else parts(text)
    if found is None:
        return None
    try:
        paths = dict(_places(yaml.load(found.frame, Loader=yaml.CSafeLoader)))
    except yaml.YAMLError:
        return None
    left_out: list[tuple[int, int]] = []
    for number, (start, texts) in enumerate(zip(found.starts, found.lists, strict=True)):
        path = paths.get(place(number))
        if path is None:
            return None
        mine, its = _at(old, path), _at(new, path)
        if not isinstance(mine, list) or not isinstance(its, list) or len(mine) != len(texts):
            continue
        head = agreeing(mine, its)
        tail = agreeing(mine[head:][::-1], its[head:][::-1])
        gaps = [(first, last) for first, last in ((1, head - 1), (len(mine) - tail + 1, len(mine) - 1)) if first < last]
        begins = list(accumulate(map(len, texts), initial=start))
        left_out += ((begins[first], begins[last]) for first, last in gaps)
        of_new = len(its) - len(mine)
        for first, last in reversed(gaps):
            moved = of_new if first > head else 0
            mine = mine[:first] + mine[last:]
            its = its[: first + moved] + its[last + moved :]
        old, new = _with(old, path, mine), _with(new, path, its)
    if not left_out:
        return None
    ends = [0, *(end for _, end in left_out)]
    kept = zip(ends, [*(start for start, _ in left_out), len(text)], strict=True)
    return Narrowed("".join(text[start:end] for start, end in kept), old, new, tuple(left_out))


def _places(value: object, path: tuple[Hashable, ...] = ()) -> Iterator[tuple[str, tuple[Hashable, ...]]]:
    """The placeholders of lists, with the keys that lead to them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        yield value[0], path


def _at(value: Any, path: tuple[Hashable, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _with(value: Any, path: tuple[Hashable, ...], instead: object) -> object:
    if not path:
        return instead
    return {**value, path[0]: _with(value[path[0]], path[1:], instead)}


def agreeing(old: Sequence[object], new: Sequence[object]) -> int:
    """How many values at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: same(*pair), zip(old, new, strict=False)))
