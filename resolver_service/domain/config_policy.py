"""Policy blocks: how they are written, and which of several wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from resolver_service.domain.config_reader import Section, choice_of, kind_of
from resolver_service.domain.durations import LONGEST_S, SHORTEST_S, duration_s, text_of
from resolver_service.domain.policy import (
    LONGEST_COOL_DOWN_S,
    CoolDownBounds,
    Disposition,
    Failover,
    OnExhausted,
    Policy,
)

MOST_ATTEMPTS = 100
SHORTEST_COOL_DOWN_S = 0.1

_KEYS = ("attempts", "on-exhausted", "timeouts", "failover")
_ADVICE = {"cool-down": "it belongs in the policy at the top level, and holds for all providers"}
_TIMEOUTS = {
    "connect": "connect_s",
    "headers": "headers_s",
    "first-content": "first_content_s",
    "idle": "idle_s",
    "total": "total_s",
    "stream": "stream_s",
}
_FAILOVER = ("never", "also")
_COOL_DOWN = {"min": "min_s", "max": "max_s"}
FAILURES = tuple(d for d in Disposition if d not in (Disposition.OK, Disposition.CANCELLED))


@dataclass(frozen=True, slots=True)
class Block:
    """A policy block as written: what it leaves out is settled by others."""

    attempts: int | None = None
    on_exhausted: OnExhausted | None = None
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """Seconds, by field of `Timeouts`."""
    never: tuple[Disposition, ...] | None = None
    also: tuple[Disposition, ...] | None = None

    def over(self, lower: Policy) -> Policy:
        """The policy where this block is in force and `lower` is what is settled without it."""
        if self is NOTHING_SAID:
            return lower
        return Policy(
            attempts=lower.attempts if self.attempts is None else self.attempts,
            on_exhausted=lower.on_exhausted if self.on_exhausted is None else self.on_exhausted,
            timeouts=replace(lower.timeouts, **self.timeouts) if self.timeouts else lower.timeouts,
            failover=Failover(
                never=lower.failover.never if self.never is None else self.never,
                also=lower.failover.also if self.also is None else self.also,
            ),
        )


NOTHING_SAID = Block()


def read_policy(parent: Section) -> Block:
    """The block under a section's `policy`."""
    if parent.get("policy") is None:
        return NOTHING_SAID
    return _block(parent.section("policy", _KEYS, advice=_ADVICE))


def read_defaults(root: Section) -> tuple[Block, CoolDownBounds]:
    """The policy block at the top level, and `cool-down`, which only that one may have."""
    section = root.section("policy", (*_KEYS, "cool-down"))
    return _block(section), _cool_down(section.section("cool-down", tuple(_COOL_DOWN)))


def _block(section: Section) -> Block:
    failover = section.section("failover", _FAILOVER)
    never, also = (_dispositions(failover, key) for key in _FAILOVER)
    _contradictions(failover, never, also)
    return Block(
        attempts=section.integer("attempts", 1, MOST_ATTEMPTS),
        on_exhausted=section.choice("on-exhausted", "value", OnExhausted),
        timeouts=_timeouts(section.section("timeouts", tuple(_TIMEOUTS))),
        never=never,
        also=also,
    )


def _timeouts(section: Section) -> dict[str, float]:
    timeouts = {}
    for key, name in _TIMEOUTS.items():
        seconds = _duration_s(section, key)
        if seconds is not None:
            timeouts[name] = seconds
    return timeouts


def _cool_down(section: Section) -> CoolDownBounds:
    told: dict[str, float] = {}
    for key, name in _COOL_DOWN.items():
        seconds = _duration_s(section, key, SHORTEST_COOL_DOWN_S, LONGEST_COOL_DOWN_S)
        if seconds is not None:
            told[name] = seconds
    bounds = CoolDownBounds(**told)
    # The default of one that cannot be used is no measure for the other.
    can_be_used = all(section.get(key) is None or name in told for key, name in _COOL_DOWN.items())
    if can_be_used and bounds.min_s > bounds.max_s:
        if "max_s" in told:
            section.problem("max", f"must not be less than 'min', which is {text_of(bounds.min_s)}")
        else:
            section.problem("min", f"must not be more than 'max', which is {text_of(bounds.max_s)} unless told")
    return bounds


def _duration_s(
    section: Section, key: str, shortest_s: float = SHORTEST_S, longest_s: float = LONGEST_S
) -> float | None:
    """None if there is none, or a problem."""
    value = section.get(key)
    if isinstance(value, str):
        try:
            return duration_s(value, shortest_s, longest_s)
        except ValueError as error:
            section.problem(key, str(error))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        section.problem(key, "write it with a unit, such as 90s")
    elif value is not None:
        section.problem(key, f"expected a duration such as 90s, got {kind_of(value)}")
    return None


def _dispositions(section: Section, key: str) -> tuple[Disposition, ...] | None:
    if section.get(key) is None:
        return None
    found: dict[Disposition, None] = {}
    for path, value in section.items(key) or ():
        if value in (Disposition.OK, Disposition.CANCELLED):
            section.problems.add(path, f"'{value}' is no failure, so there is nothing to move on from")
            continue
        disposition = choice_of(section.problems, path, value, "disposition", FAILURES)
        if disposition in found:
            section.problems.add(path, f"'{disposition}' is listed twice")
        elif disposition is not None:
            found[disposition] = None
    return tuple(found)


def _contradictions(
    section: Section, never: tuple[Disposition, ...] | None, also: tuple[Disposition, ...] | None
) -> None:
    for path, value in section.items("also") or () if never and also else ():
        if value in (never or ()):
            section.problems.add(path, f"'{value}' stands in 'never' too; one of the two must go")
