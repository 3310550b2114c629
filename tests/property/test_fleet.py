"""Edges, the resolver and the way between them, all at once: whatever the providers answer, and in whatever order the
reports of it arrive, more than once or never, the promises hold."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_service.domain.failover import State
from edge_service.domain.outcome import MOVES_ON, Outcome
from edge_service.domain.outcome import Disposition as EdgeDisposition
from resolver_service.app.operate import UnknownTargetError
from resolver_service.domain.config import ConfigError
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.domain.selection import targets_of
from tests.property.fleet import CONFIG, CONFIGS, INVALID, LONGEST_S, OUT, POOLS_BEHIND, READY, TARGETS, Fleet, Walk

names = st.sampled_from(sorted(POOLS_BEHIND))
places = st.integers(0, 2) | st.integers(0, 63)
"""Counted from the latest: what happens to the same one again and again is what is interesting."""
told = st.none() | st.none() | st.sampled_from([0.0, 20.0, 86_400.0])


class FleetMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="forebay-fleet-")
        self.it = Fleet(CONFIG, Path(self._directory.name))

    def one_of_those_under_way(self, place: int) -> Walk:
        return self.it.walks[-1 - place % len(self.it.walks)]

    # --- What happens at the edges ---

    @rule(model=names, times=st.integers(1, 5))
    def requests_come(self, model: str, times: int) -> None:
        for _ in range(times):
            self.it.ask(model)

    @precondition(lambda self: self.it.walks)
    @rule(place=places, disposition=st.sampled_from(EdgeDisposition), retry_after_s=told)
    def an_attempt_fails(self, place: int, disposition: EdgeDisposition, retry_after_s: float | None) -> None:
        self.it.fail(self.one_of_those_under_way(place), disposition, retry_after_s)

    @precondition(lambda self: self.it.walks)
    @rule(place=places, disposition=st.sampled_from(sorted(MOVES_ON)), retry_after_s=told)
    def it_fails_so_that_it_moves_on(
        self, place: int, disposition: EdgeDisposition, retry_after_s: float | None
    ) -> None:
        self.it.fail(self.one_of_those_under_way(place), disposition, retry_after_s)

    @precondition(lambda self: self.it.walks)
    @rule(place=places, dispositions=st.lists(st.sampled_from(sorted(MOVES_ON)), min_size=2, max_size=9))
    def it_fails_again_and_again(self, place: int, dispositions: list[EdgeDisposition]) -> None:
        walk = self.one_of_those_under_way(place)
        for disposition in dispositions:
            if not walk.is_done:
                self.it.fail(walk, disposition)

    @rule(
        model=names | st.just("last"),
        disposition=st.sampled_from(sorted(MOVES_ON)),
        retry_after_s=told,
        times=st.integers(1, 6),
    )
    def one_fails_and_is_told_of_at_once(
        self, model: str, disposition: EdgeDisposition, retry_after_s: float | None, times: int
    ) -> None:
        """As often as it takes to cool even what has to fail five times."""
        for _ in range(times):
            walk = self.it.ask(model)
            if walk is not None:
                already = len(self.it.mail)
                self.it.fail(walk, disposition, retry_after_s)
                letters, self.it.mail = self.it.mail[already:], self.it.mail[:already]
                for letter in letters:
                    self.it.deliver(letter)

    @precondition(lambda self: self.it.walks)
    @rule(place=places, event=st.sampled_from(["content", "ended", "ended", "client_gone", "expired", "draining"]))
    def something_else_happens_to_it(self, place: int, event: str) -> None:
        walk = self.one_of_those_under_way(place)
        if walk.machine.state is State.RELAYING and event in ("content", "expired"):
            event = "ended"
        self.it.tell(walk, event)

    @rule(model=names, event=st.sampled_from(["ended", "failed", "client_gone", "draining"]))
    def one_comes_to_content_and_then_to_its_end(self, model: str, event: str) -> None:
        walk = self.it.ask(model)
        if walk is not None:
            self.it.tell(walk, "content")
            self.it.tell(walk, event, *([Outcome(EdgeDisposition.BROKEN)] if event == "failed" else []))

    @rule(model=names)
    def thirty_two_meet_the_same_limit(self, model: str) -> None:
        walks = [walk for _ in range(32) if (walk := self.it.ask(model)) is not None]
        if not walks:
            return
        target = walks[-1].under_way
        its = [walk for walk in walks if walk.under_way.target_id == target.target_id]
        already = len(self.it.mail)
        for walk in its:
            self.it.fail(walk, EdgeDisposition.RATE_LIMITED)
        letters, self.it.mail = self.it.mail[already:], self.it.mail[:already]
        before, told_before = self.it.it.health.get(target.target_id), len(self.it.it.told)
        for letter in letters:
            self.it.deliver(letter)
        after = self.it.it.health.get(target.target_id)
        assert self.it.availability(target.target_id) is OUT
        changes = [c for c in self.it.it.told[told_before:] if c.scope == target.target_id and c.state == "cooling"]
        assert len(changes) == 1, "one limit was counted more than once"
        assert after.tallies["rate"].cooldowns == 1 + (
            before.tallies["rate"].cooldowns if "rate" in before.tallies else 0
        )
        for walk in set(map(id, walks)) & set(map(id, self.it.walks)):
            self.it.tell(next(w for w in walks if id(w) == walk), "client_gone")

    # --- What happens to reports ---

    @precondition(lambda self: self.it.mail)
    @rule()
    def all_arrive(self) -> None:
        self.it.deliver_all()

    @precondition(lambda self: self.it.mail)
    @rule(place=places, times=st.integers(1, 2))
    def one_overtakes_the_others_and_may_come_twice(self, place: int, times: int) -> None:
        letter = self.it.mail.pop(-1 - place % len(self.it.mail))
        for _ in range(times):
            self.it.deliver(letter)

    @precondition(lambda self: self.it.delivered)
    @rule(place=places)
    def one_comes_once_more(self, place: int) -> None:
        self.it.deliver(list(self.it.delivered)[-1 - place % len(self.it.delivered)])

    @precondition(lambda self: self.it.mail)
    @rule(place=places)
    def one_gets_lost(self, place: int) -> None:
        self.it.mail.pop(-1 - place % len(self.it.mail))

    # --- What happens to the resolver ---

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 59.0, 60.0, 301.0, 601.0]))
    def time_passes(self, seconds: float) -> None:
        self.it.clock.advance(seconds)

    @rule(what=st.sampled_from(["restart", INVALID, *CONFIGS]))
    def the_resolver_restarts_or_is_offered_a_configuration(self, what: str) -> None:
        if what == "restart":
            self.it.restart()
        elif what == INVALID:
            revision = self.it.it.configuration.current
            with pytest.raises(ConfigError):
                asyncio.run(self.it.it.configuration.offer(INVALID.encode()))
            assert self.it.it.configuration.current is revision
        else:
            self.it.reload(what)

    @rule(target_id=st.sampled_from(TARGETS))
    def an_operator_clears(self, target_id: str) -> None:
        if target_id not in self.it.scopes:
            with pytest.raises(UnknownTargetError):
                self.it.it.operator.clear(target_id)
            return
        self.it.it.operator.clear(target_id)
        for scope in self.it.scopes[target_id]:
            assert self.it.availability(scope) is READY
            self.it.leases.pop(scope, None)

    @rule(target_id=st.sampled_from(TARGETS), drained=st.booleans())
    def an_operator_drains(self, target_id: str, drained: bool) -> None:
        is_known = target_id in self.it.scopes or (not drained and target_id in self.it.it.drains.drained())
        change = self.it.it.operator.drain if drained else self.it.it.operator.undrain
        if is_known:
            change(target_id)
            assert (target_id in self.it.it.drains.drained()) == drained
        else:
            with pytest.raises(UnknownTargetError):
                change(target_id)

    # --- What always holds ---

    @invariant()
    def probes_are_held_by_whom_they_were_given_to_and_for_no_longer_than_their_lease(self) -> None:
        now = self.it.clock()
        for scope, health in self.it.states().items():
            if health.probe_until_at > now:
                assert self.it.leases[scope] == (health.probe_holder, health.probe_until_at)
                assert health.probe_until_at <= now + PROBE_LEASE_S

    @invariant()
    def nobody_is_out_for_longer_than_the_longest_cool_down(self) -> None:
        now = self.it.clock()
        assert all(health.retry_after_s(now) <= LONGEST_S for health in self.it.states().values())

    def teardown(self) -> None:
        if hasattr(self, "it"):
            try:
                self.all_comes_to_a_good_end()
            finally:
                self.it.end()
                self._directory.cleanup()

    def all_comes_to_a_good_end(self) -> None:
        """Every request ends; and once providers are well again, all of them serve."""
        for walk in list(self.it.walks):
            for _ in range(len(walk.decision.attempts)):
                if not walk.is_done:
                    self.it.fail(walk, EdgeDisposition.RATE_LIMITED)
            assert walk.is_done
        self.it.deliver_all()
        for target_id in set(self.it.it.drains.drained()):
            self.it.it.operator.undrain(target_id)
        self.it.clock.advance(LONGEST_S + PROBE_LEASE_S)
        for model in POOLS_BEHIND:
            for _ in range(len(TARGETS)):
                assert self.it.available(model)
                walk = self.it.ask(model)
                assert walk is not None
                self.it.tell(walk, "ended")
                self.it.deliver_all()
            entry = self.it.it.configuration.current.catalog.find(model)
            assert entry is not None
            assert {t.id for t in targets_of(entry)} == set(self.it.available(model)), "somebody is out for good"


FleetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_fleet_machine = FleetMachine.TestCase
