"""Learns from what became of attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from resolver_service.app.bindings import Bindings
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import ClientLimits
from resolver_service.app.ports import Clock, HealthChanged, HealthStore, ReportEffect, Revisions, Tell
from resolver_service.app.probes import ProbeBook
from resolver_service.app.receipts import Receipts
from resolver_service.app.recent import RecentOutcomes
from resolver_service.domain import health as machine
from resolver_service.domain.catalog import Scopes
from resolver_service.domain.policy import Disposition


class Failed(NamedTuple):
    """An attempt is over and did not serve."""

    target_id: str
    health_generation: int
    disposition: Disposition
    retry_after_s: float | None
    input_tokens: int = 0
    """Of an answer that broke off, as far as it came; 0 for nothing."""
    output_tokens: int = 0


class Ended(NamedTuple):
    """An attempt served in full."""

    target_id: str
    health_generation: int
    input_tokens: int = 0
    """As the provider says; 0 if it does not."""
    output_tokens: int = 0


class Content(NamedTuple):
    """An attempt's first content is there: the walk goes no further."""

    target_id: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more will come of the decision."""


class Bound(NamedTuple):
    """An attempt made a response that its provider stores."""

    target_id: str
    key: bytes
    """By which the edge asks for it."""


Event: TypeAlias = Failed | Content | Ended | Closed | Bound


class Reports:
    """Applies events to the health of targets. Ignores targets that are not configured any more, and what was reported
    before: callers send again what was not acknowledged."""

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
        """Applies one event. It counts for limits and for requests in flight even if its target is not configured any
        more."""
        return _APPLIED_BY[type(event)](self, decision_id, event)

    def _ended(self, decision_id: str, ended: Ended) -> ReportEffect:
        target_id, now = ended.target_id, self._clock()
        self._in_flight.ended(decision_id, target_id)
        self._limits.ended(decision_id, ended.input_tokens + ended.output_tokens, now)
        scopes = self._revisions.current.catalog.scopes.get(target_id)
        if scopes is None:
            return "unknown_target"
        if not self._receipts.is_new(decision_id, target_id, "ended", now):
            return "repeated"
        self.recent.note(target_id, Disposition.OK, now)
        if not self._health.scopes().isdisjoint(scopes):
            self._succeeded(ended, scopes)
        return "applied"

    def _failed(self, decision_id: str, failed: Failed) -> ReportEffect:
        target_id, now = failed.target_id, self._clock()
        self._in_flight.failed(decision_id, target_id, failed.disposition)
        if failed.output_tokens:
            self._limits.ended(decision_id, failed.input_tokens + failed.output_tokens, now)
        else:
            self._limits.failed(decision_id, failed.disposition)
        scopes = self._revisions.current.catalog.scopes.get(target_id)
        if scopes is None:
            return "unknown_target"
        if not self._receipts.is_new(decision_id, target_id, "failed", now):
            return "repeated"
        self.recent.note(target_id, failed.disposition, now)
        self._cool(failed, machine.scope_failed(scopes, failed.disposition), now)
        return "applied"

    def _content(self, decision_id: str, content: Content) -> ReportEffect:
        scopes = self._revisions.current.catalog.scopes.get(content.target_id, ())
        unused = self._probes.passed_by(decision_id, scopes)
        self._give_back(decision_id, unused)
        return "applied" if unused else "unused"

    def _bound(self, decision_id: str, bound: Bound) -> ReportEffect:
        target = self._revisions.current.catalog.targets.get(bound.target_id)
        if target is None:
            return "unknown_target"
        return self._bindings.bind(decision_id, bound.key, target.id, target.model)

    def closed(self, decision_id: str) -> ReportEffect:
        """Applies `Closed`."""
        self._in_flight.closed(decision_id)
        self._limits.closed(decision_id, self._clock())
        self._bindings.closed(decision_id)
        self._give_back(decision_id, self._probes.closed(decision_id))
        return "applied"

    def _give_back(self, decision_id: str, scopes: Iterable[str]) -> None:
        """The decision does not need the probes of these scopes any more."""
        for scope in scopes:
            before = self._health.get(scope)
            after = machine.probe_returned(before, holder=decision_id)
            self._health.put(scope, after)
            self._probes.returned += after is not before

    def _cool(self, event: Failed, scope: str, now: float) -> None:
        before = self._health.get(scope)
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

    def _succeeded(self, event: Ended, scopes: Scopes) -> None:
        for scope in scopes:
            before = self._health.get(scope)
            after = machine.succeeded(before, generation=event.health_generation, latest=self._health.latest)
            self._health.put(scope, after)
            if after.generation != before.generation:
                self._tell(HealthChanged("restored", scope, event.target_id, before.reason))


_APPLIED_BY: Mapping[type[Event], Callable[[Reports, str, Any], ReportEffect]] = MappingProxyType(
    {
        Ended: Reports._ended,
        Content: Reports._content,
        Failed: Reports._failed,
        Bound: Reports._bound,
        Closed: lambda reports, decision_id, _: reports.closed(decision_id),
    }
)
