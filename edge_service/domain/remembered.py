"""The plans that are used while no resolver can be asked.

Each belongs to one client, known by the hash of its key: no client gets a plan that was made for another.

Under each key the last few plans are kept that differ only in the turn; a plan with other targets replaces them all.
Recalled in the order in which they were made, they go on with the resolver's rotation, so that an outage does not send
everything to one target.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from operator import attrgetter
from typing import TypeAlias

from edge_service.domain.plan import Plan

LIFE_S = 60.0
"""Older plans are not used."""
MOST = 10_000
"""Plans in all; the least recently used keys are forgotten first."""
TURNS = 8
"""Plans under one key."""


_PROBE = attrgetter("probe")
_TARGET = attrgetter("target_id", "base_url", "upstream_model", "credential_ref")

_Place: TypeAlias = tuple[bytes, Hashable]
"""A client's key hash, and the key of the plan."""


class _Turns(deque[tuple[float, Plan]]):
    """Plans that differ only in the turn, each with the time at which it was made."""

    def __init__(self, targets: frozenset[tuple[str, ...]]) -> None:
        super().__init__()
        self.targets = targets


class RememberedPlans:
    """`now` is in seconds, on a clock that never goes back."""

    __slots__ = ("_clients", "_count", "_let_in_at", "_life_s", "_most", "_newest_at", "_plans")

    def __init__(self, life_s: float = LIFE_S, most: int = MOST) -> None:
        self._life_s = life_s
        self._most = most
        self._plans: OrderedDict[_Place, _Turns] = OrderedDict()
        self._clients: dict[bytes, set[_Place]] = {}
        """The places of each client's plans."""
        self._let_in_at: dict[bytes, float] = {}
        """When the latest plan of each client was made."""
        self._count = 0
        self._newest_at: float | None = None

    def __len__(self) -> int:
        return self._count

    def any_at(self, now: float) -> bool:
        """Whether any plan is recent enough to be recalled."""
        return bool(self._plans) and self._newest_at is not None and now - self._newest_at <= self._life_s

    def has_any_of(self, client: bytes) -> bool:
        """Whether any plan is kept for this client, even one that is too old."""
        return client in self._clients

    def was_let_in(self, client: bytes, since: float) -> bool:
        """Whether a plan was made for it since then."""
        return self._let_in_at.get(client, -math.inf) >= since

    def remember(self, client: bytes, key: Hashable, plan: Plan, now: float) -> None:
        """Keeps the plan, without its probes."""
        if any(map(_PROBE, plan.attempts)):
            # A probe belongs to one request. Whether the target is well again is not known.
            plan = plan._replace(attempts=tuple(a for a in plan.attempts if not a.probe))
        if not plan.attempts:
            return
        targets, place = _targets(plan), (client, key)
        made = self._plans.get(place)
        if made is None or made.targets != targets:
            self.forget(client, key)
            made = self._plans[place] = _Turns(targets)
            self._clients.setdefault(client, set()).add(place)
        elif len(made) == TURNS:
            made.popleft()
            self._count -= 1
        made.append((now, plan))
        self._count += 1
        self._newest_at = self._let_in_at[client] = now
        self._plans.move_to_end(place)
        while self._count > self._most:
            self._forget(next(iter(self._plans)))

    def recall(self, client: bytes, key: Hashable, now: float) -> Plan | None:
        """A recent plan: each time the next one, and round again, as long as no new one is remembered."""
        place = (client, key)
        made = self._plans.get(place)
        if made is None:
            return None
        for one in [one for one in made if now - one[0] > self._life_s]:
            made.remove(one)
            self._count -= 1
        if not made:
            self._forget(place)
            return None
        self._plans.move_to_end(place)
        made.rotate(-1)
        return made[-1][1]

    def forget(self, client: bytes, key: Hashable) -> None:
        """Drops the plans under this key: the resolver has said otherwise."""
        self._forget((client, key))

    def forget_client(self, client: bytes) -> None:
        """Drops all plans of a client that is not let in any more."""
        for place in list(self._clients.get(client, ())):
            self._forget(place)

    def _forget(self, place: _Place) -> None:
        made = self._plans.pop(place, None)
        if made is None:
            return
        self._count -= len(made)
        client = place[0]
        self._clients[client].discard(place)
        if not self._clients[client]:
            del self._clients[client], self._let_in_at[client]


def _targets(plan: Plan) -> frozenset[tuple[str, ...]]:
    """The targets of the plan, in any order, with their addresses: a target may keep its id and move."""
    return frozenset(map(_TARGET, plan.attempts))
