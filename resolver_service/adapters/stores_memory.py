"""Rotation, health, drains and bindings in this process's memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Set

from resolver_service.domain.bindings import MOST, Binding
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
    """A `HealthStore`. Only scopes that something happened to take up room."""

    def __init__(self) -> None:
        self._health: dict[str, Health] = {}
        self._latest = 0

    @property
    def latest(self) -> int:
        return self._latest

    def scopes(self) -> Set[str]:
        return self._health.keys()

    def get(self, scope: str) -> Health:
        return self._health.get(scope, WELL)

    def put(self, scope: str, health: Health) -> None:
        self._latest = max(self._latest, health.generation)
        if health == WELL:
            self._health.pop(scope, None)
        else:
            self._health[scope] = health


class MemoryDrains:
    """A `DrainStore`."""

    def __init__(self) -> None:
        self._drained: set[str] = set()

    def drained(self) -> Set[str]:
        return self._drained

    def put(self, target_id: str, *, drained: bool) -> None:
        if drained:
            self._drained.add(target_id)
        else:
            self._drained.discard(target_id)


class MemoryBindings:
    """A `BindingStore`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._bindings: OrderedDict[bytes, Binding] = OrderedDict()

    def get(self, key: bytes) -> Binding | None:
        binding = self._bindings.get(key)
        if binding is not None:
            self._bindings.move_to_end(key)
        return binding

    def put(self, key: bytes, binding: Binding) -> None:
        self._bindings[key] = binding
        self._bindings.move_to_end(key)
        if len(self._bindings) > self._most:
            self._bindings.popitem(last=False)

    def forget(self, key: bytes) -> None:
        self._bindings.pop(key, None)
