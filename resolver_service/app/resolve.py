"""Answers a name with a plan."""

from __future__ import annotations

from collections.abc import Callable

from resolver_service.app.access import Access
from resolver_service.app.bindings import Bindings
from resolver_service.app.decisions import Course, Decision, Explanation, Query, TargetView
from resolver_service.app.in_flight import InFlight
from resolver_service.app.limits import COUNTED, ClientLimits, use_of
from resolver_service.app.ports import (
    Clock,
    DrainStore,
    Granted,
    HealthStore,
    Revision,
    Revisions,
    RotationStore,
    SharedState,
    Use,
    Wanted,
)
from resolver_service.app.probes import ProbeBook
from resolver_service.app.refusals import (
    BoundElsewhereError,
    NoTargetError,
    ResolveError,
    UnboundError,
    UnknownModelError,
    UnservableError,
)
from resolver_service.app.survey import Survey
from resolver_service.app.usual import Taken, UsualCourses
from resolver_service.domain import selection
from resolver_service.domain.abilities import NO_NEEDS
from resolver_service.domain.bindings import sent_nowhere_else
from resolver_service.domain.catalog import Catalog, Group, RawModel, Target
from resolver_service.domain.clients import Client
from resolver_service.domain.health import Availability, probe_taken
from resolver_service.domain.names import closest, name_key, near, split_reasoning
from resolver_service.domain.policy import OnExhausted
from resolver_service.domain.selection import Turns


