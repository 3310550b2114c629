from __future__ import annotations

import pytest

from resolver_service.domain import failed_keys
from resolver_service.domain.failed_keys import MOST, WINDOW_S, FailedKeys, TooManyFailedKeysError, network


def is_heard(it: FailedKeys, address: str, now: float) -> bool:
    try:
        it.check(address, now)
    except TooManyFailedKeysError:
        return False
    return True


def test_after_five_an_address_waits_until_the_first_is_a_minute_ago() -> None:
    it = FailedKeys()
    for now in range(MOST):
        it.check("a", float(now))
        it.failed("a", float(now))
    with pytest.raises(TooManyFailedKeysError, match="try again in 56 s") as caught:
        it.check("a", 4.5)
    assert caught.value.retry_after_s == 55.5
    it.check("b", 4.5)
    it.check("a", WINDOW_S)
    it.failed("a", WINDOW_S)
    assert not is_heard(it, "a", WINDOW_S)


def test_what_failed_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_keys, "MOST_ADDRESSES", 3)
    it = FailedKeys()
    for now, address in enumerate("aaaaabbbbbcde"):
        it.failed(address, float(now))
    assert len(it) == 3
    assert is_heard(it, "a", 13.0)
    it.failed("f", 13.0 + WINDOW_S)
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
        ("unix", "unix", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, *, same: bool) -> None:
    assert (network(one) == network(other)) is same
