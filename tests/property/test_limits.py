"""What clients use of their limits, whatever is asked and reported: late, twice, in any order, or never, by edges that
come and go."""

from __future__ import annotations

import copy
import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from resolver_service.app.decisions import Query
from resolver_service.app.leases import GRACE_S
from resolver_service.app.limits import ClientLimitError
from resolver_service.app.report import Closed, Ended, Failed
from resolver_service.domain.abilities import Needs
from resolver_service.domain.clients import Client, Limits
from resolver_service.domain.limits import GRAIN_MS, WINDOW_MS, Usage, Window
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

STEPS_MS = st.one_of(st.integers(0, 3 * GRAIN_MS), st.sampled_from([500, 20_000, WINDOW_MS - 1, WINDOW_MS]))


@given(limit=st.integers(1, 20), steps_ms=st.lists(STEPS_MS, max_size=200))
def test_no_minute_has_more_requests_than_allowed_and_the_wait_is_exact(limit: int, steps_ms: list[int]) -> None:
    usage, limits, now_ms = Usage(), Limits(requests=limit), 0
    let_in: list[int] = []
    for step_ms in steps_ms:
        now_ms += step_ms
        refusal = usage.refusal(limits, now_ms)
        if refusal is None:
            usage.requests.add(1, now_ms)
            let_in.append(now_ms)
            assert sum(at > now_ms - WINDOW_MS for at in let_in) <= limit
        else:
            _, wait_ms = refusal
            assert 0 < wait_ms <= WINDOW_MS
            assert sum(at > now_ms - WINDOW_MS - GRAIN_MS for at in let_in) >= limit, "nobody is refused for nothing"
            assert copy.deepcopy(usage).refusal(limits, now_ms + wait_ms - 1) is not None
            assert copy.deepcopy(usage).refusal(limits, now_ms + wait_ms) is None


@given(uses=st.lists(st.tuples(STEPS_MS, st.integers(0, 1000)), max_size=100), data=st.data())
def test_a_window_knows_when_so_much_is_over(uses: list[tuple[int, int]], data: st.DataObject) -> None:
    window, now_ms = Window(), 0
    for step_ms, amount in uses:
        now_ms += step_ms
        window.add(amount, now_ms)
    used = window.used(now_ms)
    amount = data.draw(st.integers(1, used + 1))
    wait_ms = window.wait_ms(amount, now_ms)
    if amount > used:
        assert wait_ms is None
    else:
        assert wait_ms is not None
        before, after = (copy.deepcopy(window).used(now_ms + ms) for ms in (wait_ms - 1, wait_ms))
        assert used - before < amount <= used - after
    assert window.used(now_ms + window.reset_ms(now_ms)) == 0


KEY = hashlib.sha256(b"key").digest()
CALLERS = [None, "edge 1", "edge 2"]
TOTAL_S = 100
SPENT_S = TOTAL_S + GRACE_S + 5.001


def configuration(**limits: int) -> str:
    return json.dumps(
        {
            "providers": [{"id": "p", "dialect": "openai", "base-url": "https://p.test", "models": ["m"]}],
            "policy": {"timeouts": {"total": f"{TOTAL_S}s"}},
            "clients": [{"id": "c", "key-sha256": KEY.hex(), "limits": limits}],
        }
    )


