"""What is measured: a route, how many clients ask for it, and which systems they ask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.routes import PASSED, ROUTES, Route


class By(StrEnum):
    """What makes the load."""

    TIME = "wrk"
    COUNT = "clients"
    """A number of requests that is settled before: slow systems are not charged for what they do not finish."""
    RATE = "k6"
    """Requests come when they come, whether or not the ones before have been answered."""


class Among(StrEnum):
    """Who is asked."""

    BOTH = "Forebay and nginx"
    LATENCY = "these two and the provider itself"
    ALL = "these and the peers"
    POOLS = "Forebay with few and with many pools"
    WORKERS = "Forebay with one edge worker and with two"


@dataclass(frozen=True)
class Load:
    name: str
    route: Route
    clients: int
    by: By = By.TIME
    among: Among = Among.BOTH
    each: int = 0
    """How many requests each client makes, where it is not settled by how long they take."""
    is_quick: bool = False
    """Part of `make bench-quick`."""


RATE = 200
"""Requests per second, of the load by rate."""

JSON_1 = Load("1 KB JSON, 1 client", ROUTES["whole"], 1, By.COUNT, Among.ALL, is_quick=True)
JSON_8 = Load("1 KB JSON, 8 clients", ROUTES["whole"], 8, By.COUNT, Among.ALL)
STREAM_1 = Load("50 events, 1 client", ROUTES["events-50"], 1, By.COUNT, Among.ALL)
JSON_32 = Load("1 KB JSON, 32 clients", ROUTES["whole"], 32, is_quick=True)
JSON_256 = Load("1 KB JSON, 256 clients", ROUTES["whole"], 256)
JSON_RATE = Load(f"1 KB JSON, {RATE} a second", ROUTES["whole"], 50, By.RATE, Among.LATENCY)
LARGE = Load("200 KB request, 32 clients", ROUTES["large"], 32, is_quick=True)
EVENTS_50 = Load("50 events, a write each, 32 clients", ROUTES["events-50"], 32, is_quick=True)
BURST_50 = Load("50 events in one piece, 32 clients", ROUTES["burst-50"], 32)
EVENTS_1000 = Load("1,000 events, a write each, 8 clients", ROUTES["events-1000"], 8, is_quick=True)
BURST_1000 = Load("1,000 events in large pieces, 8 clients", ROUTES["burst-1000"], 8)
PACED_1 = Load("50 events, 10 ms apart, 1 client", ROUTES["paced"], 1, By.COUNT, Among.LATENCY, each=6)
PACED_64 = Load("50 events, 10 ms apart, 64 clients", ROUTES["paced"], 64, By.COUNT, each=5, is_quick=True)
LIMITED = Load("429, then 200, 32 clients", ROUTES["limited"], 32, is_quick=True)
POOLS = Load("1 KB JSON, 10 targets, 32 clients", ROUTES["ten"], 32, among=Among.POOLS)
WORKERS = Load("1 KB JSON, 128 clients, workers", ROUTES["whole"], 128, among=Among.WORKERS)


def pair(client: str, provider: str) -> Load:
    """Clients of one API, and a provider's stream in another, or the same."""
    return Load(f"{provider}'s stream for {client} clients", ROUTES[f"{client}-{provider}"], 32)


# What is compared stands together: what else the machine does changes from minute to minute.
LOADS = (
    *(JSON_1, JSON_8, STREAM_1),
    *(JSON_32, LIMITED, JSON_256, JSON_RATE, LARGE),
    *(EVENTS_50, BURST_50, EVENTS_1000, BURST_1000, PACED_1, PACED_64),
    *(pair(client, provider) for provider in PASSED for client in PASSED if f"{client}-{provider}" in ROUTES),
    *(POOLS, WORKERS),
)
