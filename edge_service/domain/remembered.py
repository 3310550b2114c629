"""The plans that are walked while no resolver can be asked.

Under each key the last few plans are kept that differ in the turn alone: a plan of other targets displaces them all,
since then something else than the turn has changed. Recalled in the order in which they were made, they repeat the
resolver's rotation, so that an outage does not send everything to the target that happened to be first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, replace

from edge_service.domain.plan import Plan

LIFE_S = 60.0
"""What was known longer ago is not known any more."""
MOST = 10_000
"""Plans, under all keys together; the keys that were not used for the longest time are forgotten first."""
TURNS = 8
"""Plans under one key."""


@dataclass(frozen=True, slots=True)
class _Made:
    plan: Plan
    at: float


class _Turns(deque[_Made]):
    """Plans that differ in the turn alone."""

    def __init__(self, targets: frozenset[tuple[str, ...]]) -> None:
        super().__init__()
        self.targets = targets


class RememberedPlans:
    """`now` is in seconds, on a clock that never goes back."""

    __slots__ = ("_count", "_life_s", "_most", "_newest_at", "_plans")

    def __init__(self, life_s: float = LIFE_S, most: int = MOST) -> None:
        self._life_s = life_s
        self._most = most
        self._plans: OrderedDict[Hashable, _Turns] = OrderedDict()
        self._count = 0
        self._newest_at: float | None = None

    def __len__(self) -> int:
        return self._count

    def any_at(self, now: float) -> bool:
        """Whether anything could be recalled."""
        return bool(self._plans) and self._newest_at is not None and now - self._newest_at <= self._life_s

    def remember(self, key: Hashable, plan: Plan, now: float) -> None:
        """Keeps the plan, unless it is nothing but probes."""
        if any(attempt.probe for attempt in plan.attempts):
            # A probe belongs to one request. Whether the target is well again is not known.
            plan = replace(plan, attempts=tuple(a for a in plan.attempts if not a.probe))
        if not plan.attempts:
            return
        targets = _targets(plan)
        made = self._plans.get(key)
        if made is None or made.targets != targets:
            self.forget(key)
            made = self._plans[key] = _Turns(targets)
        elif len(made) == TURNS:
            made.popleft()
            self._count -= 1
        made.append(_Made(plan, now))
        self._count += 1
        self._newest_at = now
        self._plans.move_to_end(key)
        while self._count > self._most:
            _, oldest = self._plans.popitem(last=False)
            self._count -= len(oldest)

    def recall(self, key: Hashable, now: float) -> Plan | None:
        """A plan that was made lately, each time the next one; as long as none is remembered anew they come round."""
        made = self._plans.get(key)
        if made is None:
            return None
        for one in [one for one in made if now - one.at > self._life_s]:
            made.remove(one)
            self._count -= 1
        if not made:
            del self._plans[key]
            return None
        self._plans.move_to_end(key)
        made.rotate(-1)
        return made[-1].plan

    def forget(self, key: Hashable) -> None:
        """What was known is known to be wrong."""
        self._count -= len(self._plans.pop(key, ()))


def _targets(plan: Plan) -> frozenset[tuple[str, ...]]:
    """Whom the plan calls, in whatever order. A target may keep its id and move elsewhere."""
    return frozenset((a.target_id, a.base_url, a.upstream_model, a.credential_ref) for a in plan.attempts)
