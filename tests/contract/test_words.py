"""The words of the contract are the words of both services, and there is one copy of the contract."""

from __future__ import annotations

from enum import StrEnum

import pytest
from google.protobuf import descriptor_pool

import edge_service.domain.outcome
import resolver_service.domain.policy
from forebay.resolver.v1 import plan_pb2, pool_admin_service_pb2, resolver_service_pb2

PREFIX = "DISPOSITION_"


@pytest.mark.parametrize(
    "spoken", [resolver_service.domain.policy.Disposition, edge_service.domain.outcome.Disposition]
)
def test_dispositions_are_the_same_everywhere(spoken: type[StrEnum]) -> None:
    names = [name.removeprefix(PREFIX) for name in plan_pb2.Disposition.DESCRIPTOR.values_by_name]
    assert names[0] == "UNSPECIFIED"
    assert names[1:] == [disposition.name for disposition in spoken]
    assert [d.value for d in spoken] == [d.name.lower().replace("_", "-") for d in spoken]


@pytest.mark.parametrize("module", [plan_pb2, resolver_service_pb2, pool_admin_service_pb2])
def test_the_contract_is_registered_once(module: object) -> None:
    descriptor = module.DESCRIPTOR  # type: ignore[attr-defined]
    assert descriptor.package == "forebay.resolver.v1"
    assert descriptor_pool.Default().FindFileByName(descriptor.name) is descriptor
