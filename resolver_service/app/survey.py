"""Which targets one request may be sent to, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from resolver_service.app.decisions import Query, TargetView
from resolver_service.app.ports import HealthStore
from resolver_service.app.refusals import NoTargetCode, NoTargetError, UnservableError
from resolver_service.domain import selection
from resolver_service.domain.abilities import Needs, can_serve, shortfall, why_not
from resolver_service.domain.catalog import Group, RawModel, Target
from resolver_service.domain.health import LIMITS, WELL, Availability, Health, worst

BUSY_S = 1.0
"""When to come back while a target is full: it is not known when the next request ends, and most end soon."""
_WELL_OR_WAITING = (Availability.READY, Availability.PROBE)
_WELL = (Availability.READY,)


class Survey:
    """The health of targets as one request sees it."""

    def __init__(
        self,
        health: HealthStore,
        drained: Set[str],
        in_flight: Mapping[str, int],
        now: float,
        query: Query,
        needs: Needs | None,
    ) -> None:
        """`needs` are None where they make no difference: nothing is known of the targets, or nothing is needed."""
        self.now = now
        self._needs = needs
        self._in_flight = in_flight
        self._health = health
        self._noted = health.scopes()
        self._drained = drained
        self._barred = query.excluded | drained if drained else query.excluded
        self._may_probe = query.will_report and not query.counting

    def order(self, entry: Group | RawModel, turns: selection.Turns, limit: int | None = None) -> selection.Order:
        """What may be tried, in order."""
        order = selection.order(entry, self._those_available(entry), turns, limit)
        if not order.targets and not self._may_probe:
            # Only targets that wait for a probe are left. This request cannot be one: sent there, it is not refused.
            order = selection.order(entry, self._not_out, turns, limit)
        return order

    def claim(self, entry: Group | RawModel) -> selection.Claim | None:
        """The turns that `order` takes."""
        claim = selection.claim(entry, self._those_available(entry))
        return selection.claim(entry, self._not_out) if claim is None and not self._may_probe else claim

    def _those_available(self, entry: Group | RawModel) -> selection.Available | None:
        """Whether a target is available; None if all are, as nearly always, which spares looking at each."""
        if self._needs is not None:
            return self._suits
        if self._barred or self._in_flight or not self._noted.isdisjoint(entry.scopes):
            return self._available
        return None

    def awaited(self, entry: Group | RawModel) -> tuple[str, ...]:
        """The scopes that wait for a probe which this request may get."""
        if not self._may_probe or not self._noted:
            return ()
        scopes = {
            scope
            for target in selection.targets_of(entry)
            if not self._noted.isdisjoint(target.scopes) and self.permitted(target)
            for scope in target.scopes
            if self._health.get(scope).availability(self.now) is Availability.PROBE
        }
        return tuple(scopes)

    def permitted(self, target: Target) -> bool:
        return not target.disabled and target.id not in self._barred and self._can_serve(target)

    def _can_serve(self, target: Target) -> bool:
        return self._needs is None or can_serve(target.abilities, self._needs)

    def _suits(self, target: Target) -> bool:
        return self._can_serve(target) and self._available(target)

    def _available(self, target: Target) -> bool:
        if target.disabled or target.id in self._barred or (self._in_flight and self._is_full(target)):
            return False
        if self._noted.isdisjoint(target.scopes):
            return True
        return self._health_of(target).availability(self.now) in (_WELL_OR_WAITING if self._may_probe else _WELL)

    def _not_out(self, target: Target) -> bool:
        return self.permitted(target) and not self._is_full(target) and not self._is_out(target)

    def _is_out(self, target: Target) -> bool:
        return self._health_of(target).availability(self.now) is Availability.OUT

    def _is_full(self, target: Target) -> bool:
        most = target.provider.max_concurrent
        return most is not None and self._in_flight.get(target.id, 0) >= most

    def _health_of(self, target: Target) -> Health:
        """The worst of its scopes'."""
        if self._noted.isdisjoint(target.scopes):
            return WELL
        return worst(map(self._health.get, target.scopes), self.now)

    def probes(self, targets: Iterable[Target]) -> frozenset[str]:
        """The ids of those of them that a plan of this request would probe."""
        if not self._may_probe or not self._noted:
            return frozenset()
        return frozenset(target.id for target in targets if self._is_probe(target))

    def _is_probe(self, target: Target) -> bool:
        return self._may_probe and self._health_of(target).availability(self.now) is Availability.PROBE

    def least_bad(self, entry: Group | RawModel) -> tuple[Target, ...]:
        """The target that recovers soonest, if any does. One that is full is sent nothing, however well it is."""
        cooling = sorted(
            (pair for pair in self._cooling(entry) if not self._is_full(pair[0])),
            key=lambda pair: pair[1].retry_after_s(self.now),
        )
        return tuple(target for target, _ in cooling[:1])

    def exhausted(self, entry: Group | RawModel) -> NoTargetError | UnservableError:
        if self._needs is not None:
            enabled = [t for t in selection.targets_of(entry) if not t.disabled]
            if enabled and not any(map(self._can_serve, enabled)):
                return UnservableError(entry.id, shortfall((t.abilities for t in enabled), self._needs))
        cooling = [health for _, health in self._cooling(entry)]
        waits_s = [max(1.0, h.retry_after_s(self.now)) for h in cooling]
        code: NoTargetCode = "unavailable"
        permitted = filter(self.permitted, selection.targets_of(entry))
        if any(self._is_full(target) and not self._is_out(target) for target in permitted):
            code = "busy"
            waits_s.append(BUSY_S)
        if any(h.reason in LIMITS for h in cooling):
            code = "rate_limited"
        return NoTargetError(entry.id, code, min(waits_s, default=None))

    def view(self, target: Target, place: int = 0) -> TargetView:
        """`place` is where it stands in the plan, counted from 1; 0 if it is not in it."""
        health = self._health_of(target)
        reason = self._reason(target, health, place)
        return TargetView(target, place > 0, reason, health.retry_after_s(self.now))

    def _reason(self, target: Target, health: Health, place: int) -> str:
        availability = health.availability(self.now)
        if place and availability is Availability.OUT:
            return f"number {place}, as the least bad; cooling: {health.reason}"
        if place:
            return f"number {place}" + (", as a probe" if self._is_probe(target) else "")
        if target.disabled:
            return "disabled"
        if target.id in self._drained:
            return "drained"
        if target.id in self._barred:
            return "excluded by the request"
        if self._needs is not None and not self._can_serve(target):
            return why_not(target.abilities, self._needs)
        if self._is_full(target) and not self._is_out(target):
            return f"full: {self._in_flight[target.id]} of {target.provider.max_concurrent} in flight"
        if self._available(target):
            return "behind as many as may be attempted"
        if availability is Availability.PROBE:
            return f"waits for a request that reports whether it is well after: {health.reason}"
        if self.now < (health.cooling_until_at or 0.0):
            return f"cooling: {health.reason}"
        return f"another request is finding out whether it is well after: {health.reason}"

    def _cooling(self, entry: Group | RawModel) -> list[tuple[Target, Health]]:
        pairs = ((t, self._health_of(t)) for t in selection.targets_of(entry) if self.permitted(t))
        return [(target, health) for target, health in pairs if health.cooling_until_at is not None]
