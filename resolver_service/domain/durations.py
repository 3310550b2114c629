"""Lengths of time as people write them: `250ms`, `90s`, `5m`, `1h`."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h)")
SHORTEST_S = 0.001
LONGEST_S = 7 * 24 * 3600.0


def duration_s(text: str) -> float:
    """Seconds. Raises `ValueError`, with a sentence for whoever wrote it, if the text is no duration."""
    text = text.strip()
    written = _WRITTEN.fullmatch(text)
    if written is None:
        if text.replace(".", "", 1).isdecimal():
            raise ValueError("write it with a unit, such as 90s")
        raise ValueError("expected one number and a unit, such as 250ms, 90s, 5m or 1h")
    seconds = float(written[1]) * _SECONDS[written[2]]
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise ValueError("expected a duration from 1ms to 168h")
    return seconds
