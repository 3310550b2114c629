from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge_service.app.answers import failure, read_whole, refusal, unusable
from edge_service.app.ports import ShortageError, UnreachableError
from edge_service.app.rulings import NO_RULINGS, Rulings
from edge_service.dialects.asked import OPENAI
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.domain.errors import UpstreamError
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition, Outcome
from edge_service.domain.plan import AnswerRule

ERROR = b'{"error":{"message":"no"}}'


class Answer:
    """A provider's answer that is all there."""

    def __init__(
        self, status: int, *head: tuple[bytes, bytes], body: bytes = ERROR, is_known_to_be: bool = False
    ) -> None:
        self.status = status
        self.headers: Headers = list(head)
        self._body = body
        self._is_known_to_be = is_known_to_be

    def quotes_credential(self, content: bytes) -> bool:
        return False

    def rest(self) -> bytes | None:
        return self._body if self._is_known_to_be else None

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        pass


def test_what_the_gateways_machine_is_short_of_is_no_fault_of_the_target() -> None:
    """Reported as the target's, it would take every target out for all edges."""
    short, unreachable = failure(ShortageError("no room")), failure(UnreachableError("refused"))
    assert (short.disposition, unreachable.disposition) == (Disposition.UNREACHABLE, Disposition.UNREACHABLE)
    assert (short.is_blameless, unreachable.is_blameless) == (True, False)


@pytest.mark.parametrize("is_known_to_be", [True, False])
async def test_no_more_is_read_than_is_allowed(is_known_to_be: bool) -> None:
    answer = Answer(200, body=b"12345", is_known_to_be=is_known_to_be)
    assert await read_whole(answer, 5) == b"12345"
    assert await read_whole(answer, 4) is None


async def shown(answer: Answer) -> Headers:
    """The headers of the answer that is passed on."""
    passed_on = (await refusal(answer, 0.0, OPENAI)).answer()
    assert passed_on is not None
    return list(passed_on.headers)


@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
@pytest.mark.parametrize("name", [b"retry-after", b"retry-after-ms"])
@pytest.mark.parametrize("value", [b"nan", b"inf", b"-inf", b"1e999", b"soon", b"", b"\xff", b"Thu, 99 Foo 2026"])
async def test_a_retry_after_that_cannot_be_read_is_not_shown(status: int, name: bytes, value: bytes) -> None:
    assert await shown(Answer(status, (name, value), (b"x-ratelimit-limit-requests", b"3"))) == [
        (b"x-ratelimit-limit-requests", b"3")
    ]


@pytest.mark.parametrize("status", [400, 429, 500, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", b"7"),
        (b"6.2", b"7"),
        (b"-5", b"1"),
        (b"0", b"1"),
        (b"1e99", b"2592000"),
        (b"Thu, 01 Jan 1970 00:01:00 GMT", b"60"),
        (b"Thu, 01 Jan 1969 00:01:00 GMT", b"1"),
    ],
)
async def test_any_other_is_shown_in_whole_seconds(status: int, value: bytes, seconds: bytes) -> None:
    assert await shown(Answer(status, (b"retry-after", value))) == [(b"retry-after", seconds)]


async def test_milliseconds_are_shown_to_whoever_reads_those() -> None:
    answer = Answer(429, (b"retry-after-ms", b" 1499.6 "), (b"retry-after", b"nan"))
    assert await shown(answer) == [(b"retry-after", b"2"), (b"retry-after-ms", b"1500")]


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (204, Disposition.EMPTY),
        (206, Disposition.BROKEN),
        (302, Disposition.SERVER_ERROR),
        (600, Disposition.BROKEN),
        (999, Disposition.BROKEN),
    ],
)
async def test_an_answer_whose_status_is_no_error_is_not_passed_on_as_one(
    status: int, disposition: Disposition
) -> None:
    outcome = await refusal(Answer(status), 0.0, OPENAI)
    assert (outcome.disposition, outcome.status, outcome.answer()) == (disposition, status, None)


# --- A provider's own rules ------------------------------------------------------------------------------------------

BODY = b'{"error": {"message": "quota exhausted"}}'


def rulings(disposition: Disposition, status: int = 0, words: str = "quota exhausted") -> Rulings:
    return Rulings((AnswerRule(disposition, status, words),), [], b"{}")


