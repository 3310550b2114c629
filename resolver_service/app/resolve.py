"""Answers a name with a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from resolver_service.app.bindings import Bindings
from resolver_service.app.in_flight import InFlight
from resolver_service.app.ports import Clock, DrainStore, HealthStore, Revision, Revisions, RotationStore
from resolver_service.app.probes import ProbeBook
from resolver_service.domain import selection
from resolver_service.domain.abilities import NO_NEEDS, Needs, Shortfall, can_serve, shortfall, why_not
from resolver_service.domain.bindings import sent_nowhere_else
from resolver_service.domain.catalog import Catalog, Group, OnExhausted, RawModel, Target
from resolver_service.domain.health import LIMITS, WELL, Availability, Health, probe_taken, worst
from resolver_service.domain.names import closest, split_reasoning

BUSY_S = 1.0
"""When to come back while a target is full: it is not known when the next request ends, and most end soon."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks for."""

    model: str
    """As the client sent it, with its reasoning suffix if it has one."""
    counting: bool = False
    """Token counting moves no turn and takes no probe."""
    will_report: bool = False
    """Only callers that report what becomes of their attempts get probes, and count as in flight."""
    excluded: frozenset[str] = frozenset()
    """Ids of targets that must not be in the plan."""
    stream: bool = False
    """The answer is to be streamed, which may take longer."""
    needs: Needs = NO_NEEDS
    affinity_key: bytes = b""
    """Of what the request goes on from, or wants; empty for nothing."""
    affinity_required: bool = False
    """Only who made that may serve."""
    retrieving: bool = False
    """It wants what was made itself: there is no model, and who made it is asked, however well it is."""


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
    depends_on_needs: bool = False
    """Other needs may lead to other attempts."""

    def longest_s(self, stream: bool) -> float:
        """How long whoever keeps to the plan takes at most."""
        return self.total_s + max((a.target.timeouts.stream_s for a in self.attempts if stream), default=0.0)


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


NoTargetCode: TypeAlias = Literal["rate_limited", "busy", "unavailable"]

_WHY: Mapping[NoTargetCode, str] = MappingProxyType(
    {
        "rate_limited": "has reached a limit",
        "busy": "is busy or out of service",
        "unavailable": "is out of service",
    }
)


class NoTargetError(ResolveError):
    """The name is known, but none of its targets may be tried now."""

    def __init__(self, name: str, code: NoTargetCode, retry_after_s: float | None) -> None:
        self.name = name
        self.code = code
        self.retry_after_s = retry_after_s
        why = _WHY[code]
        when = "" if retry_after_s is None else f"; try again in {math.ceil(retry_after_s)} s"
        super().__init__(f"every target of '{name}' {why}{when}")


class UnservableError(ResolveError):
    """The name is known, but it is also known that no target behind it can serve such a request: waiting is no use."""

    code = "needs_unmet"

    def __init__(self, name: str, needed: Shortfall) -> None:
        self.name = name
        self.lacking = needed.words
        super().__init__(f"no target of '{name}' offers {needed.text}")


class UnboundError(ResolveError):
    """Nobody is known who made what is asked for."""

    code = "unbound"

    def __init__(self) -> None:
        super().__init__("nothing is known under this id")


class BoundElsewhereError(ResolveError):
    """The name is known, but does not lead to who made what the request goes on from."""

    code = "bound_elsewhere"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"'{name}' does not lead to the provider that made what the request goes on from: ask by a name that does"
        )


