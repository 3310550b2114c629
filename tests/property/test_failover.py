"""Whatever happens to a request, and in whatever order, the failover machine keeps its promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_service.domain.failover import (
    Cancel,
    Command,
    Ending,
    Failover,
    Finish,
    IllegalEventError,
    Open,
    Relay,
    ReportClosed,
    ReportContent,
    ReportEnded,
    ReportFailed,
    State,
)
from edge_service.domain.outcome import AMBIGUOUS, MOVES_ON, Disposition, Outcome
from edge_service.domain.plan import Attempt, Plan

UNFIT = Outcome(Disposition.CLIENT_FAULT, detail="tools", is_unfit=True)
dispositions = st.sampled_from(Disposition)
policies = st.frozensets(dispositions, max_size=len(Disposition))
outcomes = st.builds(
    Outcome,
    disposition=dispositions,
    status=st.sampled_from([0, 200, 400, 402, 429, 500, 503, 529]),
    retry_after_s=st.none() | st.floats(0, 1000),
    detail=st.text(max_size=3),
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    targets = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 1))
    attempts = [
        Attempt(f"p{p}/m{m}#{k}", f"p{p}", "openai", "", f"m{m}", f"env:{k}", never=draw(policies), also=draw(policies))
        for p, m, k in draw(st.lists(targets, min_size=1, max_size=8, unique=True))
    ]
    return Plan("decision", tuple(attempts), attempts_allowed=draw(st.integers(1, 7)), total_s=1.0)


EVENTS = ("resolved", "failed", "unfit", "content", "ended", "client_gone", "expired", "draining")
LEGAL: dict[State, frozenset[str]] = {
    State.RESOLVING: frozenset({"resolved", "client_gone"}),
    State.ATTEMPTING: frozenset({"failed", "unfit", "content", "ended", "client_gone", "expired", "draining"}),
    State.RELAYING: frozenset({"failed", "ended", "client_gone", "draining"}),
    State.DONE: frozenset(),
}

# After any of these nothing is opened.
ENDING = frozenset({"content", "ended", "client_gone", "expired", "draining"})


def snapshot(machine: Failover) -> list[str]:
    """The whole of its state."""
    return [repr(getattr(machine, name, None)) for name in Failover.__slots__]


def shares_the_cause(attempt: Attempt, failed: Attempt, outcome: Outcome) -> bool:
    """Whether it must fail as this one did."""
    if attempt.provider != failed.provider:
        return False
    if outcome.disposition is Disposition.MODEL_MISSING:
        return attempt.upstream_model == failed.upstream_model
    return (
        outcome.disposition in (Disposition.QUOTA, Disposition.CREDENTIAL)
        and attempt.credential_ref == failed.credential_ref
    )


class Walks(RuleBasedStateMachine):
    """Any events in any order, the illegal among them, and what must hold after each."""

    @initialize(plan=plans(), acts=st.booleans())
    def begin(self, plan: Plan, acts: bool) -> None:
        self.plan = plan
        self.acts = acts
        self.machine = Failover()
        self.commands: list[Command] = []
        self.events: list[str] = []
        self.failures: list[Outcome] = []

    def happens(self, event: str, happen: Callable[..., list[Command]], *arguments: Any) -> None:
        self.events.append(event)
        given = happen(*arguments)
        assert given, "every event is answered"
        opens = [command for command in given if isinstance(command, Open)]
        assert opens in ([], [given[-1]]), "an open is the last thing to do"
        assert not (opens and ENDING.intersection(self.events))
        self.commands += given

    @precondition(lambda self: self.machine.state is State.RESOLVING)
    @rule()
    def resolved(self) -> None:
        self.happens("resolved", self.machine.resolved, self.plan, lambda: self.acts)

    @precondition(lambda self: "failed" in LEGAL[self.machine.state])
    @rule(outcome=outcomes)
    def failed(self, outcome: Outcome) -> None:
        self.failures.append(outcome)
        self.happens("failed", self.machine.failed, outcome)

    @precondition(lambda self: self.machine.state is State.ATTEMPTING)
    @rule(outcome=st.builds(Outcome, st.sampled_from(sorted(MOVES_ON))))
    def failed_so_that_it_moves_on(self, outcome: Outcome) -> None:
        self.failed(outcome)

    @precondition(lambda self: "unfit" in LEGAL[self.machine.state])
    @rule()
    def unfit(self) -> None:
        self.failures.append(UNFIT)
        self.happens("unfit", self.machine.unfit, UNFIT.detail)

    @precondition(lambda self: bool(LEGAL[self.machine.state] - {"resolved", "failed", "unfit"}))
    @rule(data=st.data())
    def anything_else(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(sorted(LEGAL[self.machine.state] - {"resolved", "failed", "unfit"})))
        self.happens(event, getattr(self.machine, event))

    @rule(event=st.sampled_from(EVENTS), outcome=outcomes)
    def an_illegal_event(self, event: str, outcome: Outcome) -> None:
        if event in LEGAL[self.machine.state]:
            return
        arguments: dict[str, tuple[object, ...]] = {
            "resolved": (self.plan,),
            "failed": (outcome,),
            "unfit": ("tools",),
        }
        before = snapshot(self.machine)
        try:
            getattr(self.machine, event)(*arguments.get(event, ()))
        except IllegalEventError:
            assert snapshot(self.machine) == before
        else:
            raise AssertionError(f"'{event}' was taken while {self.machine.state}")

    def of(self, *kinds: type) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kinds)]

    @invariant()
    def every_open_is_reported_once_as_failed_or_ended(self) -> None:
        opened = [c.attempt for c in self.of(Open)]
        reported = [c.attempt for c in self.of(ReportFailed, ReportEnded)]
        if self.machine.state in (State.ATTEMPTING, State.RELAYING):
            assert reported == opened[:-1]
        else:
            assert reported == opened

    @invariant()
    def a_report_is_about_the_attempt_under_way(self) -> None:
        under_way = None
        for command in self.commands:
            match command:
                case Open(attempt):
                    assert under_way is None
                    under_way = attempt
                case ReportContent(attempt):
                    assert attempt == under_way
                case ReportFailed(attempt) | ReportEnded(attempt):
                    assert attempt == under_way
                    under_way = None
                case Cancel() | Relay():
                    assert under_way is not None

    @invariant()
    def the_decision_is_closed_once_and_nothing_but_the_finish_follows(self) -> None:
        done = self.machine.state is State.DONE
        assert len(self.of(Finish)) == done
        assert len(self.of(ReportClosed, ReportEnded)) == (done and "resolved" in self.events)
        if done:
            assert isinstance(self.commands[-1], Finish)
            assert "resolved" not in self.events or isinstance(self.commands[-2], ReportClosed | ReportEnded)

    @invariant()
    def targets_are_opened_in_the_plans_order_and_none_twice(self) -> None:
        opened = [c.attempt for c in self.of(Open)]
        places = [self.plan.attempts.index(attempt) for attempt in opened]
        assert places == sorted(set(places))
        tried = len(opened) - self.events.count("unfit")
        assert tried <= self.plan.attempts_allowed
        assert self.machine.opened == tried

    @invariant()
    def those_are_passed_over_that_share_the_cause_of_a_failure_and_no_others(self) -> None:
        walked = [(c.attempt, f) for c, f in zip(self.of(Open), self.failures, strict=False)]
        opened = [c.attempt for c in self.of(Open)]
        for place, attempt in enumerate(self.plan.attempts):
            ahead_of = [pair for pair in walked if self.plan.attempts.index(pair[0]) < place]
            if attempt in opened:
                assert not any(shares_the_cause(attempt, *pair) for pair in ahead_of)
            elif opened and place < self.plan.attempts.index(opened[-1]):
                assert any(shares_the_cause(attempt, *pair) for pair in ahead_of)

    @invariant()
    def what_does_not_move_on_does_not(self) -> None:
        opened = self.of(Open)
        moves = [(a.attempt, f) for a, f in zip(opened, self.failures, strict=False)][: len(opened) - 1]
        for attempt, failure in moves:
            if failure is UNFIT:
                continue
            disposition = failure.disposition
            assert disposition in attempt.also or (disposition in MOVES_ON and disposition not in attempt.never)
            if self.acts:
                assert disposition in attempt.also or disposition not in AMBIGUOUS
        assert sum(failure.disposition in AMBIGUOUS for _, failure in moves) <= 1

    @invariant()
    def the_answer_is_begun_at_most_once_and_whoever_was_served_got_one(self) -> None:
        assert len(self.of(Relay)) <= 1
        assert len(self.of(ReportContent)) <= 1
        for finish in self.of(Finish):
            assert bool(self.of(Relay)) or finish.ending in (Ending.FAILED, Ending.GONE)
            match finish.ending:
                case Ending.SERVED:
                    assert len(self.of(ReportEnded)) == 1
                    assert finish.outcome is None
                case Ending.FAILED:
                    assert not self.of(Relay)
                    assert finish.outcome in [c.outcome for c in self.of(ReportFailed)]
                case Ending.INTERRUPTED:
                    assert self.of(ReportContent)
                    assert finish.outcome == self.of(ReportFailed)[-1].outcome
                case Ending.GONE:
                    assert self.events[-1] == "client_gone"
                    assert finish.outcome is None

    @invariant()
    def an_attempt_is_broken_off_where_something_else_than_itself_ended_it(self) -> None:
        from_outside = {"client_gone", "expired", "draining"} & set(self.events) and "resolved" in self.events
        assert len(self.of(Cancel)) == bool(from_outside)

    def teardown(self) -> None:
        """It always ends: a target that keeps failing exhausts the plan."""
        if not hasattr(self, "machine"):
            return
        if self.machine.state is State.RESOLVING:
            self.resolved()
        for _ in range(len(self.plan.attempts)):
            if self.machine.state is not State.DONE:
                self.failed(Outcome(Disposition.RATE_LIMITED))
        assert self.machine.state is State.DONE
        self.every_open_is_reported_once_as_failed_or_ended()
        self.the_decision_is_closed_once_and_nothing_but_the_finish_follows()
        self.targets_are_opened_in_the_plans_order_and_none_twice()


TestWalks = Walks.TestCase
TestWalks.settings = settings(max_examples=150, stateful_step_count=15)
