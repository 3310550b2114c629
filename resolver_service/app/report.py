"""Learns from what became of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from resolver_service.app.ports import Clock, HealthStore, Revisions
from resolver_service.app.resolve import ProbeBook
from resolver_service.domain import health as machine
from resolver_service.domain.catalog import Disposition


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt is over and did not serve."""

    target_id: str
    health_generation: int
    disposition: Disposition
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt served in full."""

    target_id: str
    health_generation: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more will come of the decision."""


Event: TypeAlias = Failed | Ended | Closed


class Reports:
    """Applies events to the health of targets. Targets that no name leads to any more are passed over."""

    def __init__(self, revisions: Revisions, health: HealthStore, clock: Clock, probes: ProbeBook) -> None:
        self._revisions = revisions
        self._health = health
        self._clock = clock
        self._probes = probes

    def apply(self, decision_id: str, event: Event) -> None:
        match event:
            case Failed():
                self._failed(event)
            case Ended(target_id, generation):
                if self._is_known(target_id):
                    self._health.put(target_id, machine.succeeded(self._health.get(target_id), generation=generation))
            case Closed():
                for target_id in self._probes.closed(decision_id):
                    returned = machine.probe_returned(self._health.get(target_id), holder=decision_id)
                    self._health.put(target_id, returned)

    def _failed(self, event: Failed) -> None:
        if not self._is_known(event.target_id):
            return
        health = machine.failed(
            self._health.get(event.target_id),
            generation=event.health_generation,
            disposition=event.disposition,
            retry_after_s=event.retry_after_s,
            now=self._clock(),
        )
        self._health.put(event.target_id, health)

    def _is_known(self, target_id: str) -> bool:
        return target_id in self._revisions.current.catalog.target_ids
