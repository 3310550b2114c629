"""What clients ask for, and where each system takes it: a route has a place at the provider, and a name in Forebay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import nginx, streams
from benchmarks.nginx import Stream

WHOLE = "whole"
REFUSED = "refused"
"""The place where everything is answered with 429."""
BURST_BYTES = 65536
PACE_S = 0.01
HELD_S = 120.0
TARGETS = 10
"""Of the route that has many."""


@dataclass(frozen=True)
class Route:
    """One kind of request and its answer."""

    name: str
    places: tuple[str, ...] = (WHOLE,)
    """At the provider, one behind the other: each is a target."""
    client: str = "chat"
    """The API that it is asked by."""
    provider: str = "chat"
    request_bytes: int = 1024
    events: int = 0
    """Of the provider's stream; 0: no stream."""

    @property
    def is_stream(self) -> bool:
        return self.events > 0

    @property
    def has_pauses(self) -> bool:
        """The provider takes its time."""
        return self.place in ("paced", "held")

    @property
    def place(self) -> str:
        """Where the answer comes from."""
        return self.places[-1]

    def body(self, api: str, model: str) -> bytes:
        """A request of `request_bytes`, by this API."""
        bare = len(streams.request(api, model, "", stream=self.is_stream))
        return streams.request(api, model, "x" * (self.request_bytes - bare), stream=self.is_stream)

    @property
    def text(self) -> str:
        """Of the answer."""
        if not self.is_stream:
            return str(json.loads(nginx.completion())["choices"][0]["message"]["content"])
        if self.place in streams.APIS:
            return "".join(streams.TEXTS)
        return streams.text("chat", b"".join(nginx.events(self.events)))


def _plain() -> Iterator[Route]:
    yield Route("whole")
    yield Route("large", request_bytes=200 * 1024)
    yield Route("ten", places=(WHOLE,) * TARGETS)
    yield Route("limited", places=(REFUSED, WHOLE))
    for count in (50, 1000):
        yield Route(f"events-{count}", places=(f"events-{count}",), events=count)
        yield Route(f"burst-{count}", places=(f"burst-{count}",), events=count)
    yield Route("paced", places=("paced",), events=50)
    yield Route("held", places=("held",), events=2)


PASSED = ("chat", "anthropic", "gemini")
"""APIs whose streams are passed through."""
TRANSLATED = (("chat", "anthropic"), ("anthropic", "chat"), ("chat", "gemini"))
"""A client's API and a provider's."""


def _pairs() -> Iterator[Route]:
    for client, provider in (*((api, api) for api in PASSED), *TRANSLATED):
        count = len(streams.events(provider))
        yield Route(f"{client}-{provider}", places=(provider,), client=client, provider=provider, events=count)


ROUTES = {route.name: route for route in (*_plain(), *_pairs())}


def provided(*, with_pauses: bool = True) -> dict[str, Stream]:
    """The provider's streams, by place; those with pauses take more than nginx alone."""
    found = {}
    for count in (50, 1000):
        events = nginx.events(count)
        found[f"events-{count}"] = Stream(events, len(events[0]))
        found[f"burst-{count}"] = Stream(events, BURST_BYTES)
    if with_pauses:
        found["paced"] = Stream(nginx.events(50), 0, PACE_S)
        found["held"] = Stream(nginx.events(2), 0, HELD_S)
    for api in PASSED:
        pieces = streams.events(api)
        found[api] = Stream(pieces, min(map(len, pieces)))
    return found