class Resolver:
    """Answers requests from the current revision. Nothing in it awaits, so that no request sees another one's change
    half made."""

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
        access: Access,
        limits: ClientLimits,
        shared: SharedState | None = None,
    ) -> None:
        """`shared` is None for a resolver without a store."""
        self._revisions = revisions
        self._rotation = rotation
        self._health = health
        self._drains = drains
        self._clock = clock
        self._new_id = new_id
        self._probes = probes
        self._in_flight = in_flight
        self._shared = shared
        self._bindings = bindings
        self._access = access
        self._limits = limits
        self._usual = UsualCourses(health, drains, in_flight.counts)

    def client(self, key_sha256: bytes, *, required: bool) -> Client | None:
        """Whose key it is; None where there are no clients. Raises `ClientKeyError`."""
        return self._access.client(self._revisions.current.catalog, key_sha256, required=required)

    def authenticated(self, query: Query) -> Decision:
        """A plan without attempts, for who may ask for others. Raises `ClientKeyError`."""
        self.client(query.client_key, required=query.key_required)
        latest = self._health.latest
        return Decision(
            self._new_id(), Course((), 0, 0.0, self._revisions.current.number, "", health_generation=latest)
        )

    def wanted(self, query: Query) -> Wanted | None:
        """What `resolve` would take from the shared store (turns, probes, limits) if it were called now; None for
        nothing, or if the request is going to be refused."""
        revision = self._revisions.current
        try:
            client = self._access.client(revision.catalog, query.client_key, required=query.key_required)
            use = None if client is None else self._use(query, revision, client)
            if query.counting:
                return None if use is None else Wanted(self._id(use), use=use)
            if query.affinity_key and self._bindings.find(query.affinity_key) is None:
                return Wanted(self._id(use), binding=query.affinity_key, use=use)
            if query.retrieving:
                return None
            entry, _ = self._entry(query, revision, client)
        except ResolveError:
            return None
        now = self._clock()
        self._in_flight.forget(now)
        survey = self._survey(query, entry, now)
        claim, probes = survey.claim(entry), survey.awaited(entry)
        return Wanted(self._id(use), claim, probes, use=use) if claim or probes or use else None

    def _use(self, query: Query, revision: Revision, client: Client) -> Use | None:
        """Raises `UnknownModelError`, and `ClientLimitError` while this resolver goes by itself."""
        if query.retrieving or client.limits is None:
            return None
        if self._shared is None or self._shared.is_degraded:
            self._limits.check(client, self._clock())
        entry, _ = _find(revision.catalog, query.model, client)
        for_s = None
        if query.will_report and not query.counting:
            for_s = entry.policy.timeouts.total_s + (revision.catalog.longest_stream_s if query.stream else 0.0)
        return use_of(client.id, client.limits, query.needs, for_s)

    def _id(self, use: Use | None) -> str:
        return self._new_id() if use is None else self._new_id() + COUNTED

    def resolve(self, query: Query, caller: object = None, granted: Granted | None = None) -> Decision:
        """`caller` identifies the gRPC stream that asks, if it is one. `granted` is the shared store's answer to
        `wanted`; None without a store. Raises `ResolveError`."""
        if granted is None or self._shared is None:
            return self._resolve(query, caller, None)
        unused = set(granted.probes)
        decision = None
        try:
            decision = self._resolve(query, caller, granted)
            for target in decision.course.targets:
                if target.id in decision.course.probes:
                    unused.difference_update(target.scopes)
            return decision
        finally:
            if unused:
                self._shared.give_back(granted.holder, unused)
            if decision is None and granted.admission is not None and granted.admission.refusal is None:
                self._limits.withdrawn(granted.holder)

    def _resolve(self, query: Query, caller: object, granted: Granted | None) -> Decision:
        revision = self._revisions.current
        catalog = revision.catalog
        client = self._access.client(catalog, query.client_key, required=query.key_required)
        if query.retrieving:
            return self._retrieve(query, revision, client)
        entry, reasoning = self._entry(query, revision, client)
        now = self._clock()
        self._in_flight.forget(now)
        admission = None if granted is None else granted.admission
        if client is not None:
            self._limits.check(client, now, admission)
        turns = self._rotation.turn if granted is None else self._turns(granted)
        found = None if reasoning or query.affinity_required else self._usual.find(query, revision, entry, turns)
        course, took = found or self._surveyed(query, revision, entry, reasoning, turns, now)
        if not query.counting:
            # What is available may have changed since the grant, and with it the turns to take.
            self._rotation.take(took if granted is None else [key for key in took if key not in granted.turns])
        decision = Decision(self._new_id() if granted is None else granted.holder, course)
        if course.probes:
            for target in course.targets:
                if target.id in course.probes:
                    self._take_probes(decision.id, target, now)
        is_walked = query.will_report and not query.counting
        if is_walked and catalog.has_limits:
            scopes = tuple(target.scopes for target in course.targets)
            self._in_flight.decided(decision.id, scopes, now + course.longest_s(query.stream), caller)
        if is_walked and catalog.has_responses:
            self._bindings.decided(decision.id, course.name)
        if client is None or client.limits is None:
            return decision
        until_at = now + course.longest_s(query.stream) if is_walked else None
        allowances = self._limits.decided(client, decision.id, query.needs, now, until_at, caller, admission)
        return decision._replace(limits=allowances)

    def _surveyed(
        self, query: Query, revision: Revision, entry: Group | RawModel, reasoning: str, turns: Turns, now: float
    ) -> Taken:
        """Raises `NoTargetError` or `UnservableError`."""
        survey = self._survey(query, entry, now)
        order = survey.order(entry, turns, entry.policy.attempts)
        return self._course(revision, entry, reasoning, order.targets, survey), order.took

    def _entry(self, query: Query, revision: Revision, client: Client | None) -> tuple[Group | RawModel, str]:
        """The cluster, pool or raw model that is asked for, and the reasoning suffix. Raises `UnknownModelError`,
        `UnboundError` or `BoundElsewhereError`."""
        entry, reasoning = _find(revision.catalog, query.model, client)
        if query.affinity_required:
            binding = self._bindings.find(query.affinity_key)
            if binding is None and client is not None:
                raise UnboundError  # The provider cannot tell clients apart: it would continue another one's response.
            entry = sent_nowhere_else(entry, binding)
            if isinstance(entry, RawModel) and not entry.sources:
                raise BoundElsewhereError(entry.id)
        return entry, reasoning

    def _retrieve(self, query: Query, revision: Revision, client: Client | None) -> Decision:
        """A request for a stored response itself goes to the target that made it, whatever that target's health. A
        response that was made under a name that the client may not call is unknown to this client."""
        binding = self._bindings.find(query.affinity_key)
        target = None if binding is None else revision.catalog.targets.get(binding.target_id)
        if binding is None or target is None or not (client is None or client.may_call(name_key(binding.name))):
            raise UnboundError
        total_s, latest = target.timeouts.total_s, self._health.latest
        course = Course((target,), 1, total_s, revision.number, binding.name, health_generation=latest)
        return Decision(self._new_id(), course)

    def _turns(self, granted: Granted) -> Turns:
        return lambda key: granted.turns[key] if key in granted.turns else self._rotation.turn(key)

    def caller_left(self, caller: object) -> None:
        """The gRPC stream that `caller` identifies is closed."""
        now = self._clock()
        self._in_flight.caller_left(caller, now)
        self._limits.caller_left(caller, now)

    def _survey(self, query: Query, entry: Group | RawModel, now: float) -> Survey:
        needs = query.needs if entry.has_abilities and query.needs != NO_NEEDS else None
        return Survey(self._health, self._drains.drained(), self._in_flight.counts, now, query, needs)

    def _take_probes(self, decision_id: str, target: Target, now: float) -> None:
        """Takes the probe of every scope of the target that waits for one. Scopes that an earlier attempt of this plan
        has taken do not wait any more."""
        for scope in target.scopes:
            health = self._health.get(scope)
            if health.availability(now) is Availability.PROBE:
                self._health.put(scope, probe_taken(health, holder=decision_id, now=now))
                self._probes.taken(decision_id, scope, now)

    def explain(self, query: Query, *, everything: bool = False) -> Explanation:
        """What `resolve` would answer now, and why, whatever is left of the client's limits; changes nothing.
        `everything` is for operators: no client key is asked for. Raises `ClientKeyError`, `UnknownModelError` or
        `UnboundError`."""
        revision = self._revisions.current
        access = self._access.client
        client = None if everything else access(revision.catalog, query.client_key, required=query.key_required)
        if query.retrieving:
            made = self._retrieve(query, revision, client)
            return Explanation(made, "", (TargetView(made.course.targets[0], True, "made it", 0.0),))
        found, reasoning = _find(revision.catalog, query.model, client)
        entry = found
        if query.affinity_required:
            entry = sent_nowhere_else(found, self._bindings.find(query.affinity_key))
        now = self._clock()
        self._in_flight.forget(now)
        survey = self._survey(query, entry, now)
        order = survey.order(entry, self._rotation.turn)
        try:
            decision = Decision(self._new_id(), self._course(revision, entry, reasoning, order.targets, survey))
        except (NoTargetError, UnservableError):
            decision = None
        views: dict[str, TargetView] = {}
        for place, target in enumerate(decision.course.targets if decision else (), 1):
            views[target.id] = survey.view(target, place)
        permitted = selection.order(entry, survey.permitted, self._rotation.turn).targets
        for target in (*order.targets, *permitted, *selection.targets_of(entry)):
            if target.id not in views:
                views[target.id] = survey.view(target)
        for target in selection.targets_of(found):
            if target.id not in views:
                views[target.id] = TargetView(target, False, "did not make what the request goes on from", 0.0)
        kind = found.kind if isinstance(found, Group) else "model"
        return Explanation(decision, kind, tuple(views.values()))

    def _course(
        self,
        revision: Revision,
        entry: Group | RawModel,
        reasoning: str,
        targets: tuple[Target, ...],
        survey: Survey,
    ) -> Course:
        """Raises `NoTargetError` or `UnservableError`."""
        policy = entry.policy
        attempts_allowed = policy.attempts
        if not targets:
            targets = survey.least_bad(entry) if policy.on_exhausted is OnExhausted.LEAST_BAD else ()
            attempts_allowed = 1
            if not targets:
                raise survey.exhausted(entry)
        targets = targets[:attempts_allowed]
        return Course(
            targets,
            attempts_allowed,
            policy.timeouts.total_s,
            revision.number,
            entry.id,
            reasoning,
            survey.probes(targets),
            self._health.latest,
            entry.has_abilities,
        )


def _find(catalog: Catalog, model: str, client: Client | None) -> tuple[Group | RawModel, str]:
    """The entry with this name, and the reasoning suffix. The whole name is looked up first, since a name may end in
    parentheses.

    A name that the client may not call is treated as one that does not exist, closest names included.
    """
    entry = catalog.find(model) if client is None else _permitted(catalog, model, client)
    if entry is not None:
        return entry, ""
    name, reasoning = split_reasoning(model)
    entry = _permitted(catalog, name, client) if reasoning else None
    if entry is not None:
        return entry, reasoning
    names = near(name, catalog.spellings)
    if client is not None:
        names = [(key, spelling) for key, spelling in names if client.may_call(key)]
    raise UnknownModelError(model.strip(), closest(name, [spelling for _, spelling in names]))


def _permitted(catalog: Catalog, name: str, client: Client | None) -> Group | RawModel | None:
    entry = catalog.find(name)
    return entry if entry is None or client is None or client.may_call(name_key(name)) else None
