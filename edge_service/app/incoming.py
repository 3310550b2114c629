"""What a walk is given: the client's request, and the services that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_service.app.estimating import Estimator
from edge_service.app.ports import Resolver, Upstream
from edge_service.app.record import Telemetry
from edge_service.domain.headers import Headers


@dataclass(frozen=True, slots=True)
class Services:
    """The ports, clocks and settings that a walk uses."""

    resolver: Resolver
    upstream: Upstream
    clock: Callable[[], float]
    """A monotonic clock in seconds, of high resolution."""
    wall_clock: Callable[[], float]
    """Seconds since the epoch."""
    telemetry: Telemetry
    estimator: Estimator
    heartbeat_s: float = 0.0
    """The period of the heartbeats to a client that waits for a stream; 0 for none."""


@dataclass(slots=True)
class Incoming:
    """A client's request as it came over HTTP."""

    request_id: str
    headers: Headers
    body: bytes
    arrived_at: float
    """On the monotonic clock."""
    client_key: bytes = b""
    """SHA-256 of the key that the client shows; empty for none."""
