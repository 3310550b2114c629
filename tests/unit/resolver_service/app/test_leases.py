from __future__ import annotations

from resolver_service.app.leases import GRACE_S, Leases


class Book:
    """Counts decisions as those do that have leases."""

    def __init__(self) -> None:
        self.leases = Leases(self.lapse)
        self.lapsed: list[str] = []

    def lapse(self, decision_id: str) -> None:
        self.lapsed.append(decision_id)
        self.leases.end(decision_id)

    def lapsed_at(self, now: float) -> list[str]:
        self.leases.forget(now)
        return self.lapsed


def test_a_lease_ends_up_to_five_seconds_late_and_never_early() -> None:
    book = Book()
    book.leases.begin("d", 12.0)
    assert book.lapsed_at(12.0 + GRACE_S + 2.9) == []
    assert book.lapsed_at(12.0 + GRACE_S + 3.0) == ["d"]


def test_that_of_a_stream_that_broke_ends_as_late() -> None:
    book = Book()
    book.leases.begin("d", 1000.0, "edge")
    assert book.leases.caller_left("edge", 12.0) == ("d",)
    assert book.leases.caller_left("edge", 12.0) == ()
    assert book.lapsed_at(12.0 + GRACE_S + 2.9) == []
    assert book.lapsed_at(12.0 + GRACE_S + 3.0) == ["d"]


def test_what_has_ended_does_not_lapse_and_nothing_is_kept_of_it() -> None:
    book = Book()
    for decision_id, caller in (("a", None), ("b", "edge"), ("c", "dead")):
        book.leases.begin(decision_id, 100.0, caller)
    book.leases.caller_left("dead", 50.0)
    for decision_id in "abc":
        book.leases.end(decision_id)
    assert book.lapsed_at(10_000.0) == []
    assert not any((book.leases._leases, book.leases._ending, book.leases._left))
    assert book.leases.caller_left("edge", 10_000.0) == ()
