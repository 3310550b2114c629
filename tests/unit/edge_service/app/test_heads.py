from __future__ import annotations

from edge_service.app import heads
from edge_service.app.heads import Heads
from edge_service.app.incoming import Incoming
from edge_service.app.record import Record
from edge_service.dialects.asked import OPENAI, ArrayVoice
from edge_service.dialects.exchange import Written
from edge_service.domain.plan import Attempt

ATTEMPT = Attempt("p/m#0", "p", "anthropic", "", "up", "")


def of_a_request() -> tuple[Heads, Record]:
    """One that arrived a second ago, of which a provider took three quarters."""
    record = Record("r", 10.0, upstream_s=0.75)
    return Heads(lambda: 11.0, Incoming("r", [], b"", 10.0), record), record


def test_who_served_and_what_it_took() -> None:
    it, record = of_a_request()
    assert it.own(ATTEMPT, 2) == [
        (b"x-forebay-target", b"p/m#0"),
        (b"x-forebay-attempts", b"2"),
        (b"x-forebay-overhead-ms", b"250.00"),
        (b"x-forebay-request-id", b"r"),
    ]
    assert record.overhead_s == 0.25
    it.is_stale = True
    assert it.own(None, 0)[-1] == (b"x-forebay-stale", b"1")
    assert b"x-forebay-target" not in dict(it.own(None, 0))


def test_before_anyone_has_served_nobody_is_named() -> None:
    it, _ = of_a_request()
    assert it.early(OPENAI) == [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-forebay-request-id", b"r"),
    ]


def test_losses_are_told_and_noted() -> None:
    it, record = of_a_request()
    assert it.losses(ATTEMPT, Written("/", b"")) == []
    assert (record.dropped, record.dialect) == ((), "")
    told = it.losses(ATTEMPT, Written("/", b"", dropped=("seed", "made-up", "seed")))
    assert told == [(b"x-forebay-dropped", b"seed, (other)")]
    assert (record.dropped, record.dialect) == (("seed", "(other)"), "anthropic")


def test_the_kind_of_content_is_the_provider_s_unless_it_is_framed_anew() -> None:
    answered = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-ratelimit-limit-requests", b"1")]
    assert heads.passed(answered, OPENAI, stream=True) == answered
    assert dict(heads.passed(answered, ArrayVoice(), stream=True))[b"content-type"] == ArrayVoice.stream_type
    assert dict(heads.passed(answered, ArrayVoice(), stream=False))[b"content-type"] == answered[0][1]
    assert heads.translated(OPENAI, stream=True) == [(b"content-type", b"text/event-stream")]
    assert heads.translated(OPENAI, stream=False) == [(b"content-type", b"application/json")]
