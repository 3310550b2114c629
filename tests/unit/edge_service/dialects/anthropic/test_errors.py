from __future__ import annotations

import json

import pytest

from edge_service.dialects import anthropic
from edge_service.dialects.anthropic.errors import TYPES
from edge_service.domain.errors import ApiError, InvalidRequestError, LimitedError, UnavailableError, UpstreamError
from edge_service.domain.outcome import Disposition, Outcome
from tests.support import published_anthropic


@pytest.mark.parametrize(
    ("status", "kind"),
    [*TYPES.items(), (422, "invalid_request_error"), (431, "invalid_request_error"), (502, "api_error")],
)
def test_the_type_follows_the_status(status: int, kind: str) -> None:
    error = ApiError("no")
    error.status = status
    body = anthropic.CLIENT.error_body(error)
    assert json.loads(body) == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": None}
    if kind not in ("request_too_large", "conflict_error"):  # Documented, but not among the SDK's types.
        published_anthropic.check_error(body)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequestError("x"), "invalid_request_error"),
        (LimitedError("x"), "rate_limit_error"),
        (UnavailableError("x"), "overloaded_error"),
        (UpstreamError(Outcome(Disposition.TIMEOUT), 1), "timeout_error"),
        (UpstreamError(Outcome(Disposition.CREDENTIAL), 1), "api_error"),
        (UpstreamError(Outcome(Disposition.MODEL_MISSING), 1), "not_found_error"),
    ],
)
def test_errors_of_the_gateway(error: ApiError, kind: str) -> None:
    assert json.loads(anthropic.CLIENT.error_body(error))["error"]["type"] == kind


def test_the_field_at_fault_is_named_once() -> None:
    say = anthropic.CLIENT.error_body
    assert b'"message":"top_k: too large"' in say(InvalidRequestError("too large", param="top_k"))
    assert b'"message":"\'top_k\' is too large"' in say(InvalidRequestError("'top_k' is too large", param="top_k"))


def test_a_stream_that_broke_off_ends_with_an_error_and_nothing_else() -> None:
    (event,) = published_anthropic.events(anthropic.CLIENT.error_event(UnavailableError("gone")))
    assert (event["type"], event["error"]["type"]) == ("error", "overloaded_error")


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        (b'{"type":"error","error":{"type":"api_error","message":"x"}}', True),
        (b'{"error":{"message":"x"}}', False),
        (b'{"type":"error"}', False),
        (b"<html>", False),
        (b'{"type":"error","error":"\xff"}', False),
    ],
)
def test_which_error_bodies_are_of_this_dialect(body: bytes, ours: bool) -> None:
    assert anthropic.is_error_body(body) is ours
