"""Who may manage: whoever shows a key that the resolver takes, and has not shown too many that it does not."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edge_service.domain.failed_keys import FailedKeys, network
from edge_service.domain.management import KeyRefusedError, TooManyFailedKeysError

_T = TypeVar("_T")


class Gate:
    """Lets calls through that show a key, and keeps count of those that come back refused."""

    def __init__(
        self,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        tell_failed: Callable[[str], None] = lambda address: None,
    ) -> None:
        """`tell` hears the code of each refusal that nobody was asked about, `tell_failed` from where a wrong key came,
        for other processes of the same edge."""
        self._clock = clock
        self._tell = tell
        self._tell_failed = tell_failed
        self._failed = FailedKeys()

    def failed_elsewhere(self, address: str) -> None:
        """Another process of the same edge has told of a wrong key."""
        self._failed.failed(address, self._clock())

    async def admit(self, host: str, key: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """What the call returns or raises. `host` is the peer's address; an empty `key` is none, and no guess.

        Raises `TooManyFailedKeysError` instead of calling.
        """
        address, now = network(host), self._clock()
        digest = hashlib.sha256(key.encode()).digest()
        wait_s = self._failed.begin(address, digest, now) if key else self._failed.blocked_s(address, now)
        if wait_s is not None:
            self._tell(TooManyFailedKeysError.code)
            raise TooManyFailedKeysError(wait_s)
        if not key:
            return await call()
        failed = False
        try:
            return await call()
        except KeyRefusedError:
            failed = True
            self._tell_failed(address)
            raise
        finally:
            self._failed.end(address, digest, self._clock(), failed=failed)
