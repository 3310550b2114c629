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
    """Of what the request goes on from, or wants; empty for nothing."""
    affinity_required: bool = False
    """Only who made that may serve."""
    retrieving: bool = False
    """It wants what was made itself: there is no model, and who made it is asked, however well it is."""
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
    """What to try, in which order and how far."""

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
    """That it was made under."""
    depends_on_needs: bool = False
    """Other needs may lead to other attempts."""
    is_usual: bool = False
    """This object goes to others as well: what is made of it is worth keeping."""

    def longest_s(self, stream: bool) -> float:
        """How long whoever keeps to it takes at most."""
        return self.total_s + max((target.timeouts.stream_s for target in self.targets if stream), default=0.0)


class Decision(NamedTuple):
    """A plan: a course for one request."""

    id: str
    course: Course
    limits: Allowances | None = None
    """What the client may still do; None if it has no limits."""

    @property
    def attempts(self) -> tuple[PlannedAttempt, ...]:
        """What each target comes to in this plan."""
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
