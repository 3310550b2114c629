from __future__ import annotations

from edge_service.app import heads
from edge_service.app.record import Record
from edge_service.dialects.asked import OPENAI, ArrayVoice
from edge_service.dialects.exchange import Written
from edge_service.domain.plan import Attempt

ATTEMPT = Attempt("p/m#0", "p", "anthropic", "", "up", "")


def of_a_request() -> Record:
    """One that arrived a second ago, of which a provider took three quarters."""
    record = Record("r", 10.0)
    record.upstream_s = 0.75
    return record


def test_who_served_and_what_it_took() -> None:
    record = of_a_request()
    assert heads.own(record, 11.0, ATTEMPT, 2) == [
        (b"x-forebay-target", b"p/m#0"),
        (b"x-forebay-attempts", b"2"),
        (b"x-forebay-overhead-ms", b"250.00"),
        (b"x-forebay-request-id", b"r"),
    ]
    assert record.overhead_s == 0.25
    record.is_stale = True
    assert heads.own(record, 11.0, None, 0)[-1] == (b"x-forebay-stale", b"1")
    assert b"x-forebay-target" not in dict(heads.own(record, 11.0, None, 0))


def test_before_anyone_has_served_nobody_is_named() -> None:
    assert heads.early(of_a_request(), OPENAI) == [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-forebay-request-id", b"r"),
    ]


def test_losses_are_told_and_noted() -> None:
    record = of_a_request()
    assert heads.losses_of(record, ATTEMPT, Written("/", b"")) == []
    assert (record.dropped, record.dialect) == ((), "")
    told = heads.losses_of(record, ATTEMPT, Written("/", b"", dropped=("seed", "made-up", "seed")))
    assert told == [(b"x-forebay-dropped", b"seed, (other)")]
    assert (record.dropped, record.dialect) == (("seed", "(other)"), "anthropic")


def test_the_kind_of_content_is_the_provider_s_unless_it_is_framed_anew() -> None:
    answered = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-ratelimit-limit-requests", b"1")]
    assert heads.passed(answered, OPENAI, stream=True) == answered
    assert heads.passed(answered, ArrayVoice(), stream=True) == [(b"content-type", ArrayVoice.stream_type), answered[1]]
    assert dict(heads.passed(answered, ArrayVoice(), stream=False))[b"content-type"] == answered[0][1]
    assert heads.translated(OPENAI, stream=True) == [(b"content-type", b"text/event-stream")]
    assert heads.translated(OPENAI, stream=False) == [(b"content-type", b"application/json")]
