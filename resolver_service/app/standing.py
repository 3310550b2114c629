"""The states of all targets, for metrics."""

from __future__ import annotations

from collections.abc import Set
from enum import StrEnum

from resolver_service.app.ports import HealthStore
from resolver_service.domain.catalog import Catalog


class Standing(StrEnum):
    AVAILABLE = "available"
    COOLING = "cooling"
    PROBING = "probing"
    """Its cool-down is over, and a probe is awaited or under way."""
    DRAINED = "drained"


def standings(catalog: Catalog, health: HealthStore, drained: Set[str], now: float) -> dict[str, Standing]:
    """Of the targets that names lead to, by their ids, those that something has happened to: the others are available,
    and may be half a million."""
    # Copies, each made in one step: this may run beside the event loop.
    noted, drained = frozenset(health.scopes()), frozenset(drained)
    found: dict[str, Standing] = {}
    if not noted and not drained:
        return found
    for target_id, scopes in catalog.scopes.items():
        if target_id in drained:
            found[target_id] = Standing.DRAINED
        elif not noted.isdisjoint(scopes):
            ends_at = [at for scope in scopes if (at := health.get(scope).cooling_until_at) is not None]
            if not ends_at:
                found[target_id] = Standing.AVAILABLE
            else:
                found[target_id] = Standing.COOLING if now < max(ends_at) else Standing.PROBING
    return found
