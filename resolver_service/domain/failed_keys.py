"""Blocks addresses that have shown too many wrong management keys, at whichever edges."""

from __future__ import annotations

import ipaddress
import math

MOST = 5
WINDOW_S = 60.0
MOST_ADDRESSES = 10_000
"""To remember. Whoever has more of them to spare loses nothing by any bound on each."""


class TooManyFailedKeysError(Exception):
    """An address is not heard."""

    code = "too_many_failed_keys"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many wrong management keys from this address; try again in {math.ceil(retry_after_s)} s")


class FailedKeys:
    """An address that has shown `MOST` wrong keys within `WINDOW_S` is blocked until the first of these is older: even
    the right key is refused."""

    def __init__(self) -> None:
        self._failed_at: dict[str, list[float]] = {}
        """The latest `MOST` by address, in order; whoever failed last stands last."""

    def __len__(self) -> int:
        return len(self._failed_at)

    def check(self, address: str, now: float) -> None:
        """Raises `TooManyFailedKeysError` if the address is not heard."""
        recent = [at for at in self._failed_at.get(address, ()) if now - at < WINDOW_S]
        if len(recent) == MOST:
            raise TooManyFailedKeysError(recent[0] + WINDOW_S - now)

    def failed(self, address: str, now: float) -> None:
        """Notes a wrong key of an address that was not blocked."""
        self._failed_at[address] = [*self._failed_at.pop(address, ()), now][-MOST:]
        while len(self._failed_at) > 1:
            earliest = next(iter(self._failed_at))
            if now - self._failed_at[earliest][-1] < WINDOW_S and len(self._failed_at) <= MOST_ADDRESSES:
                return
            del self._failed_at[earliest]


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
