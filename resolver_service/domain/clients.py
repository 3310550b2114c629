"""The clients: which names they may call, how much, and until when."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST_KEPT = 1_000
"""Results of a client's globs that are kept. There may be thousands of names, and of clients."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None for none."""

    requests: int | None = None
    """In any minute."""
    tokens: int | None = None
    """In any minute, of requests and answers together."""
    concurrent: int | None = None
    """Requests at a time."""


class Names:
    """The configured names that some names and globs match. In a glob `*` is any text and `?` one character.

    All are in the form in which names are compared: `names.name_key`.
    """

    __slots__ = ("_exact", "_globs", "_known")

    def __init__(self, keys: Iterable[str]) -> None:
        keys = frozenset(keys)
        globs = frozenset(key for key in keys if "*" in key or "?" in key)
        self._exact = keys - globs
        # Each `*` is an atomic group there, which is never gone back into: at most name times glob steps.
        patterns = [fnmatch.translate(glob.replace("[", "[[]")) for glob in sorted(globs)]
        self._globs = re.compile("|".join(patterns)) if patterns else None
        self._known: dict[str, bool] = {}

    def __contains__(self, key: str) -> bool:
        """Whether a configured name is among them."""
        if self._globs is None:
            return key in self._exact
        known = self._known.get(key)
        if known is None:
            known = key in self._exact or self._globs.match(key) is not None
            if len(self._known) < MOST_KEPT:
                self._known[key] = known
        return known


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    names: Names | None = None
    """The names that it may call; None for all."""
    limits: Limits | None = None
    expires_at: float = math.inf
    """Seconds since the epoch; from then on its keys are refused."""

    def may_call(self, key: str) -> bool:
        """`key` is a configured name's, without a reasoning suffix."""
        return self.names is None or key in self.names
