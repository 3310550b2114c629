"""Answers a name with a plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from resolver_service.app.ports import Clock, HealthStore, Revision, Revisions, RotationStore
from resolver_service.domain import selection
from resolver_service.domain.catalog import Catalog, Group, OnExhausted, RawModel, Target
from resolver_service.domain.health import LIMITS, Availability, Health, probe_taken
from resolver_service.domain.names import closest, split_reasoning


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks for."""

    model: str
    """As the client sent it, with its reasoning suffix if it has one."""
    counting: bool = False
    """Token counting moves no turn and takes no probe."""
    will_report: bool = False
    """Only callers that report what becomes of their attempts get probes."""
    excluded: frozenset[str] = frozenset()
    """Ids of targets that must not be in the plan."""


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    target: Target
    reasoning: str
    probe: bool
    health_generation: int


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan: what to try, in which order and how far."""

    id: str
    attempts: tuple[PlannedAttempt, ...]
    attempts_allowed: int
    total_s: float
    revision: int
    name: str
    """The configured spelling of the name that was found."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as `Explain` shows it."""

    target: Target
    available: bool
    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Explanation:
    decision: Decision | None
    kind: str
    targets: tuple[TargetView, ...]


class ResolveError(Exception):
    """A request that gets no plan."""

    code: str


class UnknownModelError(ResolveError):
    """Nothing has this name."""

    code = "model_not_found"

    def __init__(self, name: str, closest_names: tuple[str, ...]) -> None:
        self.name = name
        self.closest = closest_names
        hint = f"; the closest names are: {', '.join(closest_names)}" if closest_names else ""
        super().__init__(f"the model '{name[:200]}' does not exist{hint}")


class NoTargetError(ResolveError):
    """The name is known, but none of its targets may be tried now."""

    def __init__(self, name: str, code: Literal["rate_limited", "unavailable"], retry_after_s: float | None) -> None:
        self.code = code
        self.retry_after_s = retry_after_s
        why = "has reached a limit" if code == "rate_limited" else "is out of service"
        when = "" if retry_after_s is None else f"; try again in {math.ceil(retry_after_s)} s"
        super().__init__(f"every target of '{name}' {why}{when}")


class Resolver:
    """Resolves against the current revision. Never waits: it runs to its end between two steps of the event loop."""

    def __init__(
        self,
        revisions: Revisions,
        rotation: RotationStore,
        health: HealthStore,
        clock: Clock,
        new_id: Callable[[], str],
        probes: ProbeBook,
    ) -> None:
        self._revisions = revisions
        self._rotation = rotation
        self._health = health
        self._clock = clock
        self._new_id = new_id
        self._probes = probes

    def resolve(self, query: Query) -> Decision:
        """Raises `UnknownModelError` or `NoTargetError`."""
        revision = self._revisions.current
        entry, reasoning = _find(revision.catalog, query.model)
        survey = _Survey(
            self._health, self._clock(), query.excluded, may_probe=query.will_report and not query.counting
        )
        order = selection.order(entry, survey.available, self._rotation.turn)
        if order.targets and not query.counting:
            self._rotation.take(order.took)
        decision = self._decide(revision, entry, reasoning, order.targets, survey)
        for attempt in decision.attempts:
            if attempt.probe:
                health = probe_taken(self._health.get(attempt.target.id), holder=decision.id, now=survey.now)
                self._health.put(attempt.target.id, health)
                self._probes.taken(decision.id, attempt.target.id, survey.now)
        return decision

    def explain(self, query: Query) -> Explanation:
        """What `resolve` would answer now, and why; changes nothing. Raises `UnknownModelError`."""
        revision = self._revisions.current
        entry, reasoning = _find(revision.catalog, query.model)
        survey = _Survey(
            self._health, self._clock(), query.excluded, may_probe=query.will_report and not query.counting
        )
        order = selection.order(entry, survey.available, self._rotation.turn)
        try:
            decision = self._decide(revision, entry, reasoning, order.targets, survey)
        except NoTargetError:
            decision = None
        everyone = selection.order(entry, lambda _: True, self._rotation.turn).targets
        inside = {t.id for t in order.targets}
        targets = (*order.targets, *(t for t in everyone if t.id not in inside))
        kind = entry.kind if isinstance(entry, Group) else "model"
        return Explanation(decision, kind, tuple(survey.view(t, i + 1, t.id in inside) for i, t in enumerate(targets)))

    def _decide(
        self,
        revision: Revision,
        entry: Group | RawModel,
        reasoning: str,
        targets: tuple[Target, ...],
        survey: _Survey,
    ) -> Decision:
        policy = entry.policy
        attempts_allowed = policy.attempts
        if not targets:
            everyone = selection.order(entry, lambda _: True, self._rotation.turn).targets
            targets = survey.least_bad(everyone) if policy.on_exhausted is OnExhausted.LEAST_BAD else ()
            attempts_allowed = 1
            if not targets:
                raise survey.exhausted(entry.id, everyone)
        return Decision(
            id=self._new_id(),
            attempts=tuple(survey.attempt(t, reasoning) for t in targets[:attempts_allowed]),
            attempts_allowed=attempts_allowed,
            total_s=policy.timeouts.total_s,
            revision=revision.number,
            name=entry.id,
        )


