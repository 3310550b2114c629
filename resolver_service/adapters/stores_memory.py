"""Rotation and health in this process's memory."""

from __future__ import annotations

from collections.abc import Iterable

from resolver_service.domain.health import WELL, Health
from resolver_service.domain.selection import TurnKey


class MemoryRotation:
    """A `RotationStore`."""

    def __init__(self) -> None:
        self._turns: dict[TurnKey, int] = {}

    def turn(self, key: TurnKey) -> int:
        return self._turns.get(key, 0)

    def take(self, keys: Iterable[TurnKey]) -> None:
        for key in keys:
            self._turns[key] = self._turns.get(key, 0) + 1


class MemoryHealth:
    """A `HealthStore`. Only targets that something happened to take up room."""

    def __init__(self) -> None:
        self._health: dict[str, Health] = {}

    def get(self, target_id: str) -> Health:
        return self._health.get(target_id, WELL)

    def put(self, target_id: str, health: Health) -> None:
        if health == WELL:
            self._health.pop(target_id, None)
        else:
            self._health[target_id] = health
