"""Takes configurations in: validate, then swap in one step, or keep what is running."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from resolver_service.app.ports import Revision
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config import ConfigError

Parse = Callable[[bytes], Catalog]


class Configuration:
    """The one writer of the configuration in effect.

    `current` is replaced whole, so that a resolve sees all of one revision or all of another. Rotation and health are
    kept elsewhere and survive.
    """

    def __init__(self, parse: Parse, wall_clock: Callable[[], float], initial: bytes) -> None:
        """Raises `ConfigError` if the initial configuration is invalid: there is nothing to fall back to."""
        self._parse = parse
        self._wall_clock = wall_clock
        self._one_at_a_time = asyncio.Lock()
        self.accepted = 0
        self.rejected = 0
        """How many of the configurations offered were put into effect, and how many were invalid."""
        self._current = self._revision(1, initial, parse(initial))

    @property
    def current(self) -> Revision:
        return self._current

    async def offer(self, text: bytes) -> bool:
        """Puts the configuration into effect; False if it is the running one already.

        Raises `ConfigError` with everything that is wrong, and then nothing has changed.
        """
        async with self._one_at_a_time:
            if hashlib.sha256(text).hexdigest() == self._current.digest:
                return False
            # In a thread: thousands of pools take a while, and resolves must not wait for them.
            try:
                catalog = await asyncio.to_thread(self._parse, text)
            except ConfigError:
                self.rejected += 1
                raise
            self._current = self._revision(self._current.number + 1, text, catalog)
            self.accepted += 1
            return True

    def _revision(self, number: int, text: bytes, catalog: Catalog) -> Revision:
        return Revision(number, catalog, int(self._wall_clock()), hashlib.sha256(text).hexdigest())
