from __future__ import annotations

import pytest

from edge_service.dialects import named_events
from edge_service.domain import sse


@pytest.mark.parametrize(
    "event",
    [
        b"event: a\ndata: {}\n\n",
        b"event: a\ndata: \n\n",
        b"event: a\ndata: x\ndata: y\n\n",
        b"event: a\ndata: x\nid: y\n\n",
        b"event: a\nid: y\ndata: x\n\n",
        b"event: a\ndata: x\n\r\n",
        b"event: a\r\ndata: x\r\n\r\n",
        b"event: a\n\n",
        b"event: data: x\n\n",
        b"data: x\n\n",
        b"data: x\nevent: a\n\n",
        b"event:a\ndata:x\n\n",
        b": event: a\ndata: x\n\n",
    ],
)
def test_the_quick_way_to_the_data_is_the_same_way(event: bytes) -> None:
    assert named_events.data_of(event) == sse.data_of(event)


def test_an_event_is_its_name_and_its_data() -> None:
    assert named_events.event("ping", b"{}") == b"event: ping\ndata: {}\n\n"
