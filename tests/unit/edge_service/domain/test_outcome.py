from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from edge_service.domain.outcome import (
    AMBIGUOUS,
    MAX_RETRY_AFTER_S,
    MOVES_ON,
    Disposition,
    Outcome,
    classify,
    most_useful,
    retry_after_s,
)

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("statuses", "disposition"),
    [
        ([200, 201, 204, 299], Disposition.OK),
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


def test_what_is_no_fault_of_the_target_stays() -> None:
    stays = {Disposition.OK, Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH, Disposition.CANCELLED}
    assert stays | MOVES_ON == set(Disposition)
    assert not stays & MOVES_ON


def test_only_silence_is_ambiguous() -> None:
    assert {Disposition.TIMEOUT, Disposition.BROKEN} == AMBIGUOUS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("20", 20.0),
        (" 20 ", 20.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e400", None),
        ("1e300", MAX_RETRY_AFTER_S),
        ("99999999999999999999", MAX_RETRY_AFTER_S),
        ("", None),
        ("soon", None),
        ("0x10", None),
        ("20 seconds", None),
        ("\x00", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),
        ("Sun Nov  6 08:49:47 1994", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +99999999", None),
    ],
)
def test_a_retry_after_is_read_in_every_form_of_http(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@pytest.fixture
def _in_new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
@pytest.mark.parametrize("value", ["Sun Nov  6 08:49:47 1994", "Sun, 06 Nov 1994 08:49:47"])
def test_a_date_without_a_zone_is_in_utc_wherever_the_edge_runs(value: str) -> None:
    assert retry_after_s(value, NOW) == 10.0


BY_RANK = [
    [Outcome(Disposition.RATE_LIMITED, status=429), Outcome(Disposition.QUOTA, status=429)],
    [Outcome(Disposition.OVERLOADED, status=503), Outcome(Disposition.OVERLOADED, status=529)],
    [
        Outcome(Disposition.SERVER_ERROR, status=500),
        Outcome(Disposition.BROKEN, status=200),
        Outcome(Disposition.EMPTY, status=200),
    ],
    [Outcome(Disposition.MODEL_MISSING, status=404)],
    [Outcome(Disposition.TIMEOUT, status=504), Outcome(Disposition.TIMEOUT)],
    [
        Outcome(Disposition.UNREACHABLE),
        Outcome(Disposition.CREDENTIAL, status=401),
        Outcome(Disposition.CREDENTIAL, status=403),
        Outcome(Disposition.QUOTA, status=402),
        Outcome(Disposition.CREDENTIAL),
    ],
]


@pytest.mark.parametrize("rank", range(len(BY_RANK) - 1))
def test_a_higher_rank_is_more_useful_wherever_it_stands(rank: int) -> None:
    for better in BY_RANK[rank]:
        for worse in BY_RANK[rank + 1]:
            assert most_useful([better, worse]) is better
            assert most_useful([worse, better]) is better


@pytest.mark.parametrize("equals", BY_RANK)
def test_of_equals_the_last_is_the_most_useful(equals: list[Outcome]) -> None:
    assert most_useful(equals) is equals[-1]
    assert most_useful(equals[::-1]) is equals[0]


@pytest.mark.parametrize("disposition", [Disposition.CLIENT_FAULT, Disposition.CONTEXT_LENGTH, Disposition.CANCELLED])
def test_what_no_other_target_could_better_comes_before_all(disposition: Disposition) -> None:
    last = Outcome(disposition)
    assert most_useful([BY_RANK[0][0], last]) is last
