from __future__ import annotations

import pytest

from edge_service.domain import failed_keys
from edge_service.domain.failed_keys import MOST, WINDOW_S, FailedKeys, network


def fail(it: FailedKeys, address: str, now: float, key: bytes = b"wrong") -> float | None:
    wait_s = it.begin(address, key, now)
    if wait_s is None:
        it.end(address, key, now, failed=True)
    return wait_s


def test_after_five_wrong_keys_an_address_is_not_listened_to_until_a_minute_after_the_first() -> None:
    it = FailedKeys()
    assert [fail(it, "a", now) for now in (0.0, 10.0, 20.0, 30.0, 40.0)] == [None] * MOST
    assert it.begin("a", b"right", 41.0) == 19.0
    assert it.blocked_s("a", 59.0) == 1.0
    assert fail(it, "a", WINDOW_S) is None
    assert it.begin("a", b"right", WINDOW_S) == 10.0


def test_other_addresses_are() -> None:
    it = FailedKeys()
    for now in range(MOST):
        fail(it, "a", now)
    assert it.begin("b", b"right", 5.0) is None
    assert it.blocked_s("c", 5.0) is None


def test_what_is_right_or_unknown_does_not_count() -> None:
    it = FailedKeys()
    for now in range(100):
        assert it.begin("a", b"%d" % now, now) is None
        it.end("a", b"%d" % now, now, failed=False)
    assert len(it) == 0


def test_no_more_guesses_are_heard_at_once_than_one_after_another() -> None:
    it = FailedKeys()
    assert [it.begin("a", b"%d" % number, 0.0) for number in range(MOST + 1)] == [None] * MOST + [1.0]
    it.end("a", b"0", 0.0, failed=False)
    assert it.begin("a", b"right", 0.0) is None


def test_one_key_may_be_shown_with_many_requests_at_once() -> None:
    it = FailedKeys()
    assert [it.begin("a", b"right", 0.0) for _ in range(100)] == [None] * 100
    for _ in range(100):
        it.end("a", b"right", 0.0, failed=False)
    assert len(it) == 0


def test_what_failed_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_keys, "MOST_ADDRESSES", 3)
    it = FailedKeys()
    for now, address in enumerate("aaaaabbbbbcde"):
        fail(it, address, float(now))
    assert len(it) == 3
    assert it.blocked_s("a", 13.0) is None
    fail(it, "f", 13.0 + WINDOW_S)
    assert len(it) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "192.0.2.1", False),
        ("testclient", "testclient", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, *, same: bool) -> None:
    assert (network(one) == network(other)) is same
