"""Server-sent events as Anthropic's and the Responses API write them: their name stands before their data."""

from __future__ import annotations

from edge_service.domain import sse


def event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data_of(sent: bytes) -> bytes | None:
    """The data of an event, as `sse.data_of` reads it. Nearly all events of these APIs are two lines, `event: ` and
    `data: `, which are read here without looking for more."""
    if sent.startswith(b"event: ") and sse.CR not in sent:
        start = sent.find(b"\n") + 1
        if sent.startswith(b"data: ", start) and sent.find(b"\n", start) == len(sent) - 2:
            return sent[start + 6 : -2]
    return sse.data_of(sent)
