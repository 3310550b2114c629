from __future__ import annotations

from dataclasses import replace

import pytest

from resolver_service.domain.catalog import Scopes
from resolver_service.domain.health import (
    NEWEST_BELIEVED,
    PROBE_LEASE_S,
    WELL,
    Availability,
    Health,
    cleared,
    failed,
    probe_returned,
    probe_taken,
    scope_failed,
    succeeded,
    worst,
)
from resolver_service.domain.policy import CoolDownBounds, Disposition

NOW = 5000.0
BOUNDS = CoolDownBounds()
READY, PROBE, OUT = Availability.READY, Availability.PROBE, Availability.OUT
COOLING = [
    Disposition.RATE_LIMITED,
    Disposition.QUOTA,
    Disposition.CREDENTIAL,
    Disposition.MODEL_MISSING,
    Disposition.OVERLOADED,
    Disposition.SERVER_ERROR,
    Disposition.TIMEOUT,
    Disposition.BROKEN,
    Disposition.EMPTY,
    Disposition.UNREACHABLE,
]
NEVER_COOLING = [d for d in Disposition if d not in COOLING]


def fail(
    health: Health,
    disposition: Disposition = Disposition.RATE_LIMITED,
    *,
    told_s: float | None = None,
    now: float = NOW,
    generation: int | None = None,
    times: int = 1,
    bounds: CoolDownBounds = BOUNDS,
) -> Health:
    """Failures in a row, of the present generation unless told."""
    for _ in range(times):
        planned = health.generation if generation is None else generation
        health = failed(
            health, generation=planned, disposition=disposition, retry_after_s=told_s, now=now, bounds=bounds
        )
    return health


def cooled(disposition: Disposition = Disposition.RATE_LIMITED) -> Health:
    """Cooling since `NOW`, for the first time."""
    return fail(WELL, disposition, times=FAILURES_NEEDED[disposition])


FAILURES_NEEDED = {
    Disposition.RATE_LIMITED: 1,
    Disposition.QUOTA: 1,
    Disposition.CREDENTIAL: 1,
    Disposition.MODEL_MISSING: 1,
    Disposition.OVERLOADED: 2,
    Disposition.SERVER_ERROR: 5,
    Disposition.TIMEOUT: 5,
    Disposition.BROKEN: 5,
    Disposition.EMPTY: 5,
    Disposition.UNREACHABLE: 2,
}
COOL_DOWNS = {
    Disposition.RATE_LIMITED: [30, 60, 120, 240, 300, 300],
    Disposition.QUOTA: [300, 300],
    Disposition.CREDENTIAL: [300, 300],
    Disposition.MODEL_MISSING: [300, 300],
    Disposition.OVERLOADED: [10, 20, 40, 80, 160, 300, 300],
    Disposition.SERVER_ERROR: [*range(30, 301, 30), 300],
    Disposition.TIMEOUT: [*range(30, 301, 30), 300],
    Disposition.BROKEN: [*range(30, 301, 30), 300],
    Disposition.EMPTY: [*range(30, 301, 30), 300],
    Disposition.UNREACHABLE: [*range(30, 301, 30), 300],
}


# --- When it cools, and for how long ---------------------------------------------------------------------------------


def test_a_target_that_nothing_happened_to_is_ready() -> None:
    assert WELL.availability(NOW) is READY
    assert WELL.retry_after_s(NOW) == 0
    assert WELL.generation == 0


@pytest.mark.parametrize("disposition", COOLING)
def test_so_many_failures_in_a_row_cool_a_target(disposition: Disposition) -> None:
    health = fail(WELL, disposition, times=FAILURES_NEEDED[disposition] - 1)
    assert health.availability(NOW) is READY
    assert health.generation == 0
    health = fail(health, disposition)
    assert health.availability(NOW) is OUT
    assert health.generation == 1
    assert health.reason is disposition


@pytest.mark.parametrize("disposition", COOLING)
def test_each_cool_down_without_a_success_between_is_longer_up_to_five_minutes(disposition: Disposition) -> None:
    health, now = cooled(disposition), NOW
    for duration_s in COOL_DOWNS[disposition]:
        assert health.retry_after_s(now) == duration_s
        assert health.availability(now + duration_s - 0.001) is OUT
        now += duration_s
        assert health.availability(now) is PROBE
        # Whoever was not well has nothing to prove: one failure is enough.
        health = fail(health, disposition, now=now)


