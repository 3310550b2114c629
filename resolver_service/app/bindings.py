"""Remembers which target made which stored response."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from resolver_service.app.ports import BindingStore, Clock
from resolver_service.domain.bindings import Binding

MOST_OPEN = 100_000
"""Decisions whose names are remembered; some 20 MB. Those that are never closed go when there are more."""


class Bindings:
    """Binds keys to targets. It never sees what they are keys of."""

    def __init__(self, store: BindingStore, wall_clock: Clock) -> None:
        """`wall_clock`: seconds since the epoch, since bindings outlive a restart."""
        self._store = store
        self._wall_clock = wall_clock
        self._names: OrderedDict[str, str] = OrderedDict()
        """By decision, as long as it is open."""

    def decided(self, decision_id: str, name: str) -> None:
        """The decision was made under this configured name, and something may be bound by it."""
        self._names[decision_id] = name
        if len(self._names) > MOST_OPEN:
            self._names.popitem(last=False)

    def closed(self, decision_id: str) -> None:
        self._names.pop(decision_id, None)

    def bind(self, decision_id: str, key: bytes, target_id: str, model: str) -> Literal["applied", "repeated"]:
        """`model` is taken for the name if the decision is not known: another resolver made it, or it is from before a
        restart. A report that comes again after its decision was closed changes nothing."""
        name, known = self._names.get(decision_id), self.find(key)
        if known is not None and known.target_id == target_id and name in (None, known.name):
            return "repeated"
        self._store.put(key, Binding(target_id, name or model, self._wall_clock()))
        return "applied"

    def find(self, key: bytes) -> Binding | None:
        binding = self._store.get(key)
        if binding is not None and binding.is_over(self._wall_clock()):
            self._store.forget(key)
            return None
        return binding
