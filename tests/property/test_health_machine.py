"""The health of one target while several edges use it and report as they like: late, twice, and in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from resolver_service.domain.health import (
    PROBE_LEASE_S,
    RULES,
    TOLD,
    WELL,
    Availability,
    Health,
    failed,
    probe_returned,
    probe_taken,
    succeeded,
)
from resolver_service.domain.policy import CoolDownBounds, Disposition

BOUNDS = [CoolDownBounds(), CoolDownBounds(0.1, 2.0), CoolDownBounds(25.0, 3600.0)]
LONGEST_S = max(bounds.max_s for bounds in BOUNDS)


@dataclass(frozen=True)
class Attempt:
    """What an edge knows when it reports."""

    decision: str
    generation: int
    probe: bool


class HealthMachine(RuleBasedStateMachine):
    attempts = Bundle("attempts")

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.health = WELL
        self.bounds = BOUNDS[0]
        self.decisions = 0
        self.lease: tuple[str, float] | None = None
        """Who holds the probe and until when, as this test has counted it."""

    def _decision(self) -> str:
        self.decisions += 1
        return f"decision-{self.decisions}"

    # --- What happens ---

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 30.0, 59.0, 60.0, 301.0, 3601.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(bounds=st.sampled_from(BOUNDS))
    def the_configuration_changes(self, bounds: CoolDownBounds) -> None:
        self.bounds = bounds

    @rule(target=attempts)
    def an_edge_gets_a_plan(self) -> object:
        availability = self.health.availability(self.now)
        if availability is Availability.OUT:
            return multiple()
        decision = self._decision()
        if availability is Availability.READY:
            return Attempt(decision, self.health.generation, probe=False)
        assert self.lease is None or self.lease[1] <= self.now, "two probes are out at a time"
        before = self.health
        self.health = probe_taken(before, holder=decision, now=self.now)
        self.lease = (decision, self.now + PROBE_LEASE_S)
        assert self.health.availability(self.now) is Availability.OUT
        assert self.health.generation == before.generation
        assert self.health.cooling_until_at == before.cooling_until_at
        return Attempt(decision, self.health.generation, probe=True)

    @rule(target=attempts)
    def an_edge_tries_it_as_the_least_bad(self) -> object:
        return Attempt(self._decision(), self.health.generation, probe=False)

    @rule(target=attempts, ahead=st.integers(1, 3))
    def an_edge_has_a_plan_of_a_resolver_that_knew_more(self, ahead: int) -> object:
        return Attempt(self._decision(), self.health.generation + ahead, probe=False)

    @rule(
        attempt=attempts,
        disposition=st.sampled_from(Disposition),
        told_s=st.none() | st.sampled_from([0.0, 1.0, 20.0, 290.0, 86_400.0]),
        times=st.integers(1, 3),
    )
    def a_failure_is_reported(
        self, attempt: Attempt, disposition: Disposition, told_s: float | None, times: int
    ) -> None:
        for _ in range(times):
            self._fail(attempt, disposition, told_s)

    @rule(attempt=attempts)
    def a_success_is_reported(self, attempt: Attempt) -> None:
        before = self.health
        self.health = after = succeeded(before, generation=attempt.generation)
        if attempt.generation < before.generation:
            assert after == before
            return
        assert after.availability(self.now) is Availability.READY
        assert not after.tallies
        if before.cooling_until_at is None:
            assert after.generation == before.generation
        else:
            assert after.generation > max(before.generation, attempt.generation)
            self.lease = None

    @rule(attempt=attempts)
    def a_decision_is_closed(self, attempt: Attempt) -> None:
        before = self.health
        self.health = after = probe_returned(before, holder=attempt.decision)
        assert replace(after, probe_holder="", probe_until_at=0) == replace(before, probe_holder="", probe_until_at=0)
        if self.lease is not None and self.lease[0] == attempt.decision:
            self.lease = None
        else:
            assert after == before

    def _fail(self, attempt: Attempt, disposition: Disposition, told_s: float | None) -> None:
        before = self.health
        self.health = after = failed(
            before,
            generation=attempt.generation,
            disposition=disposition,
            retry_after_s=told_s,
            now=self.now,
            bounds=self.bounds,
        )
        assert after.generation >= before.generation
        if before.cooling_until_at is not None:
            assert after.cooling_until_at is not None, "a failure cleared it"
            assert after.cooling_until_at >= before.cooling_until_at, "a report shortened a cool-down"
        if disposition not in RULES:
            assert after == before
        elif attempt.generation < before.generation:
            self._check_older(before, after, told_s if disposition in TOLD else None)
        else:
            self._check_counted(attempt, before, after, disposition)
        self._check_bounds(before, after, told_s if disposition in TOLD else None)

    def _check_bounds(self, before: Health, after: Health, told_s: float | None) -> None:
        until_at = after.cooling_until_at
        if until_at is None or until_at == before.cooling_until_at:
            return
        assert until_at <= self.now + self.bounds.max_s, "it cools for longer than any may"
        if told_s is not None:
            assert until_at >= self.now + self.bounds.min_s, "it cools for less than any is asked for"
            assert until_at == self.now + sorted((self.bounds.min_s, told_s, self.bounds.max_s))[1]

    def _check_older(self, before: Health, after: Health, told_s: float | None) -> None:
        assert replace(after, cooling_until_at=None) == replace(before, cooling_until_at=None)
        if told_s is None or before.cooling_until_at is None:
            assert after == before

    def _check_counted(self, attempt: Attempt, before: Health, after: Health, disposition: Disposition) -> None:
        cooldowns = sum(t.cooldowns for t in after.tallies.values()) - sum(t.cooldowns for t in before.tallies.values())
        if after.generation == before.generation:
            # It was counted, and that was not enough yet.
            assert cooldowns == 0
            assert before.availability(self.now) is after.availability(self.now) is Availability.READY
            assert sum(t.failures for t in after.tallies.values()) == 1 + sum(
                t.failures for t in before.tallies.values()
            )
        else:
            assert cooldowns == 1
            assert after.generation > attempt.generation
            assert after.availability(self.now) is Availability.OUT
            assert after.reason is disposition
            self.lease = None

    # --- What always holds ---

    @invariant()
    def nobody_is_ready_while_cooling(self) -> None:
        availability = self.health.availability(self.now)
        if self.health.cooling_until_at is None:
            assert availability is Availability.READY
        elif self.now < self.health.cooling_until_at:
            assert availability is Availability.OUT
        else:
            assert availability is not Availability.READY

    @invariant()
    def who_is_out_knows_until_when_and_nobody_else_waits(self) -> None:
        wait_s = self.health.retry_after_s(self.now)
        assert (wait_s > 0) == (self.health.availability(self.now) is Availability.OUT)
        assert wait_s <= LONGEST_S
        assert self.health.availability(self.now + wait_s) is not Availability.OUT

    @invariant()
    def who_holds_the_probe_is_known(self) -> None:
        holder, until_at = self.lease or ("", 0.0)
        assert (self.health.probe_holder, self.health.probe_until_at) == (holder, until_at)

    def teardown(self) -> None:
        # Whatever has happened and whoever never reports again: it is tried again.
        if hasattr(self, "health"):
            later = self.now + LONGEST_S + PROBE_LEASE_S
            assert self.health.availability(later) is not Availability.OUT


HealthMachine.TestCase.settings = settings(max_examples=400, stateful_step_count=40)
test_health_machine = HealthMachine.TestCase
