"""Learns from what became of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from resolver_service.app.ports import Clock, HealthStore, Revisions
from resolver_service.app.receipts import Receipts
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

_OF_THE_CREDENTIAL = (Disposition.QUOTA, Disposition.CREDENTIAL)
"""Failures of a key, whatever model it was shown for."""


class Reports:
    """Applies events to the health of targets. Targets that no name leads to any more are passed over, and so is what
    was reported before: callers send again what they got no acknowledgement for."""

    def __init__(self, revisions: Revisions, health: HealthStore, clock: Clock, probes: ProbeBook) -> None:
        self._revisions = revisions
        self._health = health
        self._clock = clock
        self._probes = probes
        self._receipts = Receipts()

    def apply(self, decision_id: str, event: Event) -> None:
        match event:
            case Failed():
                if self._is_new(decision_id, event):
                    self._failed(event)
            case Ended(target_id, generation):
                if self._is_known(target_id) and self._is_new(decision_id, event):
                    self._health.put(target_id, machine.succeeded(self._health.get(target_id), generation=generation))
            case Closed():
                for target_id in self._probes.closed(decision_id):
                    returned = machine.probe_returned(self._health.get(target_id), holder=decision_id)
                    self._health.put(target_id, returned)

    def _is_new(self, decision_id: str, event: Failed | Ended) -> bool:
        """What names no decision cannot be told apart, and counts each time. `Closed` does nothing the second time."""
        if not decision_id:
            return True
        return self._receipts.is_new((decision_id, event.target_id, type(event).__name__), self._clock())

    def _failed(self, event: Failed) -> None:
        if not self._is_known(event.target_id):
            return
        is_news = event.health_generation >= self._health.get(event.target_id).generation
        self._cool(event, event.target_id, event.health_generation)
        for target_id in self._others_cooled(event) if is_news else ():
            self._cool(event, target_id, self._health.get(target_id).generation)

    def _cool(self, event: Failed, target_id: str, generation: int) -> None:
        health = machine.failed(
            self._health.get(target_id),
            generation=generation,
            disposition=event.disposition,
            retry_after_s=event.retry_after_s,
            now=self._clock(),
        )
        self._health.put(target_id, health)

    def _others_cooled(self, event: Failed) -> list[str]:
        """The other targets that the failure cools: no model is served with that credential, or no credential helps."""
        model, _, credential = event.target_id.rpartition("#")
        provider = model.partition("/")[0]
        if event.disposition in _OF_THE_CREDENTIAL:
            found = [t for t in self._known if t.endswith(f"#{credential}") and t.startswith(f"{provider}/")]
        elif event.disposition is Disposition.MODEL_MISSING:
            found = [t for t in self._known if t.startswith(model) and t.rpartition("#")[0] == model]
        else:
            return []
        return [target_id for target_id in found if target_id != event.target_id]

    def _is_known(self, target_id: str) -> bool:
        return target_id in self._known

    @property
    def _known(self) -> frozenset[str]:
        return self._revisions.current.catalog.target_ids