class ProbeBook:
    """Which decisions hold probes, so that those which were not used can go back when the decision closes."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._held: dict[str, tuple[float, list[str]]] = {}

    def taken(self, decision_id: str, target_id: str, now: float) -> None:
        # Decisions that were never closed: their leases have run out, so nothing is left to give back.
        for old in [d for d, (at, _) in self._held.items() if now - at > self._lease_s]:
            del self._held[old]
        self._held.setdefault(decision_id, (now, []))[1].append(target_id)

    def closed(self, decision_id: str) -> list[str]:
        """The ids of the targets whose probes the decision held."""
        return self._held.pop(decision_id, (0.0, []))[1]


class _Survey:
    """The health of targets as one request sees it."""

    def __init__(self, health: HealthStore, now: float, excluded: frozenset[str], *, may_probe: bool) -> None:
        self.now = now
        self._health = health
        self._excluded = excluded
        self._may_probe = may_probe

    def available(self, target: Target) -> bool:
        if target.disabled or target.id in self._excluded:
            return False
        availability = self._health.get(target.id).availability(self.now)
        return availability is Availability.READY or (availability is Availability.PROBE and self._may_probe)

    def attempt(self, target: Target, reasoning: str) -> PlannedAttempt:
        health = self._health.get(target.id)
        probe = self._may_probe and health.availability(self.now) is Availability.PROBE
        return PlannedAttempt(target, reasoning or target.reasoning, probe, health.generation)

    def least_bad(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """The target that recovers soonest, if any does."""
        cooling = [t for t, _ in self._cooling(targets)]
        return tuple(sorted(cooling, key=lambda t: self._health.get(t.id).retry_after_s(self.now))[:1])

    def exhausted(self, name: str, targets: tuple[Target, ...]) -> NoTargetError:
        cooling = [h for _, h in self._cooling(targets)]
        soonest_s = min((max(1.0, h.retry_after_s(self.now)) for h in cooling), default=None)
        limited = any(h.reason in LIMITS for h in cooling)
        return NoTargetError(name, "rate_limited" if limited else "unavailable", soonest_s)

    def view(self, target: Target, place: int, inside: bool) -> TargetView:
        health = self._health.get(target.id)
        retry_after_s = health.retry_after_s(self.now)
        if inside:
            reason = f"number {place}" + (", as a probe" if self.attempt(target, "").probe else "")
        elif target.disabled:
            reason = "disabled"
        elif target.id in self._excluded:
            reason = "excluded by the request"
        elif self.now < (health.cooling_until_at or 0.0):
            reason = f"cooling: {health.reason}"
        else:
            reason = f"another request is finding out whether it is well after: {health.reason}"
        return TargetView(target, inside, reason, retry_after_s)

    def _cooling(self, targets: tuple[Target, ...]) -> list[tuple[Target, Health]]:
        pairs = [(t, self._health.get(t.id)) for t in targets if not t.disabled and t.id not in self._excluded]
        return [(t, h) for t, h in pairs if h.cooling_until_at is not None]


def _find(catalog: Catalog, model: str) -> tuple[Group | RawModel, str]:
    """The entry behind a name, and the reasoning suffix. The name as it stands comes first: it may have parentheses."""
    entry = catalog.find(model)
    if entry is not None:
        return entry, ""
    name, reasoning = split_reasoning(model)
    entry = catalog.find(name) if reasoning else None
    if entry is not None:
        return entry, reasoning
    names = [*(g.id for g in catalog.virtual_models()), *(m.id for m in catalog.models.values())]
    raise UnknownModelError(model.strip(), closest(name, names))
