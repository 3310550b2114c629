from __future__ import annotations

import pytest

from resolver_service.domain import failed_keys
from resolver_service.domain.failed_keys import MOST, WINDOW_S, FailedKeys, TooManyFailedKeysError


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
