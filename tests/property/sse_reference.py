"""The parsing of an event stream, written down line by line as the HTML standard tells it.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re


def dispatched(stream: bytes) -> list[bytes]:
    """The data of every event that a browser would dispatch."""
    while stream.startswith(b"\xef\xbb\xbf"):  # A second one: see `edge_service.domain.sse`.
        stream = stream[3:]
    # Each line with its end; what follows the last end is not yet a line.
    lines = re.findall(rb"([^\r\n]*)(?:\r\n|\n|\r)", stream)
    events, data = [], b""
    for line in lines:
        if line == b"":
            if data:
                events.append(data[:-1])
            data = b""
            continue
        if line.startswith(b":"):
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data += value + b"\n"
    return events
