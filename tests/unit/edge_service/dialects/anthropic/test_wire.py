from __future__ import annotations

from edge_service.dialects.anthropic import wire


def test_an_event() -> None:
    assert wire.named_event("ping", {}) == b'event: ping\ndata: {"type":"ping"}\n\n'
