"""Several edges and one resolver, without sockets: the real machine walks real plans, the reports of what came of it
are in the mail, and the resolver forgets nothing but what a restart costs it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge_service.domain import failover
from edge_service.domain.failover import Command, Failover, Finish, Open, ReportClosed, ReportContent, State
from edge_service.domain.outcome import AMBIGUOUS, Outcome
from edge_service.domain.outcome import Disposition as EdgeDisposition
from edge_service.domain.plan import Attempt, Plan
from resolver_service.adapters import config_yaml
from resolver_service.adapters.stores_sqlite import SqliteState
from resolver_service.app.decisions import Decision, PlannedAttempt
from resolver_service.app.receipts import KEPT_S
from resolver_service.app.refusals import NoTargetError
from resolver_service.app.report import Closed, Content, Ended, Event, Failed
from resolver_service.domain.health import PROBE_LEASE_S, WELL, Availability, Health
from resolver_service.domain.policy import Disposition, OnExhausted
from resolver_service.domain.selection import targets_of
from tests.support.resolving import Clock, Resolving

CONFIG = """
providers:
  - {id: p, dialect: openai, base-url: "https://p.example", models: [z], credentials: [env:A, env:B]}
  - {id: q, dialect: openai, base-url: "https://q.example", models: [z]}
  - {id: r, dialect: openai, base-url: "https://r.example", models: [y], policy: {failover: {never: [overloaded]}}}
model-pools:
  pools:
    - {id: turns, members: [{provider: p, model: m, weight: 2}, {provider: q, model: m}, {provider: r, model: m}]}
    - {id: others, members: [{provider: q, model: n}, {provider: p, model: z, weight: 2}]}
  clusters:
    - {id: walk, members: [{pool: turns}, {pool: others, priority: 1}, {model: z, priority: 2}]}
    - {id: last, members: [{model: y}], policy: {on-exhausted: least-bad, failover: {also: [client-fault]}}}
