"""The document of the management API says what the API does: routes, methods, statuses, schemas; and whatever is sent
that the document allows or forbids, no answer is one that it does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.routing import Route

from edge_service.adapters.http.management import Resource
from edge_service.adapters.http.management_operations import OPERATIONS, Operation
from edge_service.adapters.http.openapi import document
from edge_service.adapters.http.openapi_schemas import SCHEMAS
from resolver_service.adapters import config_yaml
from resolver_service.domain import (
    config_groups,
    config_models,
    config_policy,
    config_providers,
    config_quirks,
    config_rules,
)
from resolver_service.domain.config import ConfigError
from tests.support.pool_admin import KEY, PROVIDERS, DirectLink, PoolAdmin, application, managed

PREFIX = "/v0/management"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    allow_header_conformance,
]
# That what the schemas allow is taken is not among them: what refers to what, they cannot say.


def api() -> Any:
    """The document, over an API of its own."""
    config = SchemathesisConfig()
    # What is wrong and out of date at once may be told of either.
    config.projects.default.checks.negative_data_rejection.expected_statuses = ["4xx"]
    loaded = schemathesis.openapi.from_dict(json.loads(document(OPERATIONS)), config=config)
    loaded.app = application([DirectLink(PoolAdmin())], lambda _: None)
    return loaded


def try_out(operation: Operation, most: int, *modes: GenerationMode) -> None:
    for mode in modes:

        @settings(
            derandomize=True, max_examples=most, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=api()[f"{PREFIX}{operation.path}"][operation.method].as_strategy(mode))
        def is_answered_as_described(case: schemathesis.Case) -> None:
            case.call_and_validate(headers={"x-management-key": KEY}, checks=CHECKS)

        is_answered_as_described()


every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")


@every_operation
def test_no_answer_is_one_that_the_document_does_not_know(operation: Operation) -> None:
    try_out(operation, 3, GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.mark.slow
@every_operation
def test_no_answer_is_one_that_the_document_does_not_know_at_length(operation: Operation) -> None:
    try_out(operation, 50, GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


async def test_the_document_is_served_and_says_what_there_is() -> None:
    async with managed() as it:
        response = await it.client.get("/openapi.json")
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        said = response.json()
        assert said["openapi"].startswith("3.1.")
        routes = {
            (method, route.path.replace("{id:path}", "{id}"))
            for route in it.app.routes
            if isinstance(route, Route) and isinstance(route.endpoint, Resource)
            for method in route.endpoint.operations
        }
    described = {(method.upper(), path) for path, methods in said["paths"].items() for method in methods}
    assert described == routes
    assert {(o.method, f"{PREFIX}{o.path}") for o in OPERATIONS} | {("GET", f"{PREFIX}/openapi.json")} == routes


def test_each_operation_answers_with_the_statuses_that_it_is_described_with() -> None:
    paths = json.loads(document(OPERATIONS))["paths"]
    for operation in OPERATIONS:
        described = paths[f"{PREFIX}{operation.path}"][operation.method.lower()]
        statuses = {int(status) for status in described["responses"]}
        assert statuses == operation.statuses
        assert {200, 401, 404, 429, 503} <= statuses
        assert ("requestBody" in described) is bool(operation.body)
        parameters = {parameter["name"] for parameter in described["parameters"]}
        assert ({"If-Match", "X-Forebay-Author", "validate-only"} <= parameters) is operation.is_change
        assert set(re.findall(r"{(\w+)}", operation.path)) <= parameters


# What one place says of configurations, and what the other takes.


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ("ModelPools", config_groups._KEYS),
        ("Pool", config_groups._GROUP_KEYS),
        ("NamedPool", config_groups._GROUP_KEYS),
        ("Cluster", config_groups._GROUP_KEYS),
        ("PoolMember", config_groups._POOL_MEMBER_KEYS),
        ("ClusterMember", config_groups._CLUSTER_MEMBER_KEYS),
        ("Policy", config_policy._KEYS),
        ("Provider", config_providers._KEYS),
        ("Model", config_models._KEYS),
        ("Quirks", config_quirks._KEYS),
        ("Rule", config_rules._KEYS),
    ],
)
def test_the_schemas_know_the_keys_that_the_resolver_knows(schema: str, keys: tuple[str, ...]) -> None:
    assert SCHEMAS[schema]["properties"].keys() == set(keys)


def test_the_example_is_what_the_schemas_describe() -> None:
    said = config_yaml.read(Path("config.example.yaml").read_bytes())
    assert isinstance(said, dict)
    for name, value in (("ModelPools", said["model-pools"]), ("Providers", said["providers"])):
        described = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(SCHEMAS)}}
        assert [str(error) for error in jsonschema_rs.validator_for(described).iter_errors(value)] == []


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"status": 400, "disposition": "quota"}, True),
        ({"body-contains": "exhausted", "disposition": "quota"}, True),
        ({"disposition": "quota"}, False),
        ({"status": 400, "disposition": "ok"}, False),
        ({"status": 400, "disposition": "cancelled"}, False),
    ],
)
def test_the_schemas_take_the_rules_that_the_resolver_takes(rule: dict[str, object], fits: bool) -> None:
    described = {"$ref": "#/components/schemas/Rule", "components": {"schemas": dict(SCHEMAS)}}
    assert jsonschema_rs.validator_for(described).is_valid(rule) is fits
    assert is_taken([{**PROVIDERS[0], "rules": [rule]}], []) is fits


def is_taken(providers: list[dict[str, Any]], pools: list[dict[str, Any]]) -> bool:
    try:
        config_yaml.load(json.dumps({"providers": providers, "model-pools": {"pools": pools}}))
    except ConfigError:
        return False
    return True


def test_what_the_schemas_bound_the_resolver_bounds_alike() -> None:
    """One beyond a bound is refused by both, and the bound itself by neither."""
    for what, inside, outside in (
        ("weight", 100, 101),
        ("priority", 1_000_000_000, 1_000_000_001),
        ("priority", -1_000_000_000, -1_000_000_001),
    ):
        for value, fits in ((inside, True), (outside, False)):
            pool = {"id": "p", "members": [{"provider": "one", "model": "m", what: value}]}
            described = {"$ref": "#/components/schemas/Pool", "components": {"schemas": dict(SCHEMAS)}}
            assert jsonschema_rs.validator_for(described).is_valid(pool) is fits
            assert is_taken(PROVIDERS, [pool]) is fits
