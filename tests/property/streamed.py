"""Streams as the two sides of a dialect read and write them."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from edge_service.dialects.canonical import Event, Request
from edge_service.dialects.exchange import ClientSide, MalformedAnswerError, ProviderSide, ReportedError
from edge_service.domain.sse import EventSplitter


def read(provider: ProviderSide, pieces: Iterable[bytes]) -> tuple[list[Event], str]:
    """What is read of a stream that comes in these pieces, and how that ended."""
    splitter, reader = EventSplitter(), provider.events()
    seen: list[Event] = []
    for piece in pieces:
        for event in splitter.feed(piece):
            try:
                seen += reader.read(event)
            except (MalformedAnswerError, ReportedError) as error:
                return seen, error.code
    return seen, ""


def write(client: ClientSide, seen: list[Event], at_once: int = 1) -> bytes:
    writer = client.events(Request("m", True, ()))
    return b"".join(writer.write(seen[i : i + at_once]) for i in range(0, len(seen), at_once))


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    """Into a few pieces, wherever that may be."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
