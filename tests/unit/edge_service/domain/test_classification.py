from __future__ import annotations

import time

import pytest

from edge_service.domain.classification import ProviderError, classify, hint, reported, ruled, speaks_for_itself
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import AnswerRule

OK, LIMITED, QUOTA, CREDENTIAL = Disposition.OK, Disposition.RATE_LIMITED, Disposition.QUOTA, Disposition.CREDENTIAL
MISSING, OVERLOADED, SERVER_ERROR = Disposition.MODEL_MISSING, Disposition.OVERLOADED, Disposition.SERVER_ERROR
TIMEOUT, BROKEN, FAULT, CONTEXT = (
    Disposition.TIMEOUT,
    Disposition.BROKEN,
    Disposition.CLIENT_FAULT,
    Disposition.CONTEXT_LENGTH,
)


@pytest.mark.parametrize(
    ("statuses", "disposition"),
    [
        ([200, 201, 202, 203, 207, 299], Disposition.OK),
        ([204, 205], Disposition.EMPTY),
        ([206], Disposition.BROKEN),
        ([300, 301, 302, 307, 308], Disposition.SERVER_ERROR),
        ([400, 405, 409, 413, 418, 422, 451], Disposition.CLIENT_FAULT),
        ([401, 403], Disposition.CREDENTIAL),
        ([402], Disposition.QUOTA),
        ([404], Disposition.MODEL_MISSING),
        ([408, 504], Disposition.TIMEOUT),
        ([429], Disposition.RATE_LIMITED),
        ([503, 529], Disposition.OVERLOADED),
        ([500, 501, 502, 505, 520, 599], Disposition.SERVER_ERROR),
        ([0, 100, 101, 199, 600, 999], Disposition.BROKEN),
    ],
)
def test_every_status_has_a_disposition(statuses: list[int], disposition: Disposition) -> None:
    assert {status: classify(status) for status in statuses} == dict.fromkeys(statuses, disposition)


# What a code comes to with each status: 200 (an error within a success), 400, 403, 404, 429, 500, 503.
STATUSES = (200, 400, 403, 404, 429, 500, 503)
UNSAID = (SERVER_ERROR, FAULT, CREDENTIAL, MISSING, LIMITED, SERVER_ERROR, OVERLOADED)
CODES: dict[str, tuple[Disposition, ...]] = {
    "": UNSAID,
    "something_new": UNSAID,
    "insufficient_quota": (QUOTA, QUOTA, QUOTA, MISSING, QUOTA, QUOTA, OVERLOADED),
    "billing_hard_limit_reached": (QUOTA, QUOTA, QUOTA, MISSING, QUOTA, QUOTA, OVERLOADED),
    "billing_not_active": (QUOTA, QUOTA, QUOTA, MISSING, QUOTA, QUOTA, OVERLOADED),
    "credit_balance_exhausted": (QUOTA, QUOTA, QUOTA, MISSING, QUOTA, QUOTA, OVERLOADED),
    "billing_error": (QUOTA, QUOTA, QUOTA, MISSING, QUOTA, QUOTA, OVERLOADED),
    "invalid_api_key": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "account_deactivated": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "authentication_error": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "API_KEY_INVALID": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "API_KEY_SERVICE_BLOCKED": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "SERVICE_DISABLED": (CREDENTIAL, CREDENTIAL, *UNSAID[2:]),
    "model_not_found": (MISSING, MISSING, MISSING, *UNSAID[3:]),
    "DeploymentNotFound": (MISSING, MISSING, MISSING, *UNSAID[3:]),
    "context_length_exceeded": (CONTEXT, CONTEXT, *UNSAID[2:]),
    "exceed_context_size_error": (CONTEXT, CONTEXT, *UNSAID[2:]),
    "previous_response_not_found": (FAULT, FAULT, CREDENTIAL, FAULT, *UNSAID[4:]),
    "content_policy_violation": (FAULT, FAULT, FAULT, FAULT, *UNSAID[4:]),
    "content_filter": (FAULT, FAULT, FAULT, FAULT, *UNSAID[4:]),
    "rate_limit_exceeded": (LIMITED, *UNSAID[1:5], LIMITED, OVERLOADED),
    "rate_limit_error": (LIMITED, *UNSAID[1:5], LIMITED, OVERLOADED),
    "RESOURCE_EXHAUSTED": (LIMITED, *UNSAID[1:5], LIMITED, OVERLOADED),
    "slow_down": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "overloaded": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "overloaded_error": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "server_is_overloaded": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "service_unavailable_error": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "UNAVAILABLE": (OVERLOADED, *UNSAID[1:5], OVERLOADED, OVERLOADED),
    "permission_error": (CREDENTIAL, *UNSAID[1:]),
    "PERMISSION_DENIED": (CREDENTIAL, *UNSAID[1:]),
    "UNAUTHENTICATED": (CREDENTIAL, *UNSAID[1:]),
    "not_found_error": (MISSING, *UNSAID[1:]),
    "NOT_FOUND": (MISSING, *UNSAID[1:]),
    "timeout_error": (TIMEOUT, *UNSAID[1:]),
    "DEADLINE_EXCEEDED": (TIMEOUT, *UNSAID[1:]),
    "server_error": UNSAID,
    "api_error": UNSAID,
    "INTERNAL": UNSAID,
    "invalid_request_error": (FAULT, *UNSAID[1:]),
    "INVALID_ARGUMENT": (FAULT, *UNSAID[1:]),
    "FAILED_PRECONDITION": (FAULT, *UNSAID[1:]),
    "request_too_large": (FAULT, *UNSAID[1:]),
    "400": (FAULT, *UNSAID[1:]),
    "402": (QUOTA, *UNSAID[1:]),
    "404": (MISSING, *UNSAID[1:]),
    "429": (LIMITED, *UNSAID[1:]),
    "503": (OVERLOADED, *UNSAID[1:]),
    "504": (TIMEOUT, *UNSAID[1:]),
    "200": UNSAID,
    "1500": UNSAID,
}


