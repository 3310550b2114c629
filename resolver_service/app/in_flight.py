"""How many requests each target has in flight, so that no more are sent to it than it takes at a time."""

from __future__ import annotations

from collections.abc import Mapping

from resolver_service.app.leases import Leases
from resolver_service.domain.catalog import Scopes
from resolver_service.domain.in_flight import Walk
from resolver_service.domain.policy import Disposition


class InFlight:
    """Counts requests in flight by the target that each walk has reached. A walk that is not closed counts until its
    lease ends.

    It knows only what was decided and reported here since the start: other resolvers count for themselves, and nobody
    counts the plans that an edge remembers and uses again in an outage.
    """

    def __init__(self) -> None:
        self._walks: dict[str, Walk] = {}
        """By decision."""
        self._leases = Leases(self.closed)
        self.forget = self._leases.forget
        """`Leases.forget`, to be called with the present time."""
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """By target id, without zeros. A live view."""
        return self._counts

    def __len__(self) -> int:
        return len(self._walks)

    def decided(self, decision_id: str, targets: tuple[Scopes, ...], until_at: float, caller: object = None) -> None:
        """A plan with these targets is handed out, and walked at once. `caller` identifies the stream that asked, if it
        was one."""
        if self._leases.begin(decision_id, until_at, caller):
            walk = self._walks[decision_id] = Walk(targets)
            self._count(walk.target_id, 1)

    def failed(self, decision_id: str, target_id: str, disposition: Disposition) -> None:
        walk = self._walks.get(decision_id)
        if walk is not None:
            self._goes_on(decision_id, walk, walk.failed(target_id, disposition))

    def ended(self, decision_id: str, target_id: str) -> None:
        walk = self._walks.get(decision_id)
        if walk is not None:
            self._goes_on(decision_id, walk, walk.ended(target_id))

    def closed(self, decision_id: str) -> None:
        walk = self._walks.pop(decision_id, None)
        if walk is not None:
            self._count(walk.target_id, -1)
            self._leases.end(decision_id)

    def caller_left(self, caller: object, now: float) -> None:
        """The caller's stream broke, and it may be dead: what is not closed soon stops counting."""
        self._leases.caller_left(caller, now)

    def _goes_on(self, decision_id: str, before: Walk, after: Walk | None) -> None:
        if after is None:
            self.closed(decision_id)
        elif after is not before:
            self._count(before.target_id, -1)
            self._walks[decision_id] = after
            self._count(after.target_id, 1)

    def _count(self, target_id: str, change: int) -> None:
        count = self._counts.get(target_id, 0) + change
        if count:
            self._counts[target_id] = count
        else:
            del self._counts[target_id]
