"""How much a client has used of what it may use in any minute, exactly and in bounded memory.

Time is in whole milliseconds, as it goes over the wire: whoever waits as long as it is told finds the place free, with
no rounding in between.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from resolver_service.domain.clients import Limits

WINDOW_MS = 60_000
GRAIN_MS = 100
"""What is used within so short a time becomes one entry, which leaves the window with the last of it. So a window has
some 600 entries at most; it never counts too little, and some of it up to this much too long."""
SOON_MS = 1_000
"""The Retry-After while requests under way are what is in the way: it is not known when they end, and most end soon."""


class Kind(StrEnum):
    """Which limit a client has reached."""

    REQUESTS = "client_requests"
    TOKENS = "client_tokens"
    CONCURRENT = "client_concurrent"


@dataclass(slots=True)
class _Entry:
    began_ms: int
    at_ms: int
    """When the last of it was used."""
    amount: int


class Window:
    """What was used within the last minute. `now_ms` never goes back."""

    __slots__ = ("_entries", "_used")

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, amount: int, now_ms: int) -> None:
        if amount <= 0:
            return
        self._used += amount
        last = self._entries[-1] if self._entries else None
        if last is not None and now_ms - last.began_ms < GRAIN_MS:
            last.at_ms = now_ms
            last.amount += amount
        else:
            self._entries.append(_Entry(now_ms, now_ms, amount))

    def used(self, now_ms: int) -> int:
        while self._entries and now_ms - self._entries[0].at_ms >= WINDOW_MS:
            self._used -= self._entries.popleft().amount
        return self._used

    def wait_ms(self, amount: int, now_ms: int) -> int | None:
        """Milliseconds until at least this amount has left the window; None if there is not so much in it."""
        self.used(now_ms)
        for entry in self._entries:
            amount -= entry.amount
            if amount <= 0:
                return entry.at_ms + WINDOW_MS - now_ms
        return None

    def reset_ms(self, now_ms: int) -> int:
        """Milliseconds until the window is empty."""
        return self._entries[-1].at_ms + WINDOW_MS - now_ms if self.used(now_ms) else 0


class Allowance(NamedTuple):
    """One limit as the client is told of it."""

    limit: int
    remaining: int
    reset_ms: int
    """Until all of it is there again."""


class Allowances(NamedTuple):
    """None for what has no limit."""

    requests: Allowance | None
    tokens: Allowance | None


class Usage:
    """What one client uses. A request is let in while there is room for one more and while any token is left: how many
    it takes is known when it has been answered. Until then it holds those that were reserved for it."""

    __slots__ = ("concurrent", "requests", "reserved", "tokens")

    def __init__(self) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.reserved = 0
        """Tokens of requests under way."""
        self.concurrent = 0

    def is_idle(self, now_ms: int) -> bool:
        """Whether it is as if it had never been used."""
        used = self.requests.used(now_ms) + self.tokens.used(now_ms)
        return not (used or self.reserved or self.concurrent)

    def refusal(self, limits: Limits, now_ms: int) -> tuple[Kind, int] | None:
        """The limit that is in the way the longest, and for how many milliseconds; None if the next one may pass."""
        refusals = []
        if limits.requests is not None:
            over = self.requests.used(now_ms) + 1 - limits.requests
            if over > 0:
                refusals.append((self.requests.wait_ms(over, now_ms) or SOON_MS, Kind.REQUESTS))
        if limits.tokens is not None:
            over = self.tokens.used(now_ms) + self.reserved + 1 - limits.tokens
            if over > 0:
                refusals.append((self.tokens.wait_ms(over, now_ms) or SOON_MS, Kind.TOKENS))
        if limits.concurrent is not None and self.concurrent >= limits.concurrent:
            refusals.append((SOON_MS, Kind.CONCURRENT))
        if not refusals:
            return None
        wait_ms, kind = max(refusals)
        return kind, wait_ms

    def allowances(self, limits: Limits, now_ms: int) -> Allowances:
        requests = tokens = None
        if limits.requests is not None:
            left = limits.requests - self.requests.used(now_ms)
            requests = Allowance(limits.requests, max(0, left), self.requests.reset_ms(now_ms))
        if limits.tokens is not None:
            left = limits.tokens - self.tokens.used(now_ms) - self.reserved
            # What is held is used when the answer is done, which is not before now.
            reset_ms = WINDOW_MS if self.reserved else self.tokens.reset_ms(now_ms)
            tokens = Allowance(limits.tokens, max(0, left), reset_ms)
        return Allowances(requests, tokens)
