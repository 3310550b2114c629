"""What the codecs take of an event, without sockets and processes: one side reads a stream, and the other writes it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks import streams
from edge_service.dialects import asked, asked_responses
from edge_service.dialects.exchange import Asked
from edge_service.domain.plan import Attempt

REPEATS = 20
BLOCKS = 60
"""The least of so many is taken: whatever else the machine does can only add to it."""


def event_us(client: str, provider: str) -> float:
    """Microseconds of CPU per event of a provider's stream, for a client of some API."""
    dialect = "openai" if provider in ("chat", "responses") else provider
    attempt = Attempt("p/m#0", "p", dialect, "http://p", "upstream-model", "", responses=provider == "responses")
    request = _asked(client)
    events = streams.events(provider)
    return min(_block(request, attempt, events) for _ in range(BLOCKS)) / (REPEATS * len(events)) * 1e6


def _asked(client: str) -> Asked:
    body = streams.request(client, "the-name")
    if client == "gemini":
        return asked.generation(body, "the-name", stream=True, array=False)
    if client == "chat":
        return asked.chat_completion(body, [])
    return asked_responses.response(body, []) if client == "responses" else asked.message(body, [])


def _block(request: Asked, attempt: Attempt, events: Sequence[bytes]) -> float:
    """CPU seconds of some streams."""
    readers = [request.of(attempt).reader() for _ in range(REPEATS)]
    began = time.process_time()
    for reader in readers:
        if reader is not None:
            for event in events:
                reader.read(event)
    return time.process_time() - began
