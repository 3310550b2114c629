"""What the application asks of the world around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from resolver_service.domain.catalog import Catalog, Disposition
from resolver_service.domain.health import Health
from resolver_service.domain.selection import TurnKey


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds on a clock that never goes back."""


class RotationStore(Protocol):
    """How many turns were taken."""

    def turn(self, key: TurnKey) -> int: ...

    def take(self, keys: Iterable[TurnKey]) -> None:
        """Takes one turn of each key."""


class HealthStore(Protocol):
    """Health by scope. What was never put is well."""

    @property
    def latest(self) -> int:
        """The latest generation of any scope."""

    def scopes(self) -> Set[str]:
        """Those that something has happened to; all others are well. A view, which changes as they do: most targets
        share no scope with it, and asking that is all that a resolve spends on them."""

    def get(self, scope: str) -> Health: ...

    def put(self, scope: str, health: Health) -> None: ...


class DrainStore(Protocol):
    """The targets that an operator has taken out."""

    def drained(self) -> Set[str]:
        """Their ids. A view, which changes as they do."""

    def put(self, target_id: str, *, drained: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Stores:
    """All that a resolver remembers besides its configuration."""

    rotation: RotationStore
    health: HealthStore
    drains: DrainStore


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """Something that an operator wants to know of: told once, however many reports say so."""

    state: Literal["cooling", "restored", "cleared", "drained", "undrained"]
    scope: str
    target_id: str
    """Whose attempt it was that showed it, or the target that the operator named."""
    reason: Disposition | None = None
    """Why it cools, or did."""
    for_s: float = 0.0


Tell: TypeAlias = Callable[[HealthChanged], None]

ReportEffect: TypeAlias = Literal["applied", "repeated", "unknown_target", "unused", "invalid"]
"""What a report led to. A repeated one was applied before; an unused one is of a kind that nothing is learned from."""


class Telemetry(Protocol):
    """Keeps count. Never waits and never fails."""

    def resolved(self, name: str, result: str, seconds: float) -> None:
        """A name was resolved, or not. `name` is as it is configured, and empty if nothing was found under it; `result`
        is `ok`, `not_found`, `needs_unmet`, `rate_limited`, `busy`, `unavailable`, `invalid`, `failed`, or the code of
        what is wrong with a client's key or which limit of its own it has reached."""

    def reported(self, kind: str, effect: ReportEffect) -> None:
        """A report was taken in. `kind` is one of the contract's, or `none`."""

    def stream_opened(self) -> None:
        """An edge has opened a stream."""

    def stream_closed(self) -> None:
        """A stream is over."""


@dataclass(frozen=True, slots=True)
class Revision:
    """An accepted configuration."""

    number: int
    """Counted from 1."""
    catalog: Catalog
    loaded_at: int
    """Seconds since the epoch."""
    digest: str
    """SHA-256 of the text it was made from."""


class Revisions(Protocol):
    """The configuration in effect."""

    @property
    def current(self) -> Revision: ...
