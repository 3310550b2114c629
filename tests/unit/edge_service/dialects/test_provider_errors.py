from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_service.dialects import provider_errors
from edge_service.dialects.provider_errors import read
from edge_service.domain.classification import ProviderError, classify
from edge_service.domain.outcome import Disposition

GOLDEN = Path(__file__).parents[3] / "golden" / "errors"

# Of each body the status that it comes with, and what it comes to: with this status, and as an error within a success.
D = Disposition
BODIES: dict[str, tuple[int, Disposition, Disposition]] = {
    "openai_invalid_api_key": (401, D.CREDENTIAL, D.CREDENTIAL),
    "openai_insufficient_quota": (429, D.QUOTA, D.QUOTA),
    "openai_billing_hard_limit": (400, D.QUOTA, D.QUOTA),
    "openai_credit_balance_exhausted": (429, D.QUOTA, D.QUOTA),
    "openai_rate_limit": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "openai_model_not_found": (404, D.MODEL_MISSING, D.MODEL_MISSING),
    "openai_model_not_in_project": (403, D.MODEL_MISSING, D.MODEL_MISSING),
    "openai_previous_response_not_found": (404, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "openai_file_not_found": (404, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "openai_unknown_url": (404, D.MODEL_MISSING, D.CLIENT_FAULT),
    "openai_context_length": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "openai_invalid_value": (400, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "openai_unsupported_country": (403, D.CREDENTIAL, D.SERVER_ERROR),
    "openai_server_error": (500, D.SERVER_ERROR, D.SERVER_ERROR),
    "openai_overloaded": (503, D.OVERLOADED, D.OVERLOADED),
    "openai_slow_down": (503, D.OVERLOADED, D.OVERLOADED),
    "openrouter_no_credits": (402, D.QUOTA, D.QUOTA),
    "openrouter_moderation": (403, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "openrouter_key_forbidden": (403, D.CREDENTIAL, D.CREDENTIAL),
    "xai_usage_guidelines": (403, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "xai_access_denied": (403, D.CREDENTIAL, D.SERVER_ERROR),
    "azure_content_filter": (400, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "openrouter_rate_limit": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "vllm_context_length": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "vllm_model_not_found": (404, D.MODEL_MISSING, D.MODEL_MISSING),
    "mistral_invalid_model": (400, D.MODEL_MISSING, D.MODEL_MISSING),
    "llama_cpp_context": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "azure_deployment": (404, D.MODEL_MISSING, D.MODEL_MISSING),
    "ollama_model": (404, D.MODEL_MISSING, D.SERVER_ERROR),
    "anthropic_invalid_request": (400, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "anthropic_prompt_too_long": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "anthropic_input_and_max_tokens": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "anthropic_credit_balance": (400, D.QUOTA, D.QUOTA),
    "anthropic_usage_limits": (400, D.QUOTA, D.QUOTA),
    "anthropic_authentication": (401, D.CREDENTIAL, D.CREDENTIAL),
    "anthropic_billing": (402, D.QUOTA, D.QUOTA),
    "anthropic_permission": (403, D.CREDENTIAL, D.CREDENTIAL),
    "anthropic_not_found": (404, D.MODEL_MISSING, D.MODEL_MISSING),
    "anthropic_request_too_large": (413, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "anthropic_rate_limit": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "anthropic_api_error": (500, D.SERVER_ERROR, D.SERVER_ERROR),
    "anthropic_timeout": (504, D.TIMEOUT, D.TIMEOUT),
    "anthropic_overloaded": (529, D.OVERLOADED, D.OVERLOADED),
    "gemini_api_key_invalid": (400, D.CREDENTIAL, D.CREDENTIAL),
    "gemini_api_key_expired": (400, D.CREDENTIAL, D.CREDENTIAL),
    "gemini_invalid_argument": (400, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "gemini_tokens": (400, D.CONTEXT_LENGTH, D.CONTEXT_LENGTH),
    "gemini_location": (400, D.CREDENTIAL, D.CREDENTIAL),
    "gemini_file_state": (400, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "gemini_permission_denied": (403, D.CREDENTIAL, D.CREDENTIAL),
    "gemini_billing_disabled": (403, D.QUOTA, D.QUOTA),
    "gemini_model_not_found": (404, D.MODEL_MISSING, D.MODEL_MISSING),
    "gemini_cached_content_not_found": (404, D.CLIENT_FAULT, D.CLIENT_FAULT),
    "gemini_per_minute": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "gemini_per_day_and_model": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "gemini_per_day": (429, D.QUOTA, D.QUOTA),
    "gemini_prepayment": (429, D.QUOTA, D.QUOTA),
    "gemini_exhausted": (429, D.RATE_LIMITED, D.RATE_LIMITED),
    "gemini_internal": (500, D.SERVER_ERROR, D.SERVER_ERROR),
    "gemini_unavailable": (503, D.OVERLOADED, D.OVERLOADED),
    "gemini_deadline": (504, D.TIMEOUT, D.TIMEOUT),
    "gemini_in_an_array": (429, D.RATE_LIMITED, D.RATE_LIMITED),
}
TOLD_S = {"gemini_per_minute": 34.074824224, "gemini_per_day_and_model": 34.0, "gemini_in_an_array": 34.0}


def test_the_corpus_is_complete() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == BODIES.keys()


@pytest.mark.parametrize("name", BODIES)
def test_each_provider_is_understood(name: str) -> None:
    status, disposition, within_a_success = BODIES[name]
    error = read((GOLDEN / f"{name}.json").read_bytes())
    assert (classify(status, error), classify(200, error)) == (disposition, within_a_success)
    assert error.retry_after_s == TOLD_S.get(name)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"<html>",
        b"null",
        b"[]",
        b"[1]",
        b"7",
        b"{}",
        b'{"error":null}',
        b'{"error":{}}',
        b'{"error":[]}',
        b'{"error":{"code":null,"type":7000,"message":{},"param":[],"details":{}}}',
        b'{"error":{"details":[1,{"violations":{}},{"violations":[1]},{"retryDelay":34},{"reason":null}]}}',
        b'{"error":{"message":"\xff"}}',
        b"[" * 200_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_of_what_cannot_be_read_nothing_is_known(body: bytes) -> None:
    error = read(body)
    assert (error.name, error.hint, error.retry_after_s) == ("", None, None)


def test_none_of_the_words_is_kept() -> None:
    error = read(b'{"error":{"message":"bad key sk-12345","type":"x","code":"y","param":"sk-12345"}}')
    assert error == ProviderError("y", "x", Disposition.CLIENT_FAULT)


@pytest.mark.parametrize(
    "event",
    [
        b'{"type":"error","code":"rate_limit_exceeded","message":"slow down","sequence_number":3}',
        b'{"type":"error","error":{"code":"rate_limit_exceeded"},"sequence_number":3}',
        b'{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"slow down"}}}',
    ],
)
def test_the_responses_api_says_it_in_events(event: bytes) -> None:
    assert classify(200, read(event)) is Disposition.RATE_LIMITED


@pytest.mark.parametrize("response", [b"null", b"[]", b"{}", b'{"error":null}', b'{"error":7}'])
def test_a_response_need_not_say_what_failed(response: bytes) -> None:
    assert read(b'{"type":"response.failed","response":' + response + b"}").code == ""


@pytest.mark.parametrize(
    ("body", "status", "disposition", "names_account"),
    [
        (b'{"error":{"code":403,"metadata":{"flagged_input":"a"}}}', 403, D.CLIENT_FAULT, False),
        (b'{"error":{"code":403,"metadata":{"reasons":["a"]}}}', 403, D.CLIENT_FAULT, False),
        (b'{"error":"Content violates usage guidelines."}', 403, D.CLIENT_FAULT, True),
        (b'{"error":{"message":"content violates usage guidelines"}}', 403, D.CLIENT_FAULT, True),
        # Nothing of it takes from a failure what it is.
        (b'{"error":{"code":429,"metadata":{"reasons":["a"]}}}', 429, D.RATE_LIMITED, False),
        (b'{"error":{"code":503,"metadata":{"flagged_input":"a"}}}', 503, D.OVERLOADED, False),
        # What does not say it in so many words speaks of the account.
        (b'{"error":{"code":403,"metadata":{"reasons":"a"}}}', 403, D.CREDENTIAL, False),
        (b'{"error":{"code":403,"metadata":["flagged_input"]}}', 403, D.CREDENTIAL, False),
        (b'{"error":"You asked: \'Content violates usage guidelines\'"}', 403, D.CREDENTIAL, False),
        (b'{"error":{"message":"no","param":"messages"}}', 403, D.CREDENTIAL, False),
    ],
)
def test_moderation_is_told_from_a_key_that_is_refused(
    body: bytes, status: int, disposition: Disposition, names_account: bool
) -> None:
    error = read(body)
    assert (classify(status, error), error.names_account) == (disposition, names_account)


def test_a_message_is_read_to_its_thousandth_character() -> None:
    body = b'{"error":{"message":"' + b"a" * 1001 + b'"}}'
    assert provider_errors.message(body) == "a" * 1000


@pytest.mark.parametrize(("code", "name"), [(0, "0"), (999, "999"), (1000, ""), (-1, ""), (True, "")])
def test_small_numbers_are_words(code: int, name: str) -> None:
    assert read(json.dumps({"error": {"code": code}}).encode()).code == name


@pytest.mark.parametrize(
    ("quota", "is_used_up"),
    [("RequestsPerDay", True), ("RequestsPerMonth", True), ("RequestsPerMinute", False), ("PerDayPerModel", False)],
)
def test_only_what_lasts_is_used_up(quota: str, is_used_up: bool) -> None:
    error = read(json.dumps({"error": {"details": [{"violations": [{"quotaId": quota}]}]}}).encode())
    assert (error.hint is Disposition.QUOTA) is is_used_up
