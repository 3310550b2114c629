"""Lengths of time as people write them: `250ms`, `90s`, `5m`, `1h`."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h)")
SHORTEST_S = 0.001
LONGEST_S = 7 * 24 * 3600.0


def duration_s(text: str, shortest_s: float = SHORTEST_S, longest_s: float = LONGEST_S) -> float:
    """Seconds. Raises `ValueError`, with a sentence for whoever wrote it, if the text is no duration in this range."""
    text = text.strip()
    written = _WRITTEN.fullmatch(text)
    if written is None:
        if text.replace(".", "", 1).isdecimal():
            raise ValueError("write it with a unit, such as 90s")
        raise ValueError("expected one number and a unit, such as 250ms, 90s, 5m or 1h")
    seconds = float(written[1]) * _SECONDS[written[2]]
    if not shortest_s <= seconds <= longest_s:
        raise ValueError(f"expected a duration from {text_of(shortest_s)} to {text_of(longest_s)}")
    return seconds


def text_of(seconds: float) -> str:
    """In the largest unit of which it is a whole number."""
    for unit, unit_s in reversed(_SECONDS.items()):
        if seconds >= unit_s and (seconds / unit_s).is_integer():
            return f"{seconds / unit_s:.0f}{unit}"
    return f"{seconds:g}s"
