"""Which decisions hold probes: requests that find out whether a target is well again."""

from __future__ import annotations


class ProbeBook:
    """Which decisions hold probes, so that those which were not used can go back when the decision closes."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._held: dict[str, tuple[float, list[str]]] = {}
        """By decision, the earliest first."""
        self.handed_out = 0
        self.returned = 0
        """Those that came back unused."""
        self.expired = 0
        """Those whose decisions were not closed within the lease."""

    def taken(self, decision_id: str, scope: str, now: float) -> None:
        self._forget(now)
        self.handed_out += 1
        self._held.setdefault(decision_id, (now, []))[1].append(scope)

    def closed(self, decision_id: str) -> list[str]:
        """The scopes whose probes the decision held."""
        return self._held.pop(decision_id, (0.0, []))[1]

    def _forget(self, now: float) -> None:
        """Drops decisions that were never closed: their leases have run out, so nothing is left to give back."""
        while self._held:
            earliest = next(iter(self._held))
            if now - self._held[earliest][0] <= self._lease_s:
                break
            self.expired += len(self._held.pop(earliest)[1])
