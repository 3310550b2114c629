from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2
from resolver_service.adapters.grpc_api import wire
from resolver_service.adapters.grpc_api.plans import PlanWriter
from resolver_service.app.decisions import Course, Decision
from resolver_service.app.usual import MOST_KEPT
from resolver_service.domain import selection
from resolver_service.domain.limits import Allowance, Allowances
from tests.support.catalogs import member, pool

TARGETS = tuple(selection.targets_of(pool("p", *map(member, "ab"))))
COURSE = Course(TARGETS, 2, 1.5, revision=7, name="p")
LIMITS = Allowances(Allowance(300, 299, 60_000), None)


def written(course: Course, limits: Allowances | None = None, writer: PlanWriter | None = None) -> plan_pb2.Plan:
    return plan_pb2.Plan.FromString((writer or PlanWriter()).write(Decision("d-1", course, limits)))


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_as_protobuf_writes_them(number: int) -> None:
    item = resolver_service_pb2.ResolveItem(id=number)
    tag = wire.tag(resolver_service_pb2.ResolveItem.DESCRIPTOR, "id")
    assert (tag + wire.varint(number) if number else b"") == item.SerializeToString()


def test_what_has_a_length_is_told_from_what_is_a_number() -> None:
    response = resolver_service_pb2.ResolveStreamResponse(acknowledged=[1, 300])
    tag = wire.tag(response.DESCRIPTOR, "acknowledged")
    assert tag + wire.sized(wire.varint(1) + wire.varint(300)) == response.SerializeToString()


def test_a_plan_has_all_that_was_decided() -> None:
    plan = written(COURSE._replace(health_generation=2**40, depends_on_needs=True), LIMITS)
    assert (plan.decision_id, plan.attempts_allowed, plan.total_ms) == ("d-1", 2, 1500)
    assert (plan.revision, plan.name, plan.depends_on_needs) == (7, "p", True)
    assert [(a.target_id, a.path) for a in plan.attempts] == [(t.id, t.path) for t in TARGETS]
    assert [(a.health_generation, a.probe, a.reasoning) for a in plan.attempts] == [(2**40, False, "")] * 2
    assert (plan.limits.requests.limit, plan.limits.HasField("tokens")) == (300, False)


def test_a_probe_is_one_target_s_and_a_suffix_is_for_all() -> None:
    plan = written(COURSE._replace(reasoning="high", probes=frozenset({TARGETS[1].id})))
    assert [(a.probe, a.reasoning) for a in plan.attempts] == [(False, "high"), (True, "high")]


def test_a_suffix_replaces_the_member_s_own() -> None:
    own = COURSE._replace(targets=(replace(TARGETS[0], reasoning="low"),))
    writer = PlanWriter()
    asked = ("", "high", "")
    found = [written(own._replace(reasoning=its), writer=writer).attempts[0].reasoning for its in asked]
    assert found == ["low", "high", "low"]


@pytest.mark.parametrize("is_usual", [False, True])
@pytest.mark.parametrize("change", [{"health_generation": 5}, {"revision": 8}, {"name": "q"}, {"total_s": 0.0}])
def test_what_was_written_before_is_not_written_again_where_it_has_changed(
    change: dict[str, Any], is_usual: bool
) -> None:
    writer = PlanWriter()
    course = COURSE._replace(is_usual=is_usual)
    changed = course._replace(**change)
    for _ in range(2):
        before, after = written(course, writer=writer), written(changed, writer=writer)
        assert after == written(changed) != before == written(course)


def test_a_usual_course_is_written_once_and_few_are_kept() -> None:
    writer = PlanWriter()
    usual = COURSE._replace(is_usual=True)
    first = [id(part) for part in writer._written(usual)]
    written(usual, writer=writer)
    assert list(map(id, writer._courses[id(usual)])) == first
    for number in range(3 * MOST_KEPT):
        written(usual._replace(name=f"p{number}"), writer=writer)
        written(COURSE._replace(name=f"q{number}"), writer=writer)
    assert len(writer._courses) <= MOST_KEPT
