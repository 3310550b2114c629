"""The health of one scope: a state machine over immutable states, told what happened and what time it is.

A scope is a target, a credential of a provider, or a model at a provider. A failure cools the one scope that it is a
failure of, a success restores all of the target's, and a target is as well as the worst of its scopes. So a refused key
takes all its targets out at once, and one probe, of whichever of them, brings them all back.

    well --failures beyond its rule--> cooling --time--> waiting for a probe --success--> well
                                          ^                      |
                                          +------failure, longer-+

Many requests are under way when a target falls over, and all of them report it. So every state has a generation, an
attempt carries the generation it was planned under, and a report of an older one can lengthen a cool-down but never
clear, count or escalate it: 32 parallel 429s are one.

An attempt carries one number, and its target has three scopes. So generations are not counted scope by scope: a scope
that begins to cool, or does so again, or is restored, gets a generation after the `latest` that any scope of this
resolver has; and an attempt carries the latest there was when it was planned. It is older, for a scope, exactly if the
scope has changed since. A report may also be of a generation that is yet to come here, from a plan that was made before
this resolver forgot everything, or by another resolver; the next generation is after that one as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from resolver_service.domain.catalog import Scopes
from resolver_service.domain.policy import CoolDownBounds, Disposition

PROBE_LEASE_S = 60.0
"""How long a probe may take before another request becomes the probe."""

NEWEST_BELIEVED = 2**52
"""Generations that are reported beyond it are taken for this one. Those that follow must have room in 64 bits, and in
the floating-point numbers that scripts of a shared store count in."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a kind of failure cools a target, and for how long."""

    family: str
    """Failures of one family are counted together."""
    after: int
    """This many in a row, that is without a success between them."""
    base_s: float
    doubling: bool
    """Whether each cool-down without a success between is twice as long as the last, else one `base_s` longer."""
    cap_s: float = 300.0

    def duration_s(self, level: int) -> float:
        """How long, after `level` cool-downs without a success."""
        factor = 2.0 ** min(level, 30) if self.doubling else level + 1
        return min(self.cap_s, self.base_s * factor)


_SERVER_ERROR = Rule("server-error", after=5, base_s=30, doubling=False)
_LASTING = Rule("account", after=1, base_s=300, doubling=True)

RULES: Mapping[Disposition, Rule] = MappingProxyType(
    {
        Disposition.RATE_LIMITED: Rule("rate", after=1, base_s=30, doubling=True),
        Disposition.QUOTA: _LASTING,
        Disposition.CREDENTIAL: _LASTING,
        Disposition.MODEL_MISSING: _LASTING,
        Disposition.OVERLOADED: Rule("overload", after=2, base_s=10, doubling=True),
        Disposition.SERVER_ERROR: _SERVER_ERROR,
        Disposition.TIMEOUT: _SERVER_ERROR,
        Disposition.BROKEN: _SERVER_ERROR,
        Disposition.EMPTY: _SERVER_ERROR,
        Disposition.UNREACHABLE: Rule("unreachable", after=2, base_s=30, doubling=False),
    }
)
"""Dispositions that are not here never cool a target."""

TOLD = frozenset({Disposition.RATE_LIMITED, Disposition.QUOTA, Disposition.OVERLOADED})
"""Dispositions with which a Retry-After is obeyed, and cools at once."""

_OF_THE_CREDENTIAL = frozenset({Disposition.QUOTA, Disposition.CREDENTIAL})

LIMITS = frozenset({Disposition.RATE_LIMITED, Disposition.QUOTA})
"""A target that cools for one of these has reached a limit; for any other, it is broken."""