@pytest.mark.parametrize(("code", "dispositions"), CODES.items(), ids=CODES)
def test_a_code_corrects_a_status_that_says_less(code: str, dispositions: tuple[Disposition, ...]) -> None:
    said = {status: classify(status, ProviderError(code)) for status in STATUSES}
    assert said == dict(zip(STATUSES, dispositions, strict=True))
    if not code.isdecimal():
        assert {status: classify(status, ProviderError(kind=code)) for status in STATUSES} == said


@pytest.mark.parametrize("words", [OK, Disposition.CANCELLED, Disposition.UNREACHABLE])
def test_an_error_makes_no_success_of_an_answer_and_says_nothing_of_the_way_to_it(words: Disposition) -> None:
    assert classify(200, ProviderError(hint=words)) is SERVER_ERROR


@pytest.mark.parametrize("status", [402, 408, 503, 504, 529, 0, 100, 600])
def test_a_status_that_leaves_nothing_open_is_not_corrected(status: int) -> None:
    for code in CODES:
        for words in (None, *Disposition):
            assert classify(status, ProviderError(code, code, words)) is classify(status)


@pytest.mark.parametrize(
    ("status", "error", "disposition"),
    [
        (429, ProviderError("rate_limit_exceeded", "insufficient_quota"), QUOTA),
        (400, ProviderError("", "invalid_request_error", CONTEXT), CONTEXT),
        (413, ProviderError("", "", CONTEXT), CONTEXT),
        (413, ProviderError("", "request_too_large"), FAULT),
        (200, ProviderError("", "invalid_request_error", QUOTA), QUOTA),
        (200, ProviderError("server_error", "", FAULT), SERVER_ERROR),
        (200, ProviderError("", "", FAULT), SERVER_ERROR),
        (200, ProviderError("404", "", FAULT), FAULT),
        (404, ProviderError("", "not_found_error", FAULT), FAULT),
        (404, ProviderError("", "invalid_request_error"), MISSING),
        (429, ProviderError("", "", CONTEXT), LIMITED),
    ],
)
def test_the_more_exact_word_counts(status: int, error: ProviderError, disposition: Disposition) -> None:
    assert classify(status, error) is disposition


@pytest.mark.parametrize(
    ("message", "param", "disposition"),
    [
        ("", "", None),
        ("no", "", None),
        ("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.", "", QUOTA),
        ("You have reached your specified API usage limits. You will regain access on 2026-04-01.", "", QUOTA),
        ("API key not valid. Please pass a valid API key.", "", CREDENTIAL),
        ("API key expired. Please renew the API key.", "", CREDENTIAL),
        ("User location is not supported for the API use.", "", CREDENTIAL),
        ("prompt is too long: 210000 tokens > 200000 maximum", "", CONTEXT),
        ("This model's maximum context length is 8192 tokens. However, you requested 9000.", "messages", CONTEXT),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "", CONTEXT),
        ("the request exceeds the available context size, try increasing it", "", CONTEXT),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", "", CONTEXT),
        ("the 9000 tokens of it exceed the available context size", "", CONTEXT),
        ("nope/nothing is not a valid model ID", "", MISSING),
        ("The model `gpt-9` does not exist or you do not have access to it.", "model", None),
        ("model: claude-9", "", None),
        ("Requested entity was not found.", "", None),
        ("Publisher Model `projects/p/models/m` was not found", "", None),
        ("Not Found", "", None),
        ("No such File object: file-abc", "", FAULT),
        ("An image, audio, or video file referenced in your request was not found.", "", FAULT),
        ("Previous response with id 'resp_1' not found.", "previous_response_id", FAULT),
        # Quoted from a request: nobody talks a provider out of service.
        ("Invalid value: 'Your credit balance is too low'", "", None),
        ("messages.0.content: 'API key not valid'", "", None),
    ],
)
def test_words_are_read_where_providers_have_no_code(message: str, param: str, disposition: Disposition | None) -> None:
    assert hint(message, param) is disposition
    assert hint(message.upper(), param) is disposition


