from __future__ import annotations

import msgspec
import pytest

from edge_service.dialects import provider_errors
from edge_service.dialects.gemini import CLIENT
from edge_service.domain.errors import (
    ApiError,
    InvalidRequestError,
    LimitedError,
    ModelNotFoundError,
    PayloadTooLargeError,
    UnavailableError,
    UpstreamError,
)
from edge_service.domain.outcome import Disposition, Outcome


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (InvalidRequestError("m"), 400, "INVALID_ARGUMENT"),
        (ModelNotFoundError("m"), 404, "NOT_FOUND"),
        (PayloadTooLargeError("m"), 413, "INVALID_ARGUMENT"),
        (LimitedError("m"), 429, "RESOURCE_EXHAUSTED"),
        (ApiError("m"), 500, "INTERNAL"),
        (UnavailableError("m"), 503, "UNAVAILABLE"),
        (UpstreamError(Outcome(Disposition.TIMEOUT), 1), 504, "DEADLINE_EXCEEDED"),
        (UpstreamError(Outcome(Disposition.CREDENTIAL), 1), 502, "UNAVAILABLE"),
        (UpstreamError(Outcome(Disposition.CLIENT_FAULT, status=451), 1), 451, "FAILED_PRECONDITION"),
    ],
)
def test_code_and_status(error: ApiError, code: int, status: str) -> None:
    told = msgspec.json.decode(CLIENT.error_body(error))["error"]
    assert (told["code"], told["status"], told["message"]) == (code, status, error.message)


def test_details_name_the_field_and_when_to_come_again() -> None:
    error = LimitedError("slow down", param="contents[0].role", retry_after_s=29.1)
    details = msgspec.json.decode(CLIENT.error_body(error))["error"]["details"]
    assert details == [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMITED", "domain": "forebay"},
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents[0].role", "description": "slow down"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"},
    ]
    assert provider_errors.read(CLIENT.error_body(error)).retry_after_s == 30


def test_an_event() -> None:
    error = UnavailableError("out of service")
    assert CLIENT.error_event(error) == b"data: " + CLIENT.error_body(error) + b"\n\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (408, "DEADLINE_EXCEEDED"),
        (409, "ABORTED"),
        (422, "INVALID_ARGUMENT"),
        (498, "FAILED_PRECONDITION"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (505, "INTERNAL"),
        (529, "UNAVAILABLE"),
    ],
)
def test_the_status_follows_the_code(code: int, status: str) -> None:
    error = ApiError("m")
    error.status = code
    told = msgspec.json.decode(CLIENT.error_body(error))["error"]
    assert told["status"] == status
    assert [detail["@type"] for detail in told["details"]] == ["type.googleapis.com/google.rpc.ErrorInfo"]
