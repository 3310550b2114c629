"""Learns from what became of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from resolver_service.app.bindings import Bindings
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import ClientLimits
from resolver_service.app.ports import Clock, HealthChanged, HealthStore, ReportEffect, Revisions, Tell
from resolver_service.app.probes import ProbeBook
from resolver_service.app.receipts import Receipts
from resolver_service.app.recent import RecentOutcomes
from resolver_service.domain import health as machine
from resolver_service.domain.catalog import Disposition, Scopes


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt is over and did not serve."""

    target_id: str
    health_generation: int
    disposition: Disposition
    retry_after_s: float | None
    input_tokens: int = 0
    """What had been used of an answer that broke off; 0 for nothing."""
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt served in full."""

    target_id: str
    health_generation: int
    input_tokens: int = 0
    """What it cost; 0 where nobody says."""
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more will come of the decision."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An attempt made something that only its target knows."""

    target_id: str
    key: bytes
    """By which it is asked for."""


Event: TypeAlias = Failed | Ended | Closed | Bound


class Reports:
    """Applies events to the health of targets. Targets that no name leads to any more are passed over, and so is what
    was reported before: callers send again what they got no acknowledgement for."""

    def __init__(
        self,
        revisions: Revisions,
        health: HealthStore,
        clock: Clock,
        probes: ProbeBook,
        in_flight: InFlight,
        bindings: Bindings,
        limits: ClientLimits,
        tell: Tell,
    ) -> None:
        self._revisions = revisions
        self._health = health
        self._clock = clock
        self._probes = probes
        self._in_flight = in_flight
        self._limits = limits
        self._bindings = bindings
        self._tell = tell
        self._receipts = Receipts()
        self.recent = RecentOutcomes()

    def apply(self, decision_id: str, event: Event) -> ReportEffect:
        self._count(decision_id, event)
        if isinstance(event, Closed):
            self._bindings.closed(decision_id)
            for scope in self._probes.closed(decision_id):
                before = self._health.get(scope)
                after = machine.probe_returned(before, holder=decision_id)
                self._health.put(scope, after)
                self._probes.returned += after is not before
            return "applied"
        scopes = self._revisions.current.catalog.scopes.get(event.target_id)
        if scopes is None:
            return "unknown_target"
        if isinstance(event, Bound):
            model = self._revisions.current.catalog.targets[event.target_id].model
            return self._bindings.bind(decision_id, event.key, scopes.target, model)
        if not self._is_new(decision_id, event):
            return "repeated"
        outcome = event.disposition if isinstance(event, Failed) else Disposition.OK
        self.recent.note(event.target_id, outcome, self._clock())
        if isinstance(event, Failed):
            self._failed(event, machine.scope_failed(scopes, event.disposition))
        elif not self._health.scopes().isdisjoint(scopes):
            self._ended(event, scopes)
        return "applied"

    def _count(self, decision_id: str, event: Event) -> None:
        """Repetitions change nothing, and what no name leads to any more is in flight, and used, all the same."""
        if isinstance(event, Failed):
            self._in_flight.failed(decision_id, event.target_id, event.disposition)
            if event.output_tokens:
                self._limits.ended(decision_id, event.input_tokens + event.output_tokens, self._clock())
            else:
                self._limits.failed(decision_id, event.disposition)
        elif isinstance(event, Ended):
            self._in_flight.ended(decision_id, event.target_id)
            self._limits.ended(decision_id, event.input_tokens + event.output_tokens, self._clock())
        elif isinstance(event, Closed):
            self._in_flight.closed(decision_id)
            self._limits.closed(decision_id, self._clock())

    def _is_new(self, decision_id: str, event: Failed | Ended) -> bool:
        """What names no decision cannot be told apart, and counts each time. `Closed` does nothing the second time."""
        if not decision_id:
            return True
        return self._receipts.is_new((decision_id, event.target_id, type(event).__name__), self._clock())

    def _failed(self, event: Failed, scope: str) -> None:
        before, now = self._health.get(scope), self._clock()
        after = machine.failed(
            before,
            generation=event.health_generation,
            disposition=event.disposition,
            retry_after_s=event.retry_after_s,
            now=now,
            bounds=self._revisions.current.catalog.cool_down,
            latest=self._health.latest,
        )
        self._health.put(scope, after)
        if after.generation != before.generation:
            for_s = after.retry_after_s(now)
            self._tell(HealthChanged("cooling", scope, event.target_id, event.disposition, for_s))

    def _ended(self, event: Ended, scopes: Scopes) -> None:
        for scope in scopes:
            before = self._health.get(scope)
            after = machine.succeeded(before, generation=event.health_generation, latest=self._health.latest)
            self._health.put(scope, after)
            if after.generation != before.generation:
                self._tell(HealthChanged("restored", scope, event.target_id, before.reason))
