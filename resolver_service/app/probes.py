"""Which decisions hold probes: requests that find out whether a target is well again."""

from __future__ import annotations

from collections.abc import Container


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

    def passed_by(self, decision_id: str, serving: Container[str]) -> list[str]:
        """The scopes whose probes the decision held and will not use, since a target with the scopes `serving` serves
        it."""
        held = self._held.get(decision_id)
        if held is None:
            return []
        taken_at, scopes = held
        self._held[decision_id] = taken_at, [scope for scope in scopes if scope in serving]
        return [scope for scope in scopes if scope not in serving]

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
