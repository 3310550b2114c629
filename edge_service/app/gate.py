"""Who may manage: whoever shows a key that the resolver takes, and has not shown too many that it does not."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edge_service.domain.failed_keys import FailedKeys, network
from edge_service.domain.management import Caller, KeyRefusedError, TooManyFailedKeysError

_T = TypeVar("_T")


class Gate:
    """Lets calls through that show a key, and keeps count of those that come back refused."""

    def __init__(self, clock: Callable[[], float], tell: Callable[[str], None]) -> None:
        """`tell` hears the code of each refusal that nobody was asked about."""
        self._clock = clock
        self._tell = tell
        self._failed = FailedKeys()

    async def admit(self, caller: Caller, call: Callable[[], Awaitable[_T]]) -> _T:
        """What the call returns or raises. An empty key is none, and no guess.

        Raises `TooManyFailedKeysError` instead of calling.
        """
        key, address, now = caller.key, network(caller.host), self._clock()
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
            raise
        finally:
            self._failed.end(address, digest, self._clock(), failed=failed)