@pytest.mark.parametrize("disposition", NEVER_COOLING)
def test_what_is_not_the_target_s_fault_changes_nothing(disposition: Disposition) -> None:
    for health in (WELL, cooled()):
        assert fail(health, disposition, told_s=100, times=9) is health


def test_failures_of_one_family_count_together() -> None:
    health = WELL
    for disposition in (
        Disposition.SERVER_ERROR,
        Disposition.TIMEOUT,
        Disposition.BROKEN,
        Disposition.EMPTY,
        Disposition.TIMEOUT,
    ):
        assert health.availability(NOW) is READY
        health = fail(health, disposition)
    assert health.availability(NOW) is OUT
    assert health.reason is Disposition.TIMEOUT


def test_failures_of_different_families_count_apart() -> None:
    health = fail(WELL, Disposition.SERVER_ERROR, times=4)
    health = fail(fail(health, Disposition.OVERLOADED), Disposition.UNREACHABLE)
    assert health.availability(NOW) is READY
    assert fail(health, Disposition.OVERLOADED).availability(NOW) is OUT


def test_a_success_begins_the_count_anew() -> None:
    health = fail(WELL, Disposition.SERVER_ERROR, times=4)
    health = succeeded(health, generation=0)
    assert fail(health, Disposition.SERVER_ERROR, times=4).availability(NOW) is READY


def test_a_rate_limit_does_not_count_against_the_health() -> None:
    health = fail(WELL, Disposition.SERVER_ERROR, times=4)
    limited = fail(health, told_s=1)
    assert limited.tallies["server-error"] == health.tallies["server-error"]
    # And the first ejection that follows is as long as a first one.
    ejected = fail(limited, Disposition.SERVER_ERROR, now=NOW + 1)
    assert ejected.retry_after_s(NOW + 1) == 30


# --- What the provider said ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disposition", [Disposition.RATE_LIMITED, Disposition.QUOTA, Disposition.OVERLOADED])
@pytest.mark.parametrize(
    ("told_s", "duration_s"),
    [(17.5, 17.5), (1, 1), (300, 300), (0, 1), (0.2, 1), (-5, 1), (301, 300), (86_400, 300), (float("inf"), 300)],
)
def test_a_retry_after_is_obeyed_at_once_within_one_second_and_five_minutes(
    disposition: Disposition, told_s: float, duration_s: float
) -> None:
    health = fail(WELL, disposition, told_s=told_s)
    assert health.retry_after_s(NOW) == duration_s
    assert health.availability(NOW) is OUT


@pytest.mark.parametrize(
    ("told_s", "duration_s"), [(0, 0.1), (0.1, 0.1), (0.2, 0.2), (3600, 3600), (86_400, 86_400), (1e9, 86_400)]
)
def test_a_retry_after_is_obeyed_within_other_bounds(told_s: float, duration_s: float) -> None:
    assert fail(WELL, told_s=told_s, bounds=CoolDownBounds(0.1, 86_400)).cooling_until_at == NOW + duration_s


@pytest.mark.parametrize("disposition", COOLING)
def test_no_cool_down_begins_that_is_longer_than_the_upper_bound(disposition: Disposition) -> None:
    health, now = WELL, NOW
    for _ in range(FAILURES_NEEDED[disposition]):
        health = fail(health, disposition, bounds=CoolDownBounds(1, 45))
    for own_s in COOL_DOWNS[disposition]:
        assert health.retry_after_s(now) == min(own_s, 45)
        now += 45
        health = fail(health, disposition, now=now, bounds=CoolDownBounds(1, 45))


@pytest.mark.parametrize("disposition", COOLING)
def test_a_cool_down_that_nothing_was_said_about_is_as_long_as_it_is_whatever_else_is_allowed(
    disposition: Disposition,
) -> None:
    wide = CoolDownBounds(3600, 86_400)
    assert fail(WELL, disposition, times=FAILURES_NEEDED[disposition], bounds=wide) == cooled(disposition)


def test_a_lower_bound_that_came_later_shortens_nothing() -> None:
    health = fail(WELL, told_s=200)
    again = fail(health, told_s=200, now=NOW + 10, bounds=CoolDownBounds(1, 2))
    assert again.retry_after_s(NOW + 10) == 190
    late = fail(health, told_s=9999, generation=0, now=NOW + 199, bounds=CoolDownBounds(1, 2))
    assert late == replace(health, cooling_until_at=NOW + 201)


