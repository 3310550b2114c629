"""How many requests are in flight where, whatever is reported of them: late, twice, in any order, or never."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from resolver_service.app.decisions import Decision, Query
from resolver_service.app.leases import GRACE_S
from resolver_service.app.refusals import NoTargetError
from resolver_service.app.report import Closed, Ended, Failed
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

LIMITS = {"a": 1, "b": 2, "c": 3}
CONFIG = (
    "providers:\n"
    + "".join(
        f"  - {{id: {name}, dialect: openai, base-url: 'https://{name}.test', models: [m], max-concurrent: {most}}}\n"
        for name, most in LIMITS.items()
    )
    + "  - {id: free, dialect: openai, base-url: 'https://free.example', models: [m]}\n"
    + "policy: {timeouts: {total: 100s, stream: 200s}}\n"
    + "model-pools: {pools: [{id: some, members: [{provider: c, model: m}, {provider: a, model: m}]}]}\n"
)
TARGETS = [f"{name}/m#0" for name in (*LIMITS, "free")]
SOME = ["a/m#0", "c/m#0"]
"""Those of the pool `some`, which can all be full."""
LONGEST_S = 300 + GRACE_S + 5
CALLERS = [None, "edge 1", "edge 2"]


def most_at(target_id: str) -> float:
    return LIMITS.get(target_id.partition("/")[0], float("inf"))


class AnyReports(RuleBasedStateMachine):
    """Callers that say anything, beside a book that is kept in the dullest way."""

    decisions: Bundle[str] = Bundle("decisions")

    def __init__(self) -> None:
        super().__init__()
        self.it = Resolving(CONFIG)
        self.book: dict[str, tuple[list[str], float, str | None]] = {}
        """By decision: the targets that are left, when it lapses, who asked."""

    def forget(self) -> None:
        self.book = {d: entry for d, entry in self.book.items() if entry[1] > self.it.clock.now}

    def in_flight(self) -> Counter[str]:
        return Counter(left[0] for left, _, _ in self.book.values())

    @rule(target=decisions, model=st.sampled_from(["m", "some"]), stream=st.booleans(), caller=st.sampled_from(CALLERS))
    def a_plan_is_asked_for(self, model: str, stream: bool, caller: str | None) -> str:
        self.forget()
        before = self.in_flight()
        try:
            decision = self.it.resolver.resolve(Query(model, will_report=True, stream=stream), caller)
        except NoTargetError:
            assert model == "some"
            assert all(before[t] >= most_at(t) for t in SOME)
            return "none"
        targets = [a.target.id for a in decision.attempts]
        assert all(before[t] < most_at(t) for t in targets)
        self.book[decision.id] = (targets, self.it.clock.now + (300 if stream else 100) + GRACE_S, caller)
        return decision.id

    @rule(decision=decisions, target_id=st.sampled_from(TARGETS), times=st.integers(1, 2))
    def a_failure_is_reported(self, decision: str, target_id: str, times: int) -> None:
        for _ in range(times):
            self.it.reports.apply(decision, Failed(target_id, 0, Disposition.CLIENT_FAULT, None))
            left, until_at, caller = self.book.get(decision, ([], 0.0, None))
            if target_id in left:
                left = left[left.index(target_id) + 1 :]
                self.book[decision] = (left, until_at, caller)
                if not left:
                    del self.book[decision]

    @rule(decision=decisions, target_id=st.sampled_from(TARGETS))
    def an_end_is_reported(self, decision: str, target_id: str) -> None:
        self.it.reports.apply(decision, Ended(target_id, 0))
        if target_id in self.book.get(decision, ([],))[0]:
            del self.book[decision]

    @rule(decision=decisions)
    def it_is_closed(self, decision: str) -> None:
        self.it.reports.apply(decision, Closed())
        self.book.pop(decision, None)

    @rule(caller=st.sampled_from(CALLERS[1:]))
    def an_edge_leaves(self, caller: str) -> None:
        self.it.resolver.caller_left(caller)
        soon = self.it.clock.now + GRACE_S
        for decision, (left, until_at, its) in self.book.items():
            if its == caller:
                self.book[decision] = (left, min(until_at, soon), its)

    @rule(steps=st.integers(1, 80))
    def time_passes(self, steps: int) -> None:
        self.it.clock.advance(5.0 * steps)

    @invariant()
    def the_books_agree(self) -> None:
        self.it.in_flight.forget(self.it.clock.now)
        self.forget()
        assert dict(self.it.in_flight.counts) == self.in_flight()
        assert len(self.it.in_flight) == len(self.book)

    def teardown(self) -> None:
        self.it.clock.advance(LONGEST_S)
        self.it.explain("m")
        assert not self.it.in_flight.counts
        assert len(self.it.in_flight) == 0


class InOrder(RuleBasedStateMachine):
    """Edges that report everything at once, in order: no target gets a request too many to begin with."""

    walks: Bundle[tuple[Decision, list[str]]] = Bundle("walks")

    def __init__(self) -> None:
        super().__init__()
        self.it = Resolving(CONFIG)
        self.trying: Counter[str] = Counter()

    @rule(target=walks, model=st.sampled_from(["m", "some"]))
    def a_request_comes(self, model: str) -> tuple[Decision, list[str]] | None:
        try:
            decision = self.it.decide(model)
        except NoTargetError:
            assert model == "some"
            assert all(self.trying[t] >= most_at(t) for t in SOME)
            return None
        left = [a.target.id for a in decision.attempts]
        self.trying[left[0]] += 1
        assert self.trying[left[0]] <= most_at(left[0])
        return decision, left

    @rule(walk=walks)
    def its_attempt_fails(self, walk: tuple[Decision, list[str]] | None) -> None:
        if walk is not None and len(walk[1]) > 1:
            self.trying[walk[1][0]] -= 1
            self.it.reports.apply(walk[0].id, Failed(walk[1].pop(0), 0, Disposition.CLIENT_FAULT, None))
            self.trying[walk[1][0]] += 1

    @rule(walk=consumes(walks), serves=st.booleans())
    def it_ends(self, walk: tuple[Decision, list[str]] | None, serves: bool) -> None:
        if walk is not None:
            self.trying[walk[1][0]] -= 1
            if serves:
                self.it.reports.apply(walk[0].id, Ended(walk[1][0], 0))
            self.it.reports.apply(walk[0].id, Closed())

    @invariant()
    def what_is_in_flight_is_known(self) -> None:
        assert dict(self.it.in_flight.counts) == +self.trying


AnyReports.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
InOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_any_reports = AnyReports.TestCase
test_in_order = InOrder.TestCase
