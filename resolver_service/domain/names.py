"""The names that applications call: taken apart, and found again when misspelt."""

from __future__ import annotations

import difflib
import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence

LONGEST_COMPARED = 100
"""Characters. Longer names are not typing mistakes, and comparing takes the product of both lengths."""
MOST_COMPARED = 500
"""Whoever asks for what is not there must not keep others waiting: ten thousand names take 20 ms and more."""
COMPARED_CLOSELY = 25
MOST_PAIRS = 12
_SAMPLE = 50


def name_key(name: str) -> str:
    """The form in which names are compared: trimmed and without regard to case."""
    return name.strip().casefold()


def split_reasoning(name: str) -> tuple[str, str]:
    """The name without its reasoning suffix, and the suffix: `gpt-5(high)` is `gpt-5` and `high`.

    The suffix is empty where there is none: nothing in the parentheses, or nothing before them.
    """
    name = name.strip()
    if name.endswith(")"):
        before, _, suffix = name[:-1].rpartition("(")
        before, suffix = before.strip(), suffix.strip()
        if before and suffix and ")" not in suffix:
            return before, suffix
    return name, ""


def near(name: str, spellings: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The names that are worth comparing with `name`: all, or of very many the nearest in the order of the alphabet.
    `spellings` are pairs of a `name_key` and its name, in order."""
    if len(spellings) <= MOST_COMPARED:
        return spellings
    first = max(0, bisect_left(spellings, (name_key(name),)) - MOST_COMPARED // 2)
    return spellings[first : first + MOST_COMPARED]


def closest(name: str, candidates: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The candidates that someone who wrote `name` may have meant, the likeliest first, in their own spelling."""
    key = name_key(name)
    if not key or len(key) > LONGEST_COMPARED:
        return ()
    spelling: dict[str, str] = {}
    for candidate in candidates:
        if len(candidate) <= LONGEST_COMPARED:
            spelling.setdefault(name_key(candidate), candidate)
    # difflib needs a fifth of a second for ten thousand names, so only those that share the most pairs of letters get
    # that far. Of a long name's pairs the rarest tell the most.
    others = list(spelling)
    pairs = list(dict.fromkeys(key[i : i + 2] for i in range(len(key) - 1)))
    if len(pairs) > MOST_PAIRS:
        sample = others[:: len(others) // _SAMPLE + 1]
        pairs = sorted(pairs, key=lambda pair: sum(pair in other for other in sample))[:MOST_PAIRS]
    likely = heapq.nlargest(COMPARED_CLOSELY, others, key=lambda other: sum(pair in other for pair in pairs))
    return tuple(spelling[found] for found in difflib.get_close_matches(key, likely, limit))
