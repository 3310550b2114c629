from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge_service.app.answers import refusal
from edge_service.domain.headers import Headers
from edge_service.domain.outcome import Disposition

ERROR = b'{"error":{"message":"no"}}'


class Answer:
    """A provider's answer that is all there."""

    def __init__(self, status: int, *head: tuple[bytes, bytes], body: bytes = ERROR) -> None:
        self.status = status
        self.headers: Headers = list(head)
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        pass


async def shown(answer: Answer) -> Headers:
    """The headers of the answer that is passed on."""
    passed_on = (await refusal(answer, 0.0)).answer
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
    outcome = await refusal(Answer(status), 0.0)
    assert (outcome.disposition, outcome.status, outcome.answer) == (disposition, status, None)
