"""Every target as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resolver_service.app.in_flight import InFlight
from resolver_service.app.ports import Clock, DrainStore, HealthStore, Revision, Revisions
from resolver_service.app.recent import RecentOutcomes
from resolver_service.domain import selection
from resolver_service.domain.catalog import Catalog, Group, RawModel, Scopes
from resolver_service.domain.health import WELL, Health, worst
from resolver_service.domain.policy import Disposition


class State(StrEnum):
    """As in the gRPC contract."""

    READY = "ready"
    COOLING = "cooling"
    PROBING = "probing"
    """Its cool-down is over, and a probe is awaited or under way."""
    DRAINED = "drained"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class TargetStatus:
    target_id: str
    state: State
    reason: Disposition | None = None
    """Why it cools, or did until the probe."""
    retry_after_s: float = 0.0
    in_flight: int = 0
    recent: Mapping[Disposition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Glance:
    """A snapshot of all that changes. To list half a million targets from it is work for a thread."""

    revision: Revision
    cooling: Mapping[str, Health]
    """By scope, without those that are well."""
    drained: frozenset[str]
    in_flight: Mapping[str, int]
    recent: Mapping[str, Mapping[Disposition, int]]
    now: float

    def targets(self) -> Iterator[TargetStatus]:
        """All that names lead to, in the order in which the configuration comes upon them."""
        for target_id, (scopes, disabled) in _targets(self.revision.catalog).items():
            yield self._status(target_id, scopes, disabled=disabled)

    def out(self) -> Iterator[TargetStatus]:
        """Those that are not ready, without those that are disabled."""
        for target_id, scopes in self.revision.catalog.scopes.items():
            if target_id in self.drained or not self.cooling.keys().isdisjoint(scopes):
                yield self._status(target_id, scopes, disabled=False)

    def _status(self, target_id: str, scopes: Scopes, *, disabled: bool) -> TargetStatus:
        healths = [self.cooling[scope] for scope in scopes if scope in self.cooling]
        health = worst(healths, self.now) if healths else WELL
        state = State.READY
        if disabled:
            state = State.DISABLED
        elif target_id in self.drained:
            state = State.DRAINED
        elif health.cooling_until_at is not None:
            state = State.COOLING if self.now < health.cooling_until_at else State.PROBING
        in_flight, recent = self.in_flight.get(target_id, 0), self.recent.get(target_id, {})
        return TargetStatus(target_id, state, health.reason, health.retry_after_s(self.now), in_flight, recent)


def _targets(catalog: Catalog) -> dict[str, tuple[Scopes, bool]]:
    """Each target's scopes, and whether it is disabled whichever way it is reached."""
    found: dict[str, tuple[Scopes, bool]] = {}
    entries: tuple[Group | RawModel, ...] = (
        *catalog.pools.values(),
        *catalog.clusters.values(),
        *catalog.models.values(),
    )
    for target in (target for entry in entries for target in selection.targets_of(entry)):
        _, disabled = found.get(target.id, (None, True))
        found[target.id] = (target.scopes, disabled and target.disabled)
    return found


class Status:
    """Takes snapshots of what other objects keep."""

    def __init__(
        self,
        revisions: Revisions,
        health: HealthStore,
        drains: DrainStore,
        in_flight: InFlight,
        recent: RecentOutcomes,
        clock: Clock,
    ) -> None:
        self._revisions = revisions
        self._health = health
        self._drains = drains
        self._in_flight = in_flight
        self._recent = recent
        self._clock = clock

    def glance(self) -> Glance:
        healths = {scope: self._health.get(scope) for scope in self._health.scopes()}
        now = self._clock()
        return Glance(
            self._revisions.current,
            {scope: health for scope, health in healths.items() if health.cooling_until_at is not None},
            frozenset(self._drains.drained()),
            dict(self._in_flight.counts),
            self._recent.counts(now),
            now,
        )
