"""Health by scope while several edges use one resolver and report as they like: late, twice, and in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from resolver_service.app.decisions import Decision
from resolver_service.app.refusals import NoTargetError
from resolver_service.app.report import Ended, Event, Failed
from resolver_service.domain.health import PROBE_LEASE_S, Availability, Health, scope_failed
from resolver_service.domain.policy import CoolDownBounds, Disposition
from tests.support.resolving import Resolving

CONFIG = """
providers:
  - {id: a, dialect: openai, base-url: "https://a.example", models: [x, y, "x#1"], credentials: [env:A, env:B]}
  - {id: b, dialect: openai, base-url: "https://b.example", models: [x, y]}
"""
OUT, PROBE, READY = Availability.OUT, Availability.PROBE, Availability.READY


@dataclass
class Planned:
    """A decision as its edge knows it."""

    decision: Decision
    sent: list[Event] = field(default_factory=list)


class ScopesMachine(RuleBasedStateMachine):
    plans = Bundle("plans")

    @initialize()
    def begin(self) -> None:
        self.it = Resolving(CONFIG)
        self.scopes = self.it.configuration.current.catalog.scopes
        self.leases: dict[str, tuple[str, float]] = {}
        """By scope: the decision that was handed the probe, and until when it has it."""

    def _availability(self, scope: str) -> Availability:
        return self.it.health.get(scope).availability(self.it.clock())

    def _states(self) -> dict[str, Health]:
        return {scope: self.it.health.get(scope) for scope in self.it.health.scopes()}

    # --- What happens ---

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 59.0, 60.0, 301.0]))
    def time_passes(self, seconds: float) -> None:
        self.it.clock.advance(seconds)

    @rule(target=plans, model=st.sampled_from(["x", "y", "x#1"]), will_report=st.booleans())
    def an_edge_asks(self, model: str, will_report: bool) -> object:
        now = self.it.clock()
        before = {scope: self._availability(scope) for scopes in self.scopes.values() for scope in scopes}
        try:
            decision = self.it.decide(model, will_report=will_report)
        except NoTargetError:
            behind = [s for t, s in self.scopes.items() if t.rpartition("#")[0].partition("/")[2] == model]
            assert all(any(before[scope] is OUT for scope in scopes) for scopes in behind)
            return multiple()
        for attempt in decision.attempts:
            its = [before[scope] for scope in attempt.target.scopes]
            assert OUT not in its
            assert attempt.probe == (will_report and PROBE in its)
            assert attempt.health_generation == self.it.health.latest
            for scope in attempt.target.scopes if attempt.probe else ():
                if before[scope] is PROBE:
                    holder, until_at = self.leases.get(scope, ("", 0.0))
                    assert holder in ("", decision.id) or until_at <= now, "two plans probe at a time"
                    self.leases[scope] = (decision.id, now + PROBE_LEASE_S)
                    assert self._availability(scope) is OUT
        return Planned(decision)

    @rule(
        planned=plans,
        place=st.integers(0, 5),
        disposition=st.sampled_from(Disposition),
        told_s=st.none() | st.sampled_from([0.0, 20.0, 86_400.0]),
    )
    def a_failure_is_reported(
        self, planned: Planned, place: int, disposition: Disposition, told_s: float | None
    ) -> None:
        attempt = planned.decision.attempts[place % len(planned.decision.attempts)]
        event = Failed(attempt.target.id, attempt.health_generation, disposition, told_s)
        before = self._states()
        self._send(planned, event)
        changed = {scope for scope, health in self._states().items() if before.get(scope) != health}
        assert changed <= {scope_failed(attempt.target.scopes, disposition)}, "a failure is of one scope"
        for scope in changed:
            now, then = self.it.health.get(scope), before.get(scope, Health())
            if then.generation > attempt.health_generation:
                assert now.generation == then.generation, "an older report counted"
            if now.generation != then.generation:
                assert now.generation == self.it.health.latest
                self.leases.pop(scope, None)

    @rule(planned=plans, place=st.integers(0, 5))
    def a_success_is_reported(self, planned: Planned, place: int) -> None:
        attempt = planned.decision.attempts[place % len(planned.decision.attempts)]
        before = self._states()
        is_new = self._send(planned, Ended(attempt.target.id, attempt.health_generation))
        for scope, then in before.items():
            now = self.it.health.get(scope)
            if scope not in attempt.target.scopes or then.generation > attempt.health_generation:
                assert now == then
            elif is_new:
                assert self._availability(scope) is READY
                if now.generation != then.generation:
                    self.leases.pop(scope, None)

    def _send(self, planned: Planned, event: Failed | Ended) -> bool:
        """Whether it is the first of its kind about this attempt. The others, an edge would never send."""
        is_new = not any(type(e) is type(event) and e.target_id == event.target_id for e in planned.sent)  # type: ignore[union-attr]
        if is_new:
            planned.sent.append(event)
            self.it.reports.apply(planned.decision.id, event)
        return is_new

    @rule(planned=plans, times=st.integers(1, 2))
    def all_is_sent_again_within_ten_minutes(self, planned: Planned, times: int) -> None:
        began = self.it.clock.now
        for event in planned.sent * times:
            before = self._states()
            self.it.reports.apply(planned.decision.id, event)
            if began - 1000.0 < 600:  # Since the clock began: nothing has been forgotten yet.
                assert self._states() == before

    @rule(planned=plans)
    def a_decision_is_closed(self, planned: Planned) -> None:
        self.it.close(planned.decision)
        self.leases = {s: lease for s, lease in self.leases.items() if lease[0] != planned.decision.id}

    # --- What always holds ---

    @invariant()
    def generations_are_within_the_latest(self) -> None:
        assert all(health.generation <= self.it.health.latest for health in self._states().values())

    @invariant()
    def who_holds_a_probe_is_known(self) -> None:
        now = self.it.clock()
        for scope, health in self._states().items():
            if health.probe_until_at > now:
                assert self.leases[scope] == (health.probe_holder, health.probe_until_at)

    def teardown(self) -> None:
        # Whatever has happened and whoever never reports again: all of it is tried again.
        if hasattr(self, "it"):
            self.it.clock.advance(CoolDownBounds().max_s + PROBE_LEASE_S)
            assert all(self._availability(scope) is not OUT for scope in self.it.health.scopes())


ScopesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
test_scopes_machine = ScopesMachine.TestCase
