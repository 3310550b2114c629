"""Health: what this resolver knows of it, what the server has not been told yet, and how states are written there."""

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
    t: dict[str, tuple[int, int]] = {}
    u: float | None = None
    r: str = ""
    n: int = 0


class _Told(msgspec.Struct, omit_defaults=True):
    """A state as `merge.lua` reads it."""

    g: str
    t: dict[str, tuple[int, int]]
    a: dict[str, int]
    f: int | None = None
    r: str = ""
    c: bool = False
    o: bool = False


_stored = msgspec.json.Decoder(_Stored)


@dataclass(frozen=True, slots=True)
class Change:
    """What the server is told of a scope."""

    scope: str
    base: int
    """The generation that the change starts from."""
    generation: int
    """That it led to here."""
    said: bytes


class HealthMirror:
    """A `HealthStore`."""

    def __init__(self, clock: Clock, note: Callable[[], None], let_go: Callable[[str, str], None]) -> None:
        """`let_go` hears of probes, by scope and holder, that nobody here holds any more."""
        self._clock = clock
        self._note = note
        self._let_go = let_go
        self._health: dict[str, Health] = {}
        self._known: dict[str, Health] = {}
        """As the server last told it."""
        self._numbers: dict[str, int] = {}
        """Which of the server's changes that was: what comes late may be older."""
        self._changed: set[str] = set()
        self._under_way: set[str] = set()
        """What is being told: until the server has it, what is heard is older."""
        self._forgotten: set[str] = set()
        """Of those, what the server has told once and may not know any more."""
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
        """The probe of a scope is somebody else's."""
        health = self.get(scope)
        if health.cooling_until_at is not None:
            self._keep(scope, replace(health, probe_holder="", probe_until_at=until_at))

    def free(self, scope: str) -> None:
        """Nobody has its probe any more, or somebody here."""
        health = self.get(scope)
        if health.probe_until_at and not health.probe_holder:
            self._keep(scope, replace(health, probe_until_at=0.0))

    def changes(self) -> list[Change]:
        """What the server has to be told. It counts as told, unless `untell` says otherwise."""
        self._under_way |= self._changed
        self._changed.clear()
        now = self._clock()
        return [self._change(scope, now) for scope in self._under_way]

    def untell(self) -> None:
        """What is under way may not have arrived."""
        self._changed |= self._under_way
        self._under_way.clear()

    def told(self, change: Change, said: bytes, server_now_ms: float, *, is_taken: bool) -> None:
        """What the server made of a change. What followed it here follows it there. Raises `ValueError`."""
        self._under_way.discard(change.scope)
        self._forgotten.discard(change.scope)
        known = self.heard(change.scope, said, server_now_ms)
        mine = self.get(change.scope)
        if is_taken and change.scope in self._changed and change.generation < mine.generation <= known.generation:
            self._keep(change.scope, replace(mine, generation=known.generation + 1))

    def heard(self, scope: str, said: bytes, server_now_ms: float) -> Health:
        """How the server has it. What has changed here in the meantime is told next. Raises `ValueError`."""
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
        # Where the server's clock has been put back, no more than any cool-down may last.
        left_s = None if stored.u is None else min((stored.u - server_now_ms) / 1000, LONGEST_COOL_DOWN_S)
        return Health(
            generation=max(0, min(int(stored.g), NEWEST_BELIEVED)),
            cooling_until_at=None if left_s is None else self._clock() + left_s,
            reason=Disposition(stored.r) if stored.r else None,
            tallies={family: Tally(*tally) for family, tally in stored.t.items()},
        )

    def forget_all_but(self, scopes: Set[str]) -> None:
        """Those that the server knows nothing of are well, or are told to it."""
        for scope in self._health.keys() - scopes - self._changed - self._under_way:
            del self._health[scope]
        for scope in self._known.keys() - scopes:
            del self._known[scope]
            self._numbers.pop(scope, None)

    def tell_all(self) -> None:
        """The server has forgotten something, or everything."""
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
    """Without the probe, which is no matter of merging."""
    return replace(health, probe_holder="", probe_until_at=0.0)