async def test_a_rule_wins_over_status_and_code() -> None:
    body = b'{"error": {"code": "context_length_exceeded", "message": "quota exhausted"}}'
    outcome = await refusal(Answer(400, body=body), 0.0, OPENAI, rulings(Disposition.OVERLOADED))
    assert (outcome.disposition, outcome.status, outcome.by_rule) == (Disposition.OVERLOADED, 400, True)
    other = await refusal(Answer(400, body=body), 0.0, OPENAI, rulings(Disposition.OVERLOADED, words="something else"))
    assert (other.disposition, other.by_rule) == (Disposition.CONTEXT_LENGTH, False)


async def test_how_long_to_wait_is_read_for_what_the_rule_says() -> None:
    """A renewal by the minute is no news of a quota."""
    header = (b"x-ratelimit-reset-requests", b"6s")
    assert (
        await refusal(Answer(400, header, body=BODY), 0.0, OPENAI, rulings(Disposition.RATE_LIMITED))
    ).retry_after_s == 6.0
    assert (
        await refusal(Answer(400, header, body=BODY), 0.0, OPENAI, rulings(Disposition.QUOTA))
    ).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "disposition", "told", "code", "retry_after"),
    [
        (400, Disposition.RATE_LIMITED, 429, "rate_limited", "7"),
        (400, Disposition.QUOTA, 429, "quota_exceeded", "7"),
        (400, Disposition.OVERLOADED, 503, "upstream_overloaded", "7"),
        (400, Disposition.CREDENTIAL, 502, "upstream_credentials", None),
        (500, Disposition.MODEL_MISSING, 404, "upstream_model_not_found", None),
        (403, Disposition.CLIENT_FAULT, 400, "invalid_request", None),
        (401, Disposition.RATE_LIMITED, 429, "rate_limited", "7"),
        (429, Disposition.CLIENT_FAULT, 400, "invalid_request", None),
        (500, Disposition.TIMEOUT, 504, "upstream_timeout", None),
    ],
)
async def test_the_client_is_told_what_the_rule_says_in_our_words(
    status: int, disposition: Disposition, told: int, code: str, retry_after: str | None
) -> None:
    outcome = await refusal(Answer(status, (b"retry-after", b"7"), body=BODY), 0.0, OPENAI, rulings(disposition))
    assert outcome.answer() is None
    error = UpstreamError(outcome, 1)
    assert (error.status, error.code, error.retry_after) == (told, code, retry_after)
    assert "quota exhausted" not in error.message


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (422, Disposition.CONTEXT_LENGTH),
        (404, Disposition.CLIENT_FAULT),
        (429, Disposition.RATE_LIMITED),
        (503, Disposition.OVERLOADED),
    ],
)
async def test_an_answer_that_says_the_same_is_passed_on(status: int, disposition: Disposition) -> None:
    outcome = await refusal(Answer(status, body=BODY), 0.0, OPENAI, rulings(disposition))
    passed_on = outcome.answer()
    assert passed_on is not None
    assert passed_on.content == BODY


async def test_a_rule_by_status_alone_needs_no_body() -> None:
    huge = Answer(418, body=b"quota exhausted" * 100_000)
    assert (await refusal(huge, 0.0, OPENAI, rulings(Disposition.QUOTA))).disposition is Disposition.CLIENT_FAULT
    assert (await refusal(huge, 0.0, OPENAI, rulings(Disposition.QUOTA, 418, ""))).disposition is Disposition.QUOTA


@pytest.mark.parametrize(
    ("error", "disposition"),
    [
        (EmptyAnswerError("no choices"), Disposition.EMPTY),
        (MalformedAnswerError("no choices"), Disposition.BROKEN),
        (ReportedError("an error"), Disposition.SERVER_ERROR),
    ],
)
def test_a_success_without_an_answer_is_what_a_rule_says_of_it(
    error: EmptyAnswerError | MalformedAnswerError | ReportedError, disposition: Disposition
) -> None:
    assert unusable(error, 200, BODY, NO_RULINGS).disposition is disposition
    outcome: Outcome = unusable(error, 200, BODY, rulings(Disposition.QUOTA, 200))
    assert (outcome.disposition, outcome.status, outcome.by_rule) == (Disposition.QUOTA, 200, True)
    assert unusable(error, 200, BODY, rulings(Disposition.QUOTA, 400)).disposition is disposition