class Availability(StrEnum):
    READY = "ready"
    PROBE = "probe"
    """Its cool-down is over, and no probe is under way."""
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Tally:
    """What one family of failures has come to since the last success."""

    failures: int = 0
    cooldowns: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """Instants are seconds on the clock that the machine is told of."""

    generation: int = 0
    cooling_until_at: float | None = None
    """Set while cooling and while waiting for a probe to succeed; None when well."""
    reason: Disposition | None = None
    probe_holder: str = ""
    """The decision whose plan holds the probe."""
    probe_until_at: float = 0.0
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    def availability(self, now: float) -> Availability:
        if self.cooling_until_at is None:
            return Availability.READY
        if now < self.cooling_until_at or now < self.probe_until_at:
            return Availability.OUT
        return Availability.PROBE

    def retry_after_s(self, now: float) -> float:
        """How long until it may be tried again; 0 when it may be now."""
        if self.cooling_until_at is None:
            return 0.0
        return max(0.0, self.cooling_until_at - now, self.probe_until_at - now)


WELL = Health()


def scope_failed(scopes: Scopes, disposition: Disposition) -> str:
    """The scope that a failure counts against."""
    if disposition in _OF_THE_CREDENTIAL:
        return scopes.credential
    return scopes.model if disposition is Disposition.MODEL_MISSING else scopes.target


def worst(healths: Iterable[Health], now: float) -> Health:
    """The one that is out for longest, else one that waits for a probe, else one that is well."""
    return max(healths, key=lambda health: (health.retry_after_s(now), health.cooling_until_at is not None))


def failed(
    health: Health,
    *,
    generation: int,
    disposition: Disposition,
    retry_after_s: float | None,
    now: float,
    bounds: CoolDownBounds,
    latest: int = 0,
) -> Health:
    """An attempt that was planned under `generation` failed. `retry_after_s` is what the provider said, unclamped."""
    generation = min(generation, NEWEST_BELIEVED)
    rule = RULES.get(disposition)
    if rule is None:
        return health
    told_s = None
    if retry_after_s is not None and disposition in TOLD:
        told_s = min(max(retry_after_s, bounds.min_s), bounds.max_s)
    if generation < health.generation:
        if told_s is None or health.cooling_until_at is None:
            return health
        return replace(health, cooling_until_at=max(health.cooling_until_at, now + told_s))

    tally = health.tallies.get(rule.family, Tally())
    tally = replace(tally, failures=tally.failures + 1)
    # A target that was not well has nothing to prove: one more failure is enough to cool it again.
    if told_s is None and health.cooling_until_at is None and tally.failures < rule.after:
        return replace(health, tallies={**health.tallies, rule.family: tally})
    duration_s = min(rule.duration_s(tally.cooldowns), bounds.max_s) if told_s is None else told_s
    return Health(
        generation=max(generation, latest) + 1,
        cooling_until_at=max(health.cooling_until_at or now, now + duration_s),
        reason=disposition,
        tallies={**health.tallies, rule.family: replace(tally, cooldowns=tally.cooldowns + 1)},
    )


def succeeded(health: Health, *, generation: int, latest: int = 0) -> Health:
    """An attempt that was planned under `generation` was served in full."""
    generation = min(generation, NEWEST_BELIEVED)
    if generation < health.generation:
        return health
    if health.cooling_until_at is None:
        return replace(health, tallies={}) if health.tallies else health
    return Health(generation=max(generation, latest) + 1)


def cleared(health: Health, *, latest: int) -> Health:
    """An operator says that it is well. Reports of attempts that were planned before do not count any more."""
    if health.cooling_until_at is None and not health.tallies:
        return health
    return Health(generation=max(health.generation, latest) + 1)


def probe_taken(health: Health, *, holder: str, now: float) -> Health:
    """The plan of decision `holder` has got the probe."""
    return replace(health, probe_holder=holder, probe_until_at=now + PROBE_LEASE_S)


def probe_returned(health: Health, *, holder: str) -> Health:
    """Decision `holder` is closed. If it still has the probe, the next request may have it."""
    if health.probe_holder != holder:
        return health
    return replace(health, probe_holder="", probe_until_at=0.0)
