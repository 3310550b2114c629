"""Health: a copy of the server's states, the changes that are still to be written, and the encoding of both."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace

import msgspec

from resolver_service.app.ports import Clock
from resolver_service.domain.health import NEWEST_BELIEVED, WELL, Health, Tally
from resolver_service.domain.policy import LONGEST_COOL_DOWN_S, Disposition

_encode = msgspec.json.encode


class _Stored(msgspec.Struct, omit_defaults=True):
    """A state as `merge.lua` writes it."""

    g: str
    """Generation: a text, since JSON numbers have 14 digits there."""
    t: dict[str, tuple[int, int]] = {}
    """Tallies: failures and cool-downs by family."""
    u: float | None = None
    """Cooling until, in milliseconds of the server's clock."""
    r: str = ""
    """Reason."""
    n: int = 0
    """The number of the change."""


class _Told(msgspec.Struct, omit_defaults=True):
    """A state as `merge.lua` reads it."""

    g: str
    """Generation."""
    t: dict[str, tuple[int, int]]
    """Tallies: failures and cool-downs by family."""
    a: dict[str, int]
    """Failures by family that were added since the server last told its state."""
    f: int | None = None
    """Cooling for, in milliseconds."""
    r: str = ""
    """Reason."""
    c: bool = False
    """The tallies were cleared."""
    o: bool = False
    """The server has had this state before, and may have lost it."""


_stored = msgspec.json.Decoder(_Stored)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one scope's health, as it is sent to the server."""

    scope: str
    base: int
    """The generation that the change starts from."""
    generation: int
    """The generation that it led to here."""
    said: bytes


class HealthMirror:
    """A `HealthStore`."""

    def __init__(self, clock: Clock, note: Callable[[], None], let_go: Callable[[str, str], None]) -> None:
        """`let_go` is called with scope and holder of each probe that nobody here holds any more."""
        self._clock = clock
        self._note = note
        self._let_go = let_go
        self._health: dict[str, Health] = {}
        self._known: dict[str, Health] = {}
        """The server's states, as last heard."""
        self._numbers: dict[str, int] = {}
        """The number of the change that led to each of these: a message that arrives late has a lower one."""
        self._changed: set[str] = set()
        self._under_way: set[str] = set()
        """The scopes whose changes are being sent: until the server has answered, what is heard of them is older."""
        self._forgotten: set[str] = set()
        """The scopes whose states the server had, and may have lost."""
        self.latest = 0

    def scopes(self) -> Set[str]:
        return self._health.keys()

    def get(self, scope: str) -> Health:
        return self._health.get(scope, WELL)

    def put(self, scope: str, health: Health) -> None:
        before = self.get(scope)
        self._keep(scope, health)
        if before.probe_holder and not health.probe_holder:
            self._let_go(scope, before.probe_holder)
        if _public(health) != _public(before):
            self._changed.add(scope)
            self._forgotten.discard(scope)
            self._note()

    def held_elsewhere(self, scope: str, until_at: float) -> None:
        """Another resolver's decision has the probe of a scope."""
        health = self.get(scope)
        if health.cooling_until_at is not None:
            self._keep(scope, replace(health, probe_holder="", probe_until_at=until_at))

    def free(self, scope: str) -> None:
        """Another resolver has given its probe back."""
        health = self.get(scope)
        if health.probe_until_at and not health.probe_holder:
            self._keep(scope, replace(health, probe_until_at=0.0))

    def changes(self) -> list[Change]:
        """Takes out the changes, to be sent. If that fails, `untell` puts them back."""
        self._under_way |= self._changed
        self._changed.clear()
        now = self._clock()
        return [self._change(scope, now) for scope in self._under_way]

    def untell(self) -> None:
        """Puts back the changes that were being sent: they may not have arrived."""
        self._changed |= self._under_way
        self._under_way.clear()

    def told(self, change: Change, said: bytes, server_now_ms: float, *, is_taken: bool) -> None:
        """Takes over the state that the server made of a change. A change that has followed here meanwhile is still to
        be sent, and gets a generation after that state's. Raises `ValueError`."""
        self._under_way.discard(change.scope)
        self._forgotten.discard(change.scope)
        known = self.heard(change.scope, said, server_now_ms)
        mine = self.get(change.scope)
        if is_taken and change.scope in self._changed and change.generation < mine.generation <= known.generation:
            self._keep(change.scope, replace(mine, generation=known.generation + 1))

    def heard(self, scope: str, said: bytes, server_now_ms: float) -> Health:
        """Takes over the server's state of a scope, unless a change made here is still to be sent; returns the latest
        of the server's states. Raises `ValueError`."""
        stored = _stored.decode(said)
        if stored.n >= self._numbers.get(scope, 0):
            self._numbers[scope] = stored.n
            self._known[scope] = self._read(stored, server_now_ms)
        known = self._known.get(scope, WELL)
        if scope not in self._changed and scope not in self._under_way:
            mine = self.get(scope)
            if mine.generation == known.generation and known.cooling_until_at is not None:
                known = replace(known, probe_holder=mine.probe_holder, probe_until_at=mine.probe_until_at)
            self._keep(scope, known)
        return self._known.get(scope, WELL)

    def _read(self, stored: _Stored, server_now_ms: float) -> Health:
        # Bounded, since the server's clock may have been set back.
        left_s = None if stored.u is None else min((stored.u - server_now_ms) / 1000, LONGEST_COOL_DOWN_S)
        return Health(
            generation=max(0, min(int(stored.g), NEWEST_BELIEVED)),
            cooling_until_at=None if left_s is None else self._clock() + left_s,
            reason=Disposition(stored.r) if stored.r else None,
            tallies={family: Tally(*tally) for family, tally in stored.t.items()},
        )

    def forget_all_but(self, scopes: Set[str]) -> None:
        """Takes all scopes but these for well, since the server has no others, unless a change made here is still to be
        sent."""
        for scope in self._health.keys() - scopes - self._changed - self._under_way:
            del self._health[scope]
        for scope in self._known.keys() - scopes:
            del self._known[scope]
            self._numbers.pop(scope, None)

    def tell_all(self) -> None:
        """Marks all states as to be sent, since the server has lost some or all of them."""
        self._forgotten |= self._health.keys() - self._changed
        self._numbers.clear()
        self._changed.update(self._health)

    def _change(self, scope: str, now: float) -> Change:
        health, known = self.get(scope), self._known.get(scope, WELL)
        added = {
            family: more
            for family, tally in health.tallies.items()
            if (more := tally.failures - known.tallies.get(family, Tally()).failures) > 0
        }
        told = _Told(
            g=str(health.generation),
            t={family: (tally.failures, tally.cooldowns) for family, tally in health.tallies.items()},
            a=added,
            f=None if health.cooling_until_at is None else round((health.cooling_until_at - now) * 1000),
            r=health.reason or "",
            c=bool(known.tallies) and not health.tallies,
            o=scope in self._forgotten,
        )
        return Change(scope, known.generation, health.generation, _encode(told))

    def _keep(self, scope: str, health: Health) -> None:
        self.latest = max(self.latest, health.generation)
        if health == WELL:
            self._health.pop(scope, None)
        else:
            self._health[scope] = health


def _public(health: Health) -> Health:
    """The part of a state that the server has: all but the probe."""
    return replace(health, probe_holder="", probe_until_at=0.0)