class AnyReports(RuleBasedStateMachine):
    """One client, beside a book that is kept in the dullest way."""

    decisions: Bundle[str] = Bundle("decisions")

    @initialize(rpm=st.integers(1, 6), tpm=st.integers(1, 300), concurrent=st.integers(1, 3))
    def begin(self, rpm: int, tpm: int, concurrent: int) -> None:
        self.rpm, self.tpm, self.concurrent = rpm, tpm, concurrent
        self.it = Resolving(configuration(rpm=rpm, tpm=tpm, concurrent=concurrent))
        self.requests: list[float] = []
        self.tokens: list[tuple[float, int]] = []
        self.open: dict[str, tuple[int, int, str | None]] = {}
        """By decision: what it holds, what was sent, who asked."""
        self.left: set[str] = set()
        self.settled: set[str] = set()

    @property
    def now(self) -> float:
        return self.it.clock.now

    def ask(self, sent: int = 0, most: int = 0, caller: str | None = None) -> str:
        needs = Needs(input_tokens=sent, output_tokens=most)
        query = Query("m", will_report=True, needs=needs, client_key=KEY)
        decision = self.it.resolver.resolve(query, caller)
        self.requests.append(self.now)
        self.open[decision.id] = (sent + most, sent, caller)
        return decision.id

    @rule(target=decisions, sent=st.integers(0, 50), most=st.integers(0, 50), caller=st.sampled_from(CALLERS))
    def a_plan_is_asked_for(self, sent: int, most: int, caller: str | None) -> str:
        requests = sum(at > self.now - 60 for at in self.requests)
        used = sum(tokens for at, tokens in self.tokens if at > self.now - 60)
        held = sum(holds for holds, _, _ in self.open.values())
        try:
            decision_id = self.ask(sent, most, caller)
        except ClientLimitError:
            # Nobody is refused for nothing: what is near in time may leave the window together.
            slack = GRAIN_MS / 1000 + 0.001
            requests = sum(at > self.now - 60 - slack for at in self.requests)
            used = sum(tokens for at, tokens in self.tokens if at > self.now - 60 - slack)
            reached = (requests >= self.rpm, used + held >= self.tpm, len(self.open) >= self.concurrent)
            assert any(reached)
            return "none"
        assert requests < self.rpm
        assert used + held < self.tpm
        assert len(self.open) <= self.concurrent
        return decision_id

    def settle(self, decision_id: str, tokens: int) -> None:
        if decision_id in self.open:
            _, sent, caller = self.open[decision_id]
            if decision_id not in self.settled:
                self.tokens.append((self.now, tokens))
                self.settled.add(decision_id)
                self.open[decision_id] = (0, sent, caller)

    @rule(decision=decisions, tokens=st.integers(0, 200), times=st.integers(1, 2))
    def an_answer_is_done(self, decision: str, tokens: int, times: int) -> None:
        for _ in range(times):
            self.it.reports.apply(decision, Ended("p/m#0", 0, tokens))
        if decision in self.open:
            self.settle(decision, tokens or self.open[decision][1])

    @rule(decision=decisions, left=st.booleans())
    def an_attempt_fails(self, decision: str, left: bool) -> None:
        disposition = Disposition.CANCELLED if left else Disposition.CLIENT_FAULT
        self.it.reports.apply(decision, Failed("p/m#0", 0, disposition, None))
        if left and decision in self.open:
            self.left.add(decision)

    @rule(decision=decisions, times=st.integers(1, 2))
    def a_decision_is_closed(self, decision: str, times: int) -> None:
        for _ in range(times):
            self.it.reports.apply(decision, Closed())
        if decision in self.left and decision in self.open:
            self.settle(decision, self.open[decision][1])
        self.open.pop(decision, None)

    @rule(decision=consumes(decisions))
    def nothing_more_is_heard_of_a_decision(self, decision: str) -> None:
        """Its place is held until its lease is over."""

    @rule(milliseconds=STEPS_MS)
    def time_passes(self, milliseconds: int) -> None:
        # In steps that are whole in binary too, so that the book and the rules look at the same instants.
        self.it.clock.now = round(self.now * 1000 + milliseconds) / 1000
        if self.open and self.now - min(self.requests, default=self.now) > TOTAL_S + GRACE_S - 1:
            self.all_leases_end()

    @rule(caller=st.sampled_from(CALLERS[1:]))
    def an_edge_starts_anew(self, caller: str) -> None:
        self.it.resolver.caller_left(caller)
        self.it.clock.now += GRACE_S + 5
        self.open = {d: entry for d, entry in self.open.items() if entry[2] != caller}
        self.all_leases_end()

    def all_leases_end(self) -> None:
        """Some have, by now: the book is not as exact as to know which."""
        self.it.clock.now = round(self.now) + SPENT_S
        self.open.clear()

    @invariant()
    def nothing_is_held_by_nobody(self) -> None:
        if hasattr(self, "it"):
            self.it.limits.check(Client("another", limits=Limits()), self.now)  # It looks whose leases are over.
            assert len(self.it.limits) == len(self.open)

    def teardown(self) -> None:
        if hasattr(self, "it"):
            self.all_leases_end()
            for _ in range(min(self.rpm, self.concurrent)):
                self.ask()


AnyReports.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
test_any_reports = AnyReports.TestCase
