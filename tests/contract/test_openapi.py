"""The document of the management API says what the API does: routes, methods, statuses, schemas; and whatever is sent
that the document allows or forbids, no answer is one that it does not know."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from edge_service.adapters.http.management_operations import OPERATIONS
from edge_service.adapters.http.openapi import document
from tests.support.pool_admin import KEY, DirectLink, PoolAdmin, application

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
"""That what the schemas allow is taken is not among them: what refers to what, they cannot say."""


def schema(*, coverage: bool) -> Any:
    """Over an API of its own. `coverage` is for every boundary of every schema beside what comes by chance."""
    config = SchemathesisConfig()
    config.projects.default.phases.coverage.enabled = coverage
    minutes = itertools.count()
    loaded = schemathesis.openapi.from_dict(json.loads(document(OPERATIONS)), config=config)
    # Each request comes in another minute, or those with wrong keys would end it.
    loaded.app = application([DirectLink(PoolAdmin())], lambda: 60.0 * next(minutes), lambda _: None)
    return loaded


BRIEF, WHOLE = schema(coverage=False), schema(coverage=True)
briefly = settings(
    derandomize=True, max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
at_length = settings(briefly, max_examples=200)


def is_answered_as_described(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"x-management-key": KEY}, checks=CHECKS)


@BRIEF.parametrize()
@briefly
def test_no_answer_is_one_that_the_document_does_not_know(case: schemathesis.Case) -> None:
    is_answered_as_described(case)


@pytest.mark.slow
@WHOLE.parametrize()
@at_length
def test_no_answer_is_one_that_the_document_does_not_know_at_length(case: schemathesis.Case) -> None:
    is_answered_as_described(case)
