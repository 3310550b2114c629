from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.resolver.v1 import plan_pb2, resolver_service_pb2
from resolver_service.adapters.grpc_api import wire
from resolver_service.adapters.grpc_api.plans import PlanWriter
from resolver_service.app.decisions import Decision
from resolver_service.domain import selection
from resolver_service.domain.limits import Allowance, Allowances
from tests.support.catalogs import member, pool

TARGETS = tuple(selection.targets_of(pool("p", *map(member, "ab"))))
DECISION = Decision("d-1", TARGETS, 2, 1.5, revision=7, name="p")
LIMITS = Allowances(Allowance(300, 299, 60_000), None)


def read(written: bytes) -> plan_pb2.Plan:
    return plan_pb2.Plan.FromString(written)


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
    decision = DECISION._replace(health_generation=2**40, depends_on_needs=True, limits=LIMITS)
    plan = read(PlanWriter().write(decision))
    assert (plan.decision_id, plan.attempts_allowed, plan.total_ms) == ("d-1", 2, 1500)
    assert (plan.revision, plan.name, plan.depends_on_needs) == (7, "p", True)
    assert [(a.target_id, a.path) for a in plan.attempts] == [(t.id, t.path) for t in TARGETS]
    assert [(a.health_generation, a.probe, a.reasoning) for a in plan.attempts] == [(2**40, False, "")] * 2
    assert (plan.limits.requests.limit, plan.limits.HasField("tokens")) == (300, False)


def test_a_probe_is_one_target_s_and_a_suffix_is_for_all() -> None:
    plan = read(PlanWriter().write(DECISION._replace(reasoning="high", probes=frozenset({TARGETS[1].id}))))
    assert [(a.probe, a.reasoning) for a in plan.attempts] == [(False, "high"), (True, "high")]


def test_a_suffix_replaces_the_member_s_own() -> None:
    own = DECISION._replace(targets=(replace(TARGETS[0], reasoning="low"),))
    writer = PlanWriter()
    found = [read(writer.write(own._replace(reasoning=asked))).attempts[0].reasoning for asked in ("", "high", "")]
    assert found == ["low", "high", "low"]


@pytest.mark.parametrize("change", [{"health_generation": 5}, {"revision": 8}, {"name": "q"}, {"total_s": 0.0}])
def test_what_was_written_before_is_not_written_again_where_it_has_changed(change: dict[str, Any]) -> None:
    writer = PlanWriter()
    writer.write(DECISION)
    changed = DECISION._replace(**change)
    assert read(writer.write(changed)) == read(PlanWriter().write(changed)) != read(writer.write(DECISION))
