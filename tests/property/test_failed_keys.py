"""However keys are shown: no more than five wrong ones of an address are heard within any minute, whoever waits as told
is heard again, and who never shows a wrong one from an address of its own is always heard."""

from __future__ import annotations

import ipaddress
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resolver_service.domain.failed_keys import MOST, WINDOW_S, FailedKeys, TooManyFailedKeysError, network

GUESSERS = ("a", "b")
HONEST = "c"


class Guessing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.it = FailedKeys()
        self.now = 0.0
        self.heard_at: dict[str, list[float]] = defaultdict(list)
        """All the wrong ones."""

    def wait_s(self, address: str) -> float | None:
        try:
            self.it.check(address, self.now)
        except TooManyFailedKeysError as error:
            return error.retry_after_s
        return None

    def heard_since(self, address: str, instant: float) -> int:
        return sum(at > instant for at in self.heard_at[address])

    @rule(seconds=st.sampled_from((0.5, 11.0, 59.5, 60.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(address=st.sampled_from(GUESSERS), guesses=st.integers(1, MOST + 1))
    def guesses(self, address: str, guesses: int) -> None:
        for _ in range(guesses):
            if self.wait_s(address) is None:
                self.it.failed(address, self.now)
                self.heard_at[address].append(self.now)

    @rule(address=st.sampled_from(GUESSERS))
    def waits_as_told(self, address: str) -> None:
        self.now += self.wait_s(address) or 0.0
        assert self.wait_s(address) is None

    @invariant()
    def an_address_waits_while_and_only_while_five_are_within_a_minute(self) -> None:
        for address in GUESSERS:
            count = self.heard_since(address, self.now - WINDOW_S)
            assert count <= MOST
            wait_s = self.wait_s(address)
            assert (wait_s is not None) == (count == MOST)
            if wait_s is not None:
                assert 0 < wait_s <= WINDOW_S
                assert self.heard_since(address, self.now + wait_s - WINDOW_S) < MOST, "it is not too short"
                assert self.heard_since(address, self.now + wait_s - WINDOW_S - 0.25) == MOST, "nor too long"

    @invariant()
    def an_honest_client_is_heard_and_not_remembered(self) -> None:
        assert self.wait_s(HONEST) is None
        assert len(self.it) <= len(GUESSERS)


TestGuessing = Guessing.TestCase

NETWORKS = st.integers(1, 2**64 - 1)
"""But for 0, which has the addresses of IPv4 in it."""
HOSTS = st.integers(0, 2**64 - 1)


@given(NETWORKS, NETWORKS, HOSTS, HOSTS)
def test_addresses_of_ipv6_are_one_if_their_first_half_is(one: int, other: int, here: int, there: int) -> None:
    def named(half: int, host: int) -> str:
        return network(str(ipaddress.IPv6Address(half << 64 | host)))

    assert named(one, here) == named(one, there)
    assert (named(one, here) == named(other, there)) is (one == other)


@given(st.ip_addresses(v=4), st.text(max_size=20))
def test_those_of_ipv4_are_themselves_and_what_is_none_is_taken_as_it_is(ip: ipaddress.IPv4Address, name: str) -> None:
    assert network(str(ip)) == network(f"::ffff:{ip}") == str(ip)
    assert network(network(name)) == network(name)
