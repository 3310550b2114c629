"""What is asked of the resolver, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resolver_service.domain.abilities import NO_NEEDS, Needs
from resolver_service.domain.catalog import Target
from resolver_service.domain.limits import Allowances


class Query(NamedTuple):
    """What a caller asks for."""

    model: str
    """As the client sent it, with its reasoning suffix if it has one."""
    counting: bool = False
    """Token counting moves no turn and takes no probe."""
    will_report: bool = False
    """Only callers that report what becomes of their attempts get probes, and count as in flight."""
    excluded: frozenset[str] = frozenset()
    """Ids of targets that must not be in the plan."""
    stream: bool = False
    """The answer is to be streamed, which may take longer."""
    needs: Needs = NO_NEEDS
    affinity_key: bytes = b""
    """Of the stored response that the request continues or retrieves; empty for none."""
    affinity_required: bool = False
    """Only the target that made that response may serve."""
    retrieving: bool = False
    """It is about the stored response itself: there is no model, and the target that made it is asked whatever its
    health."""
    client_key: bytes = b""
    """SHA-256 of the key that the client showed; empty for none."""
    key_required: bool = False
    """The key must be known even where there are no clients."""


class PlannedAttempt(NamedTuple):
    target: Target
    reasoning: str
    probe: bool
    health_generation: int


class Course(NamedTuple):
    """The targets to try, in order, and the bounds of the walk."""

    targets: tuple[Target, ...]
    attempts_allowed: int
    total_s: float
    revision: int
    name: str
    """The configured spelling of the name that was found."""
    reasoning: str = ""
    """What the client asked for, which replaces the targets' own; empty for nothing."""
    probes: frozenset[str] = frozenset()
    """The ids of the targets that are probed."""
    health_generation: int = 0
    """The latest generation when it was made: see `domain.health`."""
    depends_on_needs: bool = False
    """A request with other needs may get other targets."""
    is_usual: bool = False
    """This object is cached and goes to other requests as well (`UsualCourses`), so that its encoded form is worth
    keeping."""

    def longest_s(self, stream: bool) -> float:
        """The longest that a walk can take within the time limits."""
        return self.total_s + max((target.timeouts.stream_s for target in self.targets if stream), default=0.0)


class Decision(NamedTuple):
    """A plan: a course for one request."""

    id: str
    course: Course
    limits: Allowances | None = None
    """What the client may still do; None if it has no limits."""

    @property
    def attempts(self) -> tuple[PlannedAttempt, ...]:
        """The targets, each with what holds for it in this plan."""
        course = self.course
        return tuple(
            PlannedAttempt(t, course.reasoning or t.reasoning, t.id in course.probes, course.health_generation)
            for t in course.targets
        )


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as `Explain` shows it."""

    target: Target
    available: bool
    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Explanation:
    decision: Decision | None
    kind: str
    targets: tuple[TargetView, ...]
