"""A cache of the courses for the usual case: every target behind the name is available.

Then a course depends on nothing but the name and whose turn it is, and is made once for each revision and health
generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from resolver_service.app.decisions import Course, Query
from resolver_service.app.ports import DrainStore, HealthStore, Revision
from resolver_service.domain import selection
from resolver_service.domain.abilities import NO_NEEDS
from resolver_service.domain.catalog import Group, RawModel
from resolver_service.domain.selection import TurnKey, Turns

MOST_KEPT = 1_000
"""With what goes over the wire, some 2 MB."""

Taken: TypeAlias = tuple[Course, tuple[TurnKey, ...]]
"""A course, and the turns that it takes."""


class UsualCourses:
    def __init__(self, health: HealthStore, drains: DrainStore, in_flight: Mapping[str, int]) -> None:
        """`in_flight` are the counts by target, a view that changes as they do."""
        self._health = health
        self._drains = drains
        self._in_flight = in_flight
        # Not the revision itself: a reference to it would keep a replaced configuration in memory.
        self._number, self._digest = 0, ""
        self._generation = 0
        self._kept: dict[tuple[str, int], Taken] = {}
        """By the name, in its own spelling, and the place of the target whose turn it is."""

    def find(self, query: Query, revision: Revision, entry: Group | RawModel, turns: Turns) -> Taken | None:
        """Of an entry of this revision, asked for without a reasoning suffix. None if some target behind it may be
        unavailable, or the entry is no plain rotation (`ring`)."""
        ring = entry.ring
        if (
            ring is None
            or self._in_flight
            or query.excluded
            or self._drains.drained()
            or not self._health.scopes().isdisjoint(entry.scopes)
            or (entry.has_abilities and query.needs != NO_NEEDS)
        ):
            return None
        if (
            revision.number != self._number
            or revision.digest != self._digest
            or self._health.latest != self._generation
        ):
            self._number, self._digest, self._generation = revision.number, revision.digest, self._health.latest
            self._kept = {}
        key = (entry.id, selection.first_of(ring, turns))
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept = {}
            found = self._kept[key] = self._put_together(revision, entry, turns)
        return found

    def _put_together(self, revision: Revision, entry: Group | RawModel, turns: Turns) -> Taken:
        policy = entry.policy
        order = selection.order(entry, None, turns, policy.attempts)
        course = Course(
            order.targets,
            policy.attempts,
            policy.timeouts.total_s,
            revision.number,
            entry.id,
            health_generation=self._generation,
            depends_on_needs=entry.has_abilities,
            is_usual=True,
        )
        return course, order.took
