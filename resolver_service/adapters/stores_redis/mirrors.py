"""Local copies of what the server has, which resolves read without waiting, and the changes that are still to be
written to it."""

from __future__ import annotations

from collections.abc import Callable

from resolver_service.adapters.stores_redis.bindings import BindingMirror
from resolver_service.adapters.stores_redis.drains import DrainMirror
from resolver_service.adapters.stores_redis.health import HealthMirror
from resolver_service.adapters.stores_redis.limits import LimitsMirror
from resolver_service.adapters.stores_redis.probes import ProbeMirror
from resolver_service.adapters.stores_redis.rotation import RotationMirror
from resolver_service.app.ports import Clock


class Mirrors:
    def __init__(self, clock: Clock, note: Callable[[], None], note_limits: Callable[[], None]) -> None:
        """`note` is called when there is a change to be written, `note_limits` when there is one that goes along with
        the next request for turns."""
        self.probes = ProbeMirror(note)
        self.rotation = RotationMirror()
        self.health = HealthMirror(clock, note, self.probes.let_go)
        self.drains = DrainMirror(note)
        self.bindings = BindingMirror(note)
        self.limits = LimitsMirror(clock, note_limits)

    def tell_all(self) -> None:
        """Marks everything as to be written, since the server has lost some or all of it."""
        self.health.tell_all()
        self.drains.tell_all()
        self.bindings.tell_all()
