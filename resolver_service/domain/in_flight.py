"""Where the walk through a plan is, as far as reports tell: which of its targets has a request in flight.

A plan has many targets, and one at a time is tried. Nobody reports that an attempt begins, but a walk goes in the order
of the plan: it is at the first target from the start, and after a failure at the next one that does not share what has
failed. Reports come late, twice, in any order or not at all; of a target that the walk has passed they say nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from resolver_service.domain.catalog import Scopes
from resolver_service.domain.health import scope_failed
from resolver_service.domain.policy import Disposition


@dataclass(frozen=True, slots=True)
class Walk:
    targets: tuple[Scopes, ...]
    """Those of the plan, in its order; never empty."""
    at: int = 0

    @property
    def target_id(self) -> str:
        return self.targets[self.at].target

    def failed(self, target_id: str, disposition: Disposition) -> Walk | None:
        """After a failure of this target. None if it was the last one: the walk is over."""
        ahead = range(self.at, len(self.targets))
        place = next((i for i in ahead if self.targets[i].target == target_id), None)
        if place is None:
            return self
        failed = scope_failed(self.targets[place], disposition)
        at = next((i for i in ahead if i > place and failed not in self.targets[i]), None)
        return None if at is None else replace(self, at=at)

    def ended(self, target_id: str) -> Walk | None:
        """After this target has served: the walk is over, unless it is a target of another plan or was passed."""
        return None if any(t.target == target_id for t in self.targets[self.at :]) else self
