"""What the application asks of the world around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from resolver_service.domain.catalog import Catalog
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
    """The health of targets, by target id. Whoever was never put is well."""

    def get(self, target_id: str) -> Health: ...

    def put(self, target_id: str, health: Health) -> None: ...


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
