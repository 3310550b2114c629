"""Several measurements of one thing in few words: what lies in the middle, and how far they are apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


def told(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The median, with the least and the most where there are several."""
    if len(values) == 1:
        return shown(values[0])
    middle, least, most = (shown(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least}–{most})"  # noqa: RUF001 - a range


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """In Markdown, where a cell is one line."""
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (head, ["---"] * len(head), *rows)]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