@pytest.mark.parametrize("disposition", [Disposition.SERVER_ERROR, Disposition.UNREACHABLE, Disposition.TIMEOUT])
def test_a_retry_after_of_other_failures_means_nothing(disposition: Disposition) -> None:
    assert fail(WELL, disposition, told_s=100).availability(NOW) is READY


def test_a_short_retry_after_never_shortens_a_cool_down() -> None:
    health = fail(WELL, told_s=200)
    again = fail(health, told_s=1, now=NOW + 10)
    assert again.retry_after_s(NOW + 10) == 190


def test_a_cool_down_that_nothing_was_said_about_never_shortens_one() -> None:
    health = fail(WELL, Disposition.CREDENTIAL)
    assert fail(health, Disposition.RATE_LIMITED, now=NOW + 10).retry_after_s(NOW + 10) == 290


# --- Generations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disposition", COOLING)
def test_thirty_two_parallel_failures_are_one_cool_down(disposition: Disposition) -> None:
    health = fail(WELL, disposition, times=32, generation=0)
    assert health == cooled(disposition)


def test_thirty_two_parallel_429s_cool_as_long_as_the_longest_retry_after() -> None:
    health = WELL
    for told_s in (3, 50, 7, *range(1, 30)):
        health = fail(health, told_s=told_s, generation=0)
    assert health.generation == 1
    assert health.retry_after_s(NOW) == 50
    assert health.tallies["rate"].cooldowns == 1


def test_an_older_generation_extends_by_its_retry_after() -> None:
    health = cooled()
    extended = fail(health, told_s=100, generation=0, now=NOW + 5)
    assert extended == replace(health, cooling_until_at=NOW + 105)


def test_an_older_generation_without_a_retry_after_changes_nothing() -> None:
    health = cooled()
    for disposition in COOLING:
        assert fail(health, disposition, generation=0, now=NOW + 20) == health


def test_an_older_generation_neither_clears_nor_restores() -> None:
    for health in (cooled(), probe_taken(cooled(), holder="d", now=NOW + 30)):
        assert succeeded(health, generation=0) == health


def test_an_older_generation_does_not_begin_the_count_of_the_present_one_anew() -> None:
    well_again = succeeded(cooled(), generation=1)
    health = fail(well_again, Disposition.SERVER_ERROR, times=4)
    assert succeeded(health, generation=1) == health


def test_an_older_generation_does_not_count_against_a_target_that_is_well_again() -> None:
    health = succeeded(cooled(), generation=1)
    assert health.availability(NOW) is READY
    for disposition in COOLING:
        assert fail(health, disposition, told_s=100, generation=1, times=32) == health
        assert fail(health, disposition, told_s=100, generation=0, times=32) == health


def test_a_newer_generation_is_that_of_a_resolver_that_forgot_and_counts_once() -> None:
    health = fail(WELL, times=32, generation=7)
    assert health.retry_after_s(NOW) == 30
    assert health.generation == 8
    assert health.tallies["rate"].cooldowns == 1


def test_a_success_of_a_newer_generation_restores() -> None:
    health = succeeded(cooled(), generation=7)
    assert health.availability(NOW) is READY
    assert health.generation == 8


def test_a_success_of_a_generation_that_nobody_has_given_out_leaves_room_for_those_that_follow() -> None:
    for generation in (NEWEST_BELIEVED, NEWEST_BELIEVED + 1, 2**64 - 1):
        assert succeeded(cooled(), generation=generation) == Health(generation=NEWEST_BELIEVED + 1)


# --- Probes ----------------------------------------------------------------------------------------------------------


def test_one_probe_is_out_at_a_time() -> None:
    health = cooled()
    later = NOW + 30
    assert health.availability(later) is PROBE
    held = probe_taken(health, holder="d1", now=later)
    assert held.availability(later) is OUT
    assert held.generation == health.generation


def test_a_probe_expires() -> None:
    held = probe_taken(cooled(), holder="d1", now=NOW + 30)
    assert held.retry_after_s(NOW + 40) == PROBE_LEASE_S - 10
    assert held.availability(NOW + 30 + PROBE_LEASE_S - 0.001) is OUT
    assert held.availability(NOW + 30 + PROBE_LEASE_S) is PROBE
    assert held.retry_after_s(NOW + 30 + PROBE_LEASE_S) == 0


def test_a_probe_that_was_not_used_comes_back() -> None:
    held = probe_taken(cooled(), holder="d1", now=NOW + 30)
    assert probe_returned(held, holder="d1").availability(NOW + 31) is PROBE


