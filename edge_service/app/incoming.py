"""What a walk is given: a client's request, and the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_service.app.estimating import Estimator
from edge_service.app.ports import Resolver, Upstream
from edge_service.app.record import Telemetry
from edge_service.domain.headers import Headers


@dataclass(frozen=True, slots=True)
class Services:
    """What a walk needs of the world."""

    resolver: Resolver
    upstream: Upstream
    clock: Callable[[], float]
    """Seconds, finely graded, that never go back."""
    wall_clock: Callable[[], float]
    """Seconds since the epoch."""
    telemetry: Telemetry
    estimator: Estimator
    heartbeat_s: float = 0.0
    """How long the client of a stream goes without a sign of life; 0 for as long as it takes."""


@dataclass(slots=True)
class Incoming:
    """A client's request as it came over HTTP."""

    request_id: str
    headers: Headers
    body: bytes
    arrived_at: float
    """On the walk's clock."""
    client_key: bytes = b""
    """SHA-256 of the key that the client shows; empty for none."""