class Resolver:
    """Resolves against the current revision. Never waits: it runs to its end between two steps of the event loop."""

    def __init__(
        self,
        revisions: Revisions,
        rotation: RotationStore,
        health: HealthStore,
        drains: DrainStore,
        clock: Clock,
        new_id: Callable[[], str],
        probes: ProbeBook,
        in_flight: InFlight,
        bindings: Bindings,
    ) -> None:
        self._revisions = revisions
        self._rotation = rotation
        self._health = health
        self._drains = drains
        self._clock = clock
        self._new_id = new_id
        self._probes = probes
        self._in_flight = in_flight
        self._bindings = bindings

    def resolve(self, query: Query, caller: object = None) -> Decision:
        """`caller` stands for the stream it is asked on, if it is on one. Raises `ResolveError`."""
        revision = self._revisions.current
        if query.retrieving:
            return self._retrieve(query, revision)
        entry, reasoning = _find(revision.catalog, query.model)
        if query.affinity_required:
            entry = sent_nowhere_else(entry, self._bindings.find(query.affinity_key))
            if isinstance(entry, RawModel) and not entry.sources:
                raise BoundElsewhereError(entry.id)
        survey = self._survey(query, entry)
        order = survey.order(entry, self._rotation.turn, entry.policy.attempts)
        if not query.counting:
            self._rotation.take(order.took)
        decision = self._decide(revision, entry, reasoning, order.targets, survey)
        for attempt in decision.attempts:
            if attempt.probe:
                self._take_probes(decision.id, attempt.target, survey.now)
        if revision.catalog.has_limits and query.will_report and not query.counting:
            targets = tuple(attempt.target.scopes for attempt in decision.attempts)
            self._in_flight.decided(decision.id, targets, survey.now + decision.longest_s(query.stream), caller)
        if revision.catalog.has_responses and query.will_report and not query.counting:
            self._bindings.decided(decision.id, decision.name)
        return decision

    def _retrieve(self, query: Query, revision: Revision) -> Decision:
        """Health is a matter of generating: it does not keep anyone from what was made before."""
        binding = self._bindings.find(query.affinity_key)
        target = None if binding is None else revision.catalog.targets.get(binding.target_id)
        if binding is None or target is None:
            raise UnboundError
        attempt = PlannedAttempt(target, reasoning="", probe=False, health_generation=self._health.latest)
        return Decision(self._new_id(), (attempt,), 1, target.timeouts.total_s, revision.number, binding.name)

    def caller_left(self, caller: object) -> None:
        """Nothing more is asked on its stream."""
        self._in_flight.caller_left(caller, self._clock())

    def _survey(self, query: Query, entry: Group | RawModel) -> _Survey:
        now = self._clock()
        self._in_flight.forget(now)
        needs = query.needs if entry.has_abilities and query.needs != NO_NEEDS else None
        return _Survey(self._health, self._drains.drained(), self._in_flight.counts, now, query, needs)

    def _take_probes(self, decision_id: str, target: Target, now: float) -> None:
        """Of those of its scopes that wait for one. What another attempt of the plan has taken is out by now."""
        for scope in target.scopes:
            health = self._health.get(scope)
            if health.availability(now) is Availability.PROBE:
                self._health.put(scope, probe_taken(health, holder=decision_id, now=now))
                self._probes.taken(decision_id, scope, now)

    def explain(self, query: Query) -> Explanation:
        """What `resolve` would answer now, and why; changes nothing. Raises `UnknownModelError` or `UnboundError`."""
        revision = self._revisions.current
        if query.retrieving:
            made = self._retrieve(query, revision)
            return Explanation(made, "", (TargetView(made.attempts[0].target, True, "made it", 0.0),))
        found, reasoning = _find(revision.catalog, query.model)
        entry = found
        if query.affinity_required:
            entry = sent_nowhere_else(found, self._bindings.find(query.affinity_key))
        survey = self._survey(query, entry)
        order = survey.order(entry, self._rotation.turn)
        try:
            decision = self._decide(revision, entry, reasoning, order.targets, survey)
        except (NoTargetError, UnservableError):
            decision = None
        views: dict[str, TargetView] = {}
        for place, attempt in enumerate(decision.attempts if decision else (), 1):
            views[attempt.target.id] = survey.view(attempt.target, place)
        permitted = selection.order(entry, survey.permitted, self._rotation.turn).targets
        for target in (*order.targets, *permitted, *selection.targets_of(entry)):
            if target.id not in views:
                views[target.id] = survey.view(target)
        for target in selection.targets_of(found):
            if target.id not in views:
                views[target.id] = TargetView(target, False, "did not make what the request goes on from", 0.0)
        kind = found.kind if isinstance(found, Group) else "model"
        return Explanation(decision, kind, tuple(views.values()))

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
            targets = survey.least_bad(entry) if policy.on_exhausted is OnExhausted.LEAST_BAD else ()
            attempts_allowed = 1
            if not targets:
                raise survey.exhausted(entry)
        return Decision(
            id=self._new_id(),
            attempts=tuple(survey.attempt(t, reasoning) for t in targets[:attempts_allowed]),
            attempts_allowed=attempts_allowed,
            total_s=policy.timeouts.total_s,
            revision=revision.number,
            name=entry.id,
            depends_on_needs=entry.has_abilities,
        )


class _Survey:
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
        self._generation = health.latest
        self._noted = health.scopes()
        self._drained = drained
        self._barred = query.excluded | drained if drained else query.excluded
        self._may_probe = query.will_report and not query.counting
        self._available_when = (Availability.READY, Availability.PROBE) if self._may_probe else (Availability.READY,)

    def order(self, entry: Group | RawModel, turns: selection.Turns, limit: int | None = None) -> selection.Order:
        """What may be tried, in order."""
        # Most requests are not slowed down by what makes a difference for few.
        available = self._available if self._needs is None else self._suits
        order = selection.order(entry, available, turns, limit)
        if not order.targets and not self._may_probe:
            # Nothing but targets that wait for a probe. Whether one will ever come is not for this request to wait for.
            order = selection.order(entry, self._not_out, turns, limit)
        return order

    def permitted(self, target: Target) -> bool:
        return not target.disabled and target.id not in self._barred and self._can_serve(target)

    def _can_serve(self, target: Target) -> bool:
        return self._needs is None or can_serve(target.abilities, self._needs)

    def _suits(self, target: Target) -> bool:
        return self._can_serve(target) and self._available(target)

    def _available(self, target: Target) -> bool:
        if target.disabled or target.id in self._barred or (self._in_flight and self._is_full(target)):
            return False
        # Asked of every target of every request, and nearly always all there is to ask.
        if self._noted.isdisjoint(target.scopes):
            return True
        return self._health_of(target).availability(self.now) in self._available_when

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

    def attempt(self, target: Target, reasoning: str) -> PlannedAttempt:
        probe = self._may_probe and self._health_of(target).availability(self.now) is Availability.PROBE
        return PlannedAttempt(target, reasoning or target.reasoning, probe, self._generation)

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
            return f"number {place}" + (", as a probe" if self.attempt(target, "").probe else "")
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