def test_only_its_holder_can_give_a_probe_back() -> None:
    held = probe_taken(cooled(), holder="d2", now=NOW + 30)
    for other in ("d1", ""):
        assert probe_returned(held, holder=other) == held


def test_what_was_never_taken_cannot_come_back() -> None:
    for health in (WELL, cooled()):
        assert probe_returned(health, holder="d1") is health


def test_a_probe_that_serves_restores() -> None:
    held = probe_taken(cooled(), holder="d1", now=NOW + 30)
    restored = succeeded(held, generation=held.generation)
    assert restored == Health(generation=2)
    assert restored.availability(NOW + 31) is READY


def test_a_probe_that_fails_doubles() -> None:
    held = probe_taken(cooled(), holder="d1", now=NOW + 30)
    again = fail(held, now=NOW + 40)
    assert again.generation == 2
    assert again.availability(NOW + 40) is OUT
    assert again.retry_after_s(NOW + 40) == 60
    # The lease is over with it: at the end of the cool-down there is a probe for someone else.
    assert again.availability(NOW + 100) is PROBE


@pytest.mark.parametrize("disposition", COOLING)
def test_a_target_that_was_not_well_cools_again_at_one_failure_of_any_kind(disposition: Disposition) -> None:
    again = fail(probe_taken(cooled(), holder="d1", now=NOW + 30), disposition, now=NOW + 40)
    assert again.availability(NOW + 40) is OUT
    assert (again.reason, again.generation) == (disposition, 2)


def test_after_a_success_the_first_cool_down_is_the_shortest_again() -> None:
    health = fail(fail(cooled(), now=NOW + 30), now=NOW + 90)
    restored = succeeded(health, generation=health.generation)
    assert fail(restored).retry_after_s(NOW) == 30


def test_a_probe_that_is_late_is_believed_as_long_as_nobody_else_has_reported() -> None:
    first = probe_taken(cooled(), holder="d1", now=NOW + 30)
    second = probe_taken(first, holder="d2", now=NOW + 30 + PROBE_LEASE_S)
    restored = succeeded(second, generation=1)
    assert restored.availability(NOW + 100) is READY
    assert fail(restored, generation=1) == restored


def test_an_extension_outlives_the_probe_that_is_under_way() -> None:
    held = probe_taken(cooled(), holder="d1", now=NOW + 30)
    extended = fail(held, told_s=120, generation=0, now=NOW + 31)
    assert extended.probe_holder == "d1"
    assert probe_returned(extended, holder="d1").availability(NOW + 32) is OUT


# --- Scopes ----------------------------------------------------------------------------------------------------------


def test_a_failure_is_one_of_the_target_the_credential_or_the_model() -> None:
    scopes = Scopes(target="t", credential="c", model="m")
    others = {Disposition.QUOTA: "c", Disposition.CREDENTIAL: "c", Disposition.MODEL_MISSING: "m"}
    assert {d: scope_failed(scopes, d) for d in Disposition} == {d: others.get(d, "t") for d in Disposition}


def test_the_worst_is_out_for_longest_or_else_waits_for_a_probe() -> None:
    well, long, short = Health(generation=9), fail(WELL, told_s=200), fail(WELL, told_s=20)
    held = probe_taken(short, holder="d", now=NOW + 200)
    assert worst((well, short, long), NOW) is long
    assert worst((well, short, WELL), NOW + 200) is short
    assert worst((well, long, held), NOW + 200) is held
    assert worst((well, WELL), NOW) is well


def test_the_next_generation_is_after_the_latest_of_any_scope() -> None:
    health = failed(
        WELL, generation=4, disposition=Disposition.QUOTA, retry_after_s=None, now=NOW, bounds=BOUNDS, latest=11
    )
    assert health.generation == 12
    assert succeeded(health, generation=12, latest=20).generation == 21


# --- What an operator says ------------------------------------------------------------------------------------------


def test_a_clear_restores_and_what_was_planned_before_it_counts_no_more() -> None:
    for health in (cooled(), fail(WELL, Disposition.SERVER_ERROR), probe_taken(cooled(), holder="d", now=NOW + 30)):
        well = cleared(health, latest=7)
        assert well == Health(generation=8)
        assert fail(well, told_s=100, generation=7) == well
    for nothing_to_clear in (WELL, Health(generation=4)):
        assert cleared(nothing_to_clear, latest=7) is nothing_to_clear
