"""The states of all targets, for metrics."""

from __future__ import annotations

from collections.abc import Set

from resolver_service.app.ports import HealthStore
from resolver_service.app.status import State
from resolver_service.domain.catalog import Catalog


def standings(catalog: Catalog, health: HealthStore, drained: Set[str], now: float) -> dict[str, State]:
    """Of the targets that names lead to, by their ids, those that something has happened to: the others are ready, and
    may be half a million."""
    # Copies, each made in one step: this may run beside the event loop.
    noted, drained = frozenset(health.scopes()), frozenset(drained)
    found: dict[str, State] = {}
    if not noted and not drained:
        return found
    for target_id, scopes in catalog.scopes.items():
        if target_id in drained:
            found[target_id] = State.DRAINED
        elif not noted.isdisjoint(scopes):
            ends_at = [at for scope in scopes if (at := health.get(scope).cooling_until_at) is not None]
            if not ends_at:
                found[target_id] = State.READY
            else:
                found[target_id] = State.COOLING if now < max(ends_at) else State.PROBING
    return found
