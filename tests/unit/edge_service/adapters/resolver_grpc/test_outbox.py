from __future__ import annotations

from edge_service.adapters.resolver_grpc.outbox import Outbox
from forebay.resolver.v1 import resolver_service_pb2 as pb


def filled(reports: int, most: int = 1000) -> Outbox:
    outbox = Outbox(most)
    for number in range(reports):
        outbox.put(pb.OutcomeReport(decision_id=f"d{number}"))
    return outbox


def decisions(items: list[pb.ReportItem]) -> list[str]:
    return [item.report.decision_id for item in items]


def test_a_report_goes_out_once_on_a_stream() -> None:
    outbox = filled(2)
    assert decisions(outbox.take()) == ["d0", "d1"]
    assert outbox.take() == []
    assert len(outbox) == 2


def test_what_is_not_acknowledged_goes_out_again_on_the_next_stream_under_its_id() -> None:
    outbox = filled(3)
    first = outbox.take()
    assert len({item.id for item in first}) == 3
    outbox.acknowledged([first[1].id, 999])
    outbox.put(pb.OutcomeReport(decision_id="d3"))
    outbox.reopened()
    again = outbox.take()
    assert decisions(again) == ["d0", "d2", "d3"]
    assert again[:2] == [first[0], first[2]]
    outbox.acknowledged(item.id for item in again)
    outbox.reopened()
    assert (len(outbox), outbox.take(), outbox.dropped) == (0, [], 0)


def test_of_too_many_the_oldest_are_dropped_and_counted() -> None:
    outbox = filled(5, most=3)
    assert (len(outbox), outbox.dropped) == (3, 2)
    assert decisions(outbox.take()) == ["d2", "d3", "d4"]
    outbox.put(pb.OutcomeReport(decision_id="d5"))
    assert decisions(outbox.take()) == ["d5"]
    assert (len(outbox), outbox.dropped) == (3, 3)


def test_the_latest_report_may_close_its_decision_until_it_goes_out() -> None:
    outbox = filled(2)
    assert [outbox.close(decision_id) for decision_id in ("d0", "another", "d1")] == [False, False, True]
    assert [(item.report.decision_id, item.report.closes) for item in outbox.take()] == [("d0", False), ("d1", True)]
    assert not outbox.close("d1")
    outbox.reopened()
    assert not outbox.close("d1"), "it may have been taken in as it was"
    assert [item.report.closes for item in outbox.take()] == [False, True]


def test_nothing_closes_with_nothing() -> None:
    assert not filled(0).close("d0")
