"""What an operator does to targets by hand."""

from __future__ import annotations

from typing import Literal

from resolver_service.app.ports import DrainStore, HealthChanged, HealthStore, Revisions, Tell
from resolver_service.domain.catalog import Scopes
from resolver_service.domain.health import cleared


class UnknownTargetError(Exception):
    """No name leads to a target of this id."""

    code = "target_not_found"

    def __init__(self, target_id: str) -> None:
        self.target_id = target_id
        super().__init__(f"no name leads to a target '{target_id[:200]}'")


class Operator:
    """Every method raises `UnknownTargetError`, and then nothing has changed."""

    def __init__(self, revisions: Revisions, health: HealthStore, drains: DrainStore, tell: Tell) -> None:
        self._revisions = revisions
        self._health = health
        self._drains = drains
        self._tell = tell

    def clear(self, target_id: str) -> None:
        """Ends the cool-downs of a target, its credential and its model. Other targets that these kept out come back,
        too."""
        for scope in self._scopes(target_id):
            before = self._health.get(scope)
            after = cleared(before, latest=self._health.latest)
            if after is not before:
                self._health.put(scope, after)
                self._tell(HealthChanged("cleared", scope, target_id, before.reason))

    def drain(self, target_id: str) -> None:
        """Takes a target out of new plans; those that were made are walked as they are."""
        self._scopes(target_id)
        if target_id not in self._drains.drained():
            self._set(target_id, "drained")

    def undrain(self, target_id: str) -> None:
        """Puts it back. What was drained can be put back even while no name leads to it."""
        if target_id in self._drains.drained():
            self._set(target_id, "undrained")
        else:
            self._scopes(target_id)

    def _set(self, target_id: str, state: Literal["drained", "undrained"]) -> None:
        self._drains.put(target_id, drained=state == "drained")
        self._tell(HealthChanged(state, target_id, target_id))

    def _scopes(self, target_id: str) -> Scopes:
        scopes = self._revisions.current.catalog.scopes.get(target_id)
        if scopes is None:
            raise UnknownTargetError(target_id)
        return scopes
