"""However keys are shown, one after another or at once: no more than five wrong ones of an address are heard within any
minute, and who never shows a wrong one from an address of its own is always heard."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_service.domain.failed_keys import MOST, WINDOW_S, FailedKeys, network
from resolver_service.domain import failed_keys as at_the_resolver

GUESSERS = ("a", "b")
HONEST = "c"


class Guessing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.it = FailedKeys()
        self.now = 0.0
        self.heard: list[tuple[str, bytes]] = []
        """And not answered yet."""
        self.failed_at: dict[str, list[float]] = defaultdict(list)

    @rule(seconds=st.sampled_from((0.0, 0.5, 11.0, 59.5, 60.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(address=st.sampled_from(GUESSERS), key=st.sampled_from([b"%d" % n for n in range(8)]))
    def guesses(self, address: str, key: bytes) -> None:
        wait_s = self.it.begin(address, key, self.now)
        if wait_s is None:
            self.heard.append((address, key))
        else:
            assert 0 < wait_s <= WINDOW_S
            others = {k for a, k in self.heard if a == address and k != key}
            assert len(self.recent(address)) + len(others) >= MOST

    @precondition(lambda self: self.heard)
    @rule(data=st.data(), failed=st.booleans())
    def is_answered(self, data: st.DataObject, failed: bool) -> None:
        address, key = self.heard.pop(data.draw(st.integers(0, len(self.heard) - 1)))
        self.it.end(address, key, self.now, failed=failed)
        if failed:
            self.failed_at[address].append(self.now)

    @rule(address=st.sampled_from(GUESSERS))
    def somebody_else_tells_of_a_wrong_key(self, address: str) -> None:
        self.it.failed(address, self.now)
        self.failed_at[address].append(self.now)

    @rule()
    def an_honest_client_is_heard(self) -> None:
        assert self.it.begin(HONEST, b"right", self.now) is None
        self.it.end(HONEST, b"right", self.now, failed=False)

    def recent(self, address: str) -> list[float]:
        return [at for at in self.failed_at[address] if self.now - at < WINDOW_S]

    @invariant()
    def whoever_waits_as_told_is_heard(self) -> None:
        for address in GUESSERS:
            wait_s = self.it.blocked_s(address, self.now)
            assert (wait_s is not None) == (len(self.recent(address)) >= MOST)
            if wait_s is not None:
                assert sum(self.now + wait_s - at < WINDOW_S for at in self.failed_at[address][-MOST:]) < MOST

    @invariant()
    def nothing_is_kept_of_who_has_done_nothing_wrong(self) -> None:
        assert len(self.it) <= len(GUESSERS)


TestGuessing = Guessing.TestCase


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.5, 11.0, 59.5, 60.0)), st.sampled_from("ab"))))
def test_the_resolver_s_rule_is_the_edge_s(guesses: list[tuple[float, str]]) -> None:
    edge, resolver, now = FailedKeys(), at_the_resolver.FailedKeys(), 0.0
    for seconds, address in guesses:
        now += seconds
        wait_s = edge.begin(address, b"guess", now)
        if wait_s is None:
            resolver.check(address, now)
            edge.end(address, b"guess", now, failed=True)
            resolver.failed(address, now)
        else:
            with pytest.raises(at_the_resolver.TooManyFailedKeysError) as caught:
                resolver.check(address, now)
            assert caught.value.retry_after_s == wait_s
    assert len(resolver) <= 2


@given(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)))
def test_so_is_what_counts_as_one_address(host: str) -> None:
    assert at_the_resolver.network(host) == network(host)
