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
    [
        *TYPES.items(),
        (422, "invalid_request_error"),
        (431, "invalid_request_error"),
        (499, "invalid_request_error"),
        (502, "api_error"),
    ],
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


# As in https://github.com/anthropics/claude-code/issues/8184, but without the types of blocks and sources between the
# fields: "messages.36.content.2.image.source.base64.media_type: Input should be ...".
@pytest.mark.parametrize(
    ("param", "words", "message"),
    [
        ("top_k", "too large", "top_k: too large"),
        ("top_k", "'top_k' is too large", "top_k: is too large"),
        (
            "messages[3].content[0].source",
            "'messages[3].content[0].source': expected `object`, got `int`",
            "messages.3.content.0.source: expected `object`, got `int`",
        ),
        (
            "tools[10].input_schema",
            "'tools[10].input_schema' must be an object",
            "tools.10.input_schema: must be an object",
        ),
    ],
)
def test_the_field_at_fault_stands_before_the_words(param: str, words: str, message: str) -> None:
    body = anthropic.CLIENT.error_body(InvalidRequestError(words, param=param))
    assert json.loads(body)["error"]["message"] == message


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
