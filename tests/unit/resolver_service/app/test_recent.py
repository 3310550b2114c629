from __future__ import annotations

from resolver_service.app.recent import WINDOW_S, RecentOutcomes
from resolver_service.domain.policy import Disposition


def test_outcomes_are_counted_by_target_and_kind() -> None:
    recent = RecentOutcomes()
    for disposition in (Disposition.OK, Disposition.OK, Disposition.TIMEOUT):
        recent.note("a", disposition, 100.0)
    recent.note("b", Disposition.OK, 160.0)
    assert recent.counts(170.0) == {
        "a": {Disposition.OK: 2, Disposition.TIMEOUT: 1},
        "b": {Disposition.OK: 1},
    }


def test_they_are_forgotten_after_the_window() -> None:
    recent = RecentOutcomes()
    recent.note("a", Disposition.OK, 0.0)
    recent.note("a", Disposition.OK, 200.0)
    assert recent.counts(WINDOW_S - 1) == {"a": {Disposition.OK: 2}}
    assert recent.counts(WINDOW_S) == {"a": {Disposition.OK: 1}}
    assert recent.counts(10_000.0) == {}


def test_they_take_up_no_more_room_the_longer_they_are_noted() -> None:
    recent = RecentOutcomes()
    for second in range(5000):
        recent.note("a", Disposition.OK, float(second))
    assert sum(recent.counts(4999.0)["a"].values()) <= WINDOW_S
    assert len(recent._ticks) <= 10