"""
POOLS_BEHIND = {"turns": ("turns",), "others": ("others",), "walk": ("turns", "others"), "z": (), "last": ()}
"""By the names that can be called: the pools of which the first that can serve takes a turn."""
CONFIGS = [
    CONFIG,
    CONFIG.replace(", {provider: r, model: m}", ""),
    CONFIG.replace("{pool: turns}, ", "{pool: turns, weight: 2}, "),
    CONFIG + "policy: {cool-down: {min: 5s, max: 10m}}",
    CONFIG + "policy: {cool-down: {max: 10s}}",
]
LONGEST_S = 600.0
"""No cool-down lasts longer under any of them."""
INVALID = CONFIG.replace("priority: 1", "priority: high")
TARGETS = ["p/m#0", "p/m#1", "q/m#0", "r/m#0", "q/n#0", "p/z#0", "p/z#1", "q/z#0", "r/y#0"]

OUT, PROBE, READY = Availability.OUT, Availability.PROBE, Availability.READY


@dataclass(frozen=True)
class Letter:
    """A report under way from an edge to the resolver."""

    decision_id: str
    event: Event


@dataclass
class Walk:
    """One request at an edge."""

    decision: Decision
    machine: Failover = field(default_factory=Failover)
    commands: list[Command] = field(default_factory=list)

    def happens(self, event: str, *arguments: object) -> list[Letter]:
        """The reports that come of it."""
        given = getattr(self.machine, event)(*arguments)
        self.commands += given
        self._check()
        return [letter for command in given for letter in self._letters(command)]

    def begin(self) -> None:
        attempts = tuple(map(_attempt, self.decision.attempts))
        allowed, total_s = self.decision.course.attempts_allowed, self.decision.course.total_s
        self.happens("resolved", Plan(self.decision.id, attempts, allowed, total_s))

    @property
    def under_way(self) -> Attempt:
        return self.of(Open)[-1].attempt

    @property
    def is_done(self) -> bool:
        return self.machine.state is State.DONE

    def of(self, *kinds: type) -> list[Command]:
        return [command for command in self.commands if isinstance(command, kinds)]

    def _letters(self, command: Command) -> list[Letter]:
        match command:
            case failover.ReportFailed(attempt, outcome):
                disposition = Disposition(outcome.disposition.value)
                event = Failed(attempt.target_id, attempt.health_generation, disposition, outcome.retry_after_s)
                return [Letter(self.decision.id, event)]
            case failover.ReportEnded(attempt):
                ended = Ended(attempt.target_id, attempt.health_generation)
                return [Letter(self.decision.id, ended), Letter(self.decision.id, Closed())]
            case ReportContent(attempt):
                return [Letter(self.decision.id, Content(attempt.target_id))]
            case ReportClosed():
                return [Letter(self.decision.id, Closed())]
        return []

    def _check(self) -> None:
        """What holds of every request, whatever has happened to it."""
        opened = [c.attempt.target_id for c in self.of(Open)]
        reported = [c.attempt.target_id for c in self.of(failover.ReportFailed, failover.ReportEnded)]
        assert len(set(opened)) == len(opened), "a target was tried twice"
        assert reported == (opened if self.is_done else opened[:-1]), "an attempt was not reported once"
        closing = self.of(ReportClosed, failover.ReportEnded)
        assert len(closing) == len(self.of(Finish)) == self.is_done, "not closed once"
        failures = [c.outcome.disposition for c in self.of(failover.ReportFailed)][: len(opened) - 1]
        assert sum(disposition in AMBIGUOUS for disposition in failures) <= 1, "moved twice from silence"
        attempts = [c.attempt for c in self.of(Open)]
        for place, disposition in enumerate(failures):
            if disposition in (EdgeDisposition.QUOTA, EdgeDisposition.CREDENTIAL):
                own = (attempts[place].provider, attempts[place].credential_ref)
                assert own not in [(a.provider, a.credential_ref) for a in attempts[place + 1 :]], "a used up key again"
        if self.of(ReportContent):
            place = self.commands.index(self.of(ReportContent)[0])
            assert not any(isinstance(c, Open) for c in self.commands[place:]), "moved after content"


def _attempt(planned: PlannedAttempt) -> Attempt:
    target = planned.target
    return Attempt(
        target.id,
        target.provider.id,
        target.provider.dialect,
        target.provider.base_url,
        target.model,
        target.credential.ref,
        never=frozenset(EdgeDisposition(d.value) for d in target.failover.never),
        also=frozenset(EdgeDisposition(d.value) for d in target.failover.also),
        probe=planned.probe,
        health_generation=planned.health_generation,
    )


class Fleet:
    """Checks, with everything that happens, that it was as it should be."""

    def __init__(self, text: str, directory: Path) -> None:
        self.text = text
        self.clock = Clock()
        self._directory = directory
        self._lives = 0
        self.walks: list[Walk] = []
        """Those under way."""
        self.mail: list[Letter] = []
        self.delivered: dict[Letter, float] = {}
        """When it came, in this life of the resolver."""
        self.leases: dict[str, tuple[str, float]] = {}
        """By scope: the decision that was handed the probe, and until when it has it."""
        self.turns: dict[str, tuple[dict[str, float], list[str]]] = {}
        """By pool: whose turns are to be how many, and whose they were, since that last changed."""
        self._start()

    def _start(self) -> None:
        self._lives += 1
        self._state = SqliteState(self._directory, self.clock, self.clock)
        stores, boot = self._state.stores, f"life-{self._lives}"
        self.it = Resolving(self.text, clock=self.clock, stores=stores, boot=boot)

    def restart(self) -> None:
        """Ends as told to: what was noted is in the file. Who holds which probe, and what was received, is not."""
        before = self.states()
        self._state.stop()
        asyncio.run(self._state.keep())
        self._start()
        self.delivered.clear()
        self.leases.clear()
        after = self.states()
        assert after.keys() == before.keys()
        for scope, health in after.items():
            assert health.generation == before[scope].generation
            assert health.tallies == before[scope].tallies
            then, now = before[scope].cooling_until_at, health.cooling_until_at
            assert (then is None) == (now is None)
            assert then is None or abs(then - now) < 1e-6, "a cool-down did not outlive a restart"

    def end(self) -> None:
        self._state.stop()
        asyncio.run(self._state.keep())

    # --- What the resolver knows ---

    @property
    def scopes(self) -> dict[str, tuple[str, ...]]:
        """Of every target that a name leads to."""
        return dict(self.it.configuration.current.catalog.scopes)

    def states(self) -> dict[str, Health]:
        return {scope: self.it.health.get(scope) for scope in self.it.health.scopes()}

    def availability(self, scope: str) -> Availability:
        return self.it.health.get(scope).availability(self.clock())

    def available(self, model: str) -> dict[str, list[Availability]]:
        """The targets behind a name that may be tried, with the availability of their scopes."""
        entry = self.it.configuration.current.catalog.find(model)
        assert entry is not None
        targets = {t.id: t for t in targets_of(entry) if t.id not in self.it.drains.drained() and not t.disabled}
        found = {id_: [self.availability(scope) for scope in t.scopes] for id_, t in targets.items()}
        return {id_: scopes for id_, scopes in found.items() if OUT not in scopes}

    # --- What happens ---

    def ask(self, model: str) -> Walk | None:
        """A request at some edge; None if there is nobody to try."""
        available = self.available(model)
        scopes = {scope: self.availability(scope) for target in available for scope in self.scopes[target]}
        pool = next((pool for pool in POOLS_BEHIND[model] if self.available(pool)), None)
        shares = self._shares(pool) if pool else {}
        least_bad = "" if available else self._least_bad(model)
        try:
            decision = self.it.decide(model)
        except NoTargetError:
            assert not available, "somebody could have been tried"
            assert not least_bad
            return None
        planned = [attempt.target.id for attempt in decision.attempts]
        if least_bad:
            assert (planned, decision.course.attempts_allowed) == ([least_bad], 1)
            assert not decision.attempts[0].probe
        else:
            assert sorted(planned) == sorted(available), "who may be tried stands in the plan once, and nobody else"
            self._note_probes(decision, available, scopes)
        if pool:
            self._took_turn(pool, planned[0], shares)
        walk = Walk(decision)
        walk.begin()
        self.walks.append(walk)
        return walk

    def _least_bad(self, model: str) -> str:
        """Who recovers soonest, if the policy lets anyone be tried before."""
        entry = self.it.configuration.current.catalog.find(model)
        assert entry is not None
        if entry.policy.on_exhausted is not OnExhausted.LEAST_BAD:
            return ""
        now, drained = self.clock(), self.it.drains.drained()
        waits = {
            target.id: max(self.it.health.get(scope).retry_after_s(now) for scope in target.scopes)
            for target in targets_of(entry)
            if target.id not in drained
        }
        return min(waits, key=lambda target: waits[target], default="")

    def _note_probes(
        self, decision: Decision, available: dict[str, list[Availability]], scopes: dict[str, Availability]
    ) -> None:
        now = self.clock()
        for attempt in decision.attempts:
            assert attempt.probe == (PROBE in available[attempt.target.id])
            for scope in attempt.target.scopes if attempt.probe else ():
                if scopes[scope] is PROBE:
                    holder, until_at = self.leases.get(scope, ("", 0.0))
                    assert holder in ("", decision.id) or until_at <= now, "two plans probe at a time"
                    self.leases[scope] = (decision.id, now + PROBE_LEASE_S)

    def _shares(self, pool: str) -> dict[str, float]:
        """The available targets of a pool, and how many of sum(weights) turns each should get."""
        (tier,) = self.it.configuration.current.catalog.pools[pool].tiers
        available = self.available(pool)
        shares: dict[str, float] = {}
        for member in tier.members:
            its = [t.id for source in member.sources for t in source.targets if t.id in available]
            shares |= {id_: member.weight / len(its) for id_ in its}
        return shares

    def _took_turn(self, pool: str, first: str, shares: dict[str, float]) -> None:
        expected, turns = self.turns.get(pool, ({}, []))
        if shares != expected:
            turns = []
        self.turns[pool] = (shares, turns)
        turns.append(first)
        window = round(sum(shares.values()))
        if len(turns) >= window:
            assert Counter(turns[-window:]) == shares, "somebody got more turns than its weight, or fewer"

    def tell(self, walk: Walk, event: str, *arguments: object) -> None:
        """Something happens to a request; what there is to report is in the mail."""
        self.mail += walk.happens(event, *arguments)
        if walk.is_done:
            self.walks.remove(walk)

    def fail(self, walk: Walk, disposition: EdgeDisposition, retry_after_s: float | None = None) -> None:
        self.tell(walk, "failed", Outcome(disposition, retry_after_s=retry_after_s))

    def deliver(self, letter: Letter) -> None:
        """It may have come before: then nothing may come of it."""
        before, latest, now = self.states(), self.it.health.latest, self.clock()
        effect = self.it.reports.apply(letter.decision_id, letter.event)
        after = self.states()
        if now - self.delivered.get(letter, -KEPT_S) < KEPT_S:
            assert after == before, "a report counted twice"
        elif effect == "applied" and not isinstance(letter.event, Closed | Content):
            self.delivered[letter] = now
        for scope in before.keys() | after.keys():
            self._check_change(letter, scope, before.get(scope, WELL), after.get(scope, WELL), latest)

    def _check_change(self, letter: Letter, scope: str, before: Health, after: Health, latest: int) -> None:
        event = letter.event
        if before == after:
            return
        if isinstance(event, Closed | Content):
            assert isinstance(event, Closed) or scope not in self.scopes.get(event.target_id, ())
            assert before.probe_holder == letter.decision_id
            assert (after.generation, after.cooling_until_at) == (before.generation, before.cooling_until_at)
            assert not after.probe_holder
            self.leases.pop(scope, None)
            return
        is_older = event.health_generation < before.generation
        if isinstance(event, Failed):
            assert scope == self._scope_of(event), "a failure is of one scope"
            assert before.cooling_until_at is None or (after.cooling_until_at or 0.0) >= before.cooling_until_at
            assert not is_older or (after.generation, after.tallies) == (before.generation, before.tallies)
        else:
            assert scope in self.scopes[event.target_id]
            assert not is_older, "a success of an older generation cleared"
            assert self.availability(scope) is READY
        if after.generation != before.generation:
            assert after.generation > latest
            self.leases.pop(scope, None)

    def _scope_of(self, event: Failed) -> str:
        target, credential, model = self.scopes[event.target_id]
        if event.disposition in (Disposition.QUOTA, Disposition.CREDENTIAL):
            return credential
        return model if event.disposition is Disposition.MODEL_MISSING else target

    def deliver_all(self) -> None:
        letters, self.mail = self.mail, []
        for letter in letters:
            self.deliver(letter)

    def reload(self, text: str) -> None:
        before = self.states()
        assert asyncio.run(self.it.configuration.offer(text.encode())) == (text != self.text)
        self.text = text
        assert self.it.configuration.current.catalog == config_yaml.load(text)
        assert self.states() == before