@pytest.mark.parametrize("message", ["the " * 300, "a" * 1000, "no such " * 200, "prompt is " * 200, "an " * 400])
def test_no_message_takes_long_to_read(message: str) -> None:
    began_at = time.process_time()
    assert hint(message) is None
    assert time.process_time() - began_at < 0.5


def test_only_known_words_are_repeated() -> None:
    known = [code for code in CODES if code.replace("_", "").isalpha() and code != "something_new"]
    assert [(ProviderError(code).name, ProviderError("x", code).name) for code in known] == [(c, c) for c in known]
    assert ProviderError("insufficient_quota", "x").name == "insufficient_quota"
    assert ProviderError("429", "RESOURCE_EXHAUSTED").name == "RESOURCE_EXHAUSTED"
    assert ProviderError("sk-12345", "sk-12345").name == ""


def test_an_error_within_a_success_is_told_with_its_name() -> None:
    error = ProviderError(kind="overloaded_error", retry_after_s=7.0)
    detail = "the provider reported an error: overloaded_error"
    assert reported(200, error) == Outcome(OVERLOADED, status=200, retry_after_s=7.0, detail=detail)
    assert reported(200, ProviderError()) == Outcome(SERVER_ERROR, status=200, detail="the provider reported an error")


# --- A provider's own rules ------------------------------------------------------------------------------------------

RULES = (
    AnswerRule(QUOTA, 400, "Quota EXHAUSTED"),
    AnswerRule(OVERLOADED, 418),
    AnswerRule(LIMITED, body_contains="stra\u00dfe"),
    AnswerRule(CREDENTIAL, 400, "exhausted"),
)


@pytest.mark.parametrize(
    ("status", "said", "disposition"),
    [
        (400, "your quota exhausted itself", QUOTA),
        (400, "your strength is exhausted", CREDENTIAL),
        (400, "quota", None),
        (429, "quota exhausted", None),
        (418, "", OVERLOADED),
        (418, "quota exhausted", OVERLOADED),
        (200, "in der strasse", LIMITED),
        (500, "", None),
    ],
)
def test_the_first_rule_that_fits_counts(status: int, said: str, disposition: Disposition | None) -> None:
    assert ruled(RULES, status, lambda: said, lambda: "") is disposition


def test_words_that_the_request_has_in_it_count_for_nothing() -> None:
    def fits(asked: str | None) -> Disposition | None:
        return ruled(RULES, 400, lambda: "unknown value: quota exhausted", lambda: asked)

    assert fits("hello") is QUOTA
    assert fits("quota exhausted") is None
    assert fits("exhausted") is QUOTA, "which is not all of the rule's words"
    assert fits(None) is None, "nobody can tell"


def test_texts_are_read_only_where_a_rule_asks_for_them() -> None:
    def unread() -> str:
        raise AssertionError("read for nothing")

    assert ruled(RULES, 418, unread, unread) is OVERLOADED
    assert ruled(RULES[:1], 500, unread, unread) is None
    assert ruled(RULES[:1], 400, lambda: "something else", unread) is None


def test_each_text_is_read_once_however_many_rules_ask_for_it() -> None:
    read: list[str] = []

    def text(which: str) -> str:
        read.append(which)
        return "strasse, exhausted"

    assert ruled(RULES[2:] * 3, 400, lambda: text("said"), lambda: text("asked")) is None
    assert sorted(read) == ["asked", "said"]


def test_what_a_rule_says_of_an_error_within_a_success_counts() -> None:
    detail = "the provider reported an error: overloaded_error"
    error = ProviderError(kind="overloaded_error", retry_after_s=7.0)
    expected = Outcome(QUOTA, status=200, retry_after_s=7.0, detail=detail, by_rule=True)
    assert reported(200, error, QUOTA) == expected


@pytest.mark.parametrize(
    ("status", "disposition", "by_itself"),
    [
        (400, FAULT, True),
        (400, CONTEXT, True),
        (404, FAULT, True),
        (429, LIMITED, True),
        (529, OVERLOADED, True),
        (400, LIMITED, False),
        (429, FAULT, False),
        (500, CONTEXT, False),
        (500, LIMITED, False),
        (404, QUOTA, False),
    ],
)
def test_an_answer_that_a_rule_has_made_another_thing_of_is_not_passed_on(
    status: int, disposition: Disposition, by_itself: bool
) -> None:
    assert speaks_for_itself(status, disposition) is by_itself
