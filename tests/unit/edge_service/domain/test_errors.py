from __future__ import annotations

import pytest

from edge_service.domain import errors
from edge_service.domain.errors import ApiError, LimitedError, UpstreamError
from edge_service.domain.outcome import Disposition, Outcome


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (errors.ApiError, 500, "internal_error"),
        (errors.InvalidRequestError, 400, "invalid_request"),
        (errors.ContextLengthError, 400, "context_length_exceeded"),
        (errors.NeedsUnmetError, 400, "needs_unmet"),
        (errors.RequestTimeoutError, 408, "request_timeout"),
        (errors.HeadersTooLargeError, 431, "headers_too_large"),
        (errors.OverloadedError, 503, "overloaded"),
        (errors.PayloadTooLargeError, 413, "request_too_large"),
        (errors.ModelNotFoundError, 404, "model_not_found"),
        (errors.NoSuchMethodError, 404, "not_found"),
        (errors.ResponseNotFoundError, 404, "response_not_found"),
        (errors.LimitedError, 429, "rate_limited"),
        (errors.TooManyConcurrentError, 429, "too_many_concurrent"),
        (errors.ClientKeyError, 401, "invalid_api_key"),
        (errors.ClientLimitError, 429, "rate_limit_exceeded"),
        (errors.UnavailableError, 503, "unavailable"),
        (errors.NoPlanError, 503, "no_plan"),
    ],
)
def test_every_error_has_a_status_and_a_stable_code(kind: type[ApiError], status: int, code: str) -> None:
    error = kind("words", param="model")
    assert (error.status, error.code, error.message, error.param) == (status, code, "words", "model")
    assert str(error) == "words"


def test_who_compresses_a_body_is_told_how_to_send_it() -> None:
    error = errors.EncodedBodyError()
    assert (error.status, error.code, error.param) == (415, "unsupported_media_type", "content-encoding")
    assert error.headers == [(b"content-type", b"application/json"), (b"accept-encoding", b"identity")]


def test_a_target_whose_dialect_cannot_say_it_is_no_provider_that_refuses() -> None:
    error = UpstreamError(Outcome(Disposition.CLIENT_FAULT, detail="seed", is_unfit=True), 1)
    assert (error.status, error.code) == (400, "inexpressible")
    assert "provider" not in error.message
    assert "(seed): leave it out" in error.message


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0.0, "1"), (0.2, "1"), (1.0, "1"), (19.2, "20")])
def test_retry_after_is_in_whole_seconds_and_never_0(seconds: float | None, header: str | None) -> None:
    assert LimitedError("later", retry_after_s=seconds).retry_after == header


def test_a_client_is_told_to_the_millisecond_when_its_limit_lets_it_in() -> None:
    told = dict(errors.ClientLimitError("later", retry_after_s=0.2).headers)
    assert (told[b"retry-after"], told[b"retry-after-ms"]) == (b"1", b"200")
    assert b"retry-after-ms" not in dict(errors.ClientLimitError("later").headers)


def test_whoever_is_not_let_in_is_told_how_to_show_a_key() -> None:
    assert dict(errors.ClientKeyError("no key").headers)[b"www-authenticate"] == b'Bearer realm="forebay"'


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome(Disposition.RATE_LIMITED, status=429), 429, "rate_limited"),
        (Outcome(Disposition.QUOTA, status=429), 429, "quota_exceeded"),
        (Outcome(Disposition.QUOTA, status=402), 502, "upstream_credentials"),
        (Outcome(Disposition.CREDENTIAL, status=401), 502, "upstream_credentials"),
        (Outcome(Disposition.CREDENTIAL, status=403), 502, "upstream_credentials"),
        (Outcome(Disposition.CREDENTIAL), 502, "upstream_credentials"),
        (Outcome(Disposition.OVERLOADED, status=503), 503, "upstream_overloaded"),
        (Outcome(Disposition.OVERLOADED, status=529), 529, "upstream_overloaded"),
        (Outcome(Disposition.OVERLOADED, status=200), 503, "upstream_overloaded"),
        (Outcome(Disposition.SERVER_ERROR, status=500), 502, "upstream_error"),
        (Outcome(Disposition.SERVER_ERROR, status=302), 502, "upstream_error"),
        (Outcome(Disposition.MODEL_MISSING, status=404), 404, "upstream_model_not_found"),
        (Outcome(Disposition.TIMEOUT), 504, "upstream_timeout"),
        (Outcome(Disposition.TIMEOUT, status=408), 504, "upstream_timeout"),
        (Outcome(Disposition.BROKEN, status=200), 502, "upstream_broken"),
        (Outcome(Disposition.EMPTY, status=200), 502, "upstream_empty"),
        (Outcome(Disposition.UNREACHABLE), 502, "upstream_unreachable"),
        (Outcome(Disposition.CANCELLED), 503, "unavailable"),
        (Outcome(Disposition.CREDENTIAL, status=400), 502, "upstream_credentials"),
        (Outcome(Disposition.QUOTA, status=400), 429, "quota_exceeded"),
        (Outcome(Disposition.QUOTA, status=200), 429, "quota_exceeded"),
        (Outcome(Disposition.CONTEXT_LENGTH, status=413), 400, "context_length_exceeded"),
        (Outcome(Disposition.CLIENT_FAULT, status=409), 409, "invalid_request"),
        (Outcome(Disposition.CLIENT_FAULT, status=200), 400, "invalid_request"),
    ],
)
def test_a_failed_walk_is_told_with_its_own_status_and_code(outcome: Outcome, status: int, code: str) -> None:
    error = UpstreamError(outcome, tried=1)
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("disposition", Disposition)
@pytest.mark.parametrize("status", [0, 200, 400, 503])
def test_no_outcome_is_told_as_a_success(disposition: Disposition, status: int) -> None:
    assert 400 <= UpstreamError(Outcome(disposition, status=status), tried=1).status < 600


def test_a_failed_walk_says_what_happened_and_how_many_were_tried() -> None:
    outcome = Outcome(Disposition.OVERLOADED, status=503, detail="HTTP 503")
    assert str(UpstreamError(outcome, tried=3)) == ("the provider is overloaded (HTTP 503); 3 targets were tried")
    assert str(UpstreamError(Outcome(Disposition.TIMEOUT), tried=1)) == (
        "the provider did not answer in time; 1 target was tried"
    )


@pytest.mark.parametrize(
    ("disposition", "status", "header"),
    [
        (Disposition.RATE_LIMITED, 429, "8"),
        (Disposition.OVERLOADED, 503, "8"),
        (Disposition.OVERLOADED, 529, "8"),
        (Disposition.SERVER_ERROR, 500, None),
        (Disposition.CREDENTIAL, 401, None),
    ],
)
def test_a_failed_walk_keeps_the_retry_after_where_it_means_something(
    disposition: Disposition, status: int, header: str | None
) -> None:
    assert UpstreamError(Outcome(disposition, status=status, retry_after_s=7.5), tried=1).retry_after == header
