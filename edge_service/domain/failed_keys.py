"""How many wrong keys one address may show before it is not listened to for a while."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field

MOST = 5
WINDOW_S = 60.0
MOST_ADDRESSES = 10_000
"""To remember. Whoever has more of them to spare loses nothing by any bound on each."""

_SOON_S = 1.0


@dataclass(slots=True)
class _Shown:
    failed_at: list[float] = field(default_factory=list)
    """Of the latest `MOST` failures, in order."""
    pending: Counter[bytes] = field(default_factory=Counter)
    """Keys that are being verified, and for how many requests."""


class FailedKeys:
    """Within any `WINDOW_S`, no more than `MOST` wrong keys of an address are heard; what is shown beyond, right keys
    too, is refused unseen.

    What is being verified counts as wrong until it is known to be right, or many guesses at once would all be heard.
    Many requests with one key count once, so that whoever has the right one may have many."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}
        """By address; whoever failed last stands last."""

    def __len__(self) -> int:
        return len(self._shown)

    def begin(self, address: str, key: bytes, now: float) -> float | None:
        """Seconds until the address is listened to again; None if it is, and then `end` must follow. `key` tells keys
        apart and need not be one."""
        if (blocked_s := self.blocked_s(address, now)) is not None:
            return blocked_s
        shown = self._shown.setdefault(address, _Shown())
        others = len(shown.pending) - (key in shown.pending)
        if len(shown.failed_at) + others >= MOST:
            return _SOON_S
        shown.pending[key] += 1
        return None

    def blocked_s(self, address: str, now: float) -> float | None:
        """Seconds until the address is listened to again, whatever it shows; None if it is."""
        shown = self._shown.get(address)
        if shown is None:
            return None
        shown.failed_at = [at for at in shown.failed_at if now - at < WINDOW_S]
        return shown.failed_at[0] + WINDOW_S - now if len(shown.failed_at) == MOST else None

    def end(self, address: str, key: bytes, now: float, *, failed: bool) -> None:
        """The key has been found wrong, or right, or nobody could tell."""
        shown = self._shown[address]
        shown.pending[key] -= 1
        if not shown.pending[key]:
            del shown.pending[key]
        if failed:
            self.failed(address, now)
        elif not shown.failed_at and not shown.pending:
            del self._shown[address]

    def failed(self, address: str, now: float) -> None:
        """A wrong key was shown, here or to somebody who counts as well."""
        shown = self._shown[address] = self._shown.pop(address) if address in self._shown else _Shown()
        shown.failed_at = [*shown.failed_at, now][-MOST:]
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Whoever failed longest ago first."""
        gone: list[str] = []
        for address, shown in self._shown.items():
            is_over = all(now - at >= WINDOW_S for at in shown.failed_at)
            if not is_over and len(self._shown) - len(gone) <= MOST_ADDRESSES:
                break
            if not shown.pending:
                gone.append(address)
        for address in gone:
            del self._shown[address]


def network(host: str) -> str:
    """What counts as one address: of IPv6 the /64, which is the least that anybody is given."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
