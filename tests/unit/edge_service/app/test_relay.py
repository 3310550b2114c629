from __future__ import annotations

import pytest

from edge_service.app.relay import MAX_HELD_BYTES, MOST_ALONE, Relay, StreamFailedError
from edge_service.app.rulings import Rulings
from edge_service.dialects.openai_chat.passthrough import EventReader
from edge_service.dialects.stencil import StencilReader
from edge_service.domain.outcome import Disposition
from edge_service.domain.plan import AnswerRule
from edge_service.domain.sse import MAX_EVENT_BYTES
from tests.support.faulty_upstream import DONE, delta

ROLE = delta(model="chat", role="assistant", content="")
HELLO = delta(model="chat", content="hello")
STOP = delta(model="chat", finish_reason="stop")
PING = b": ping\n\n"


def compact(*events: bytes) -> bytes:
    """What `events` of `delta` are once their model's name has been written anew."""
    relay = EventReader("chat")
    return b"".join(relay.read(event)[1] for event in events)


def relay() -> Relay:
    return Relay(StencilReader(EventReader("chat")))


def failure(of: Relay, data: bytes | None) -> Disposition:
    """How the stream fails at this piece, or at its end."""
    with pytest.raises(StreamFailedError) as raised:
        of.ended() if data is None else of.feed(data)
    assert raised.value.outcome.status == 200
    assert raised.value.outcome.detail == str(raised.value)
    return raised.value.outcome.disposition


def test_what_comes_before_content_is_held_and_sent_with_it() -> None:
    it = relay()
    assert [it.feed(part) for part in (PING, ROLE, PING)] == [b"", b"", b""]
    assert not it.has_content
    assert it.feed(HELLO) == compact(PING, ROLE, PING, HELLO)
    assert it.has_content


def test_after_content_everything_is_sent_as_it_comes() -> None:
    it = relay()
    it.feed(HELLO)
    assert it.feed(PING) == PING
    assert it.feed(STOP + DONE) == compact(STOP) + DONE
    assert it.complete
    it.ended()


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("before", [0, MOST_ALONE - 1, MOST_ALONE, 2 * MOST_ALONE])
@pytest.mark.parametrize("cut", [0, 5, len(HELLO) + 5])
def test_however_many_come_together_each_is_sent_as_by_itself(blank: bytes, before: int, cut: int) -> None:
    words = [delta(content=f"{number} ") for number in range(40)]
    events = [event.replace(b"\n\n", blank) for event in (*[PING] * before, HELLO, *words, STOP, DONE)]
    stream, it = b"".join(events), relay()
    at = before * len(events[0]) + cut if before else cut
    assert it.feed(stream[:at]) + it.feed(stream[at:]) == compact(*events)
    assert (it.complete, it.content_events) == (True, 41)


def test_the_provider_name_of_the_model_is_not_sent() -> None:
    assert b"upstream-model" not in relay().feed(delta(content="x"))


def test_only_content_is_new_content() -> None:
    it = relay()
    seen = []
    for part in (ROLE, HELLO, PING, ROLE, HELLO[:9], HELLO[9:], STOP):
        it.feed(part)
        seen.append(it.is_new_content)
    assert seen == [False, True, False, False, False, True, False]


def test_a_stream_that_is_complete_without_content_is_sent_at_its_end() -> None:
    it = relay()
    assert it.feed(ROLE + STOP) == b""
    assert it.feed(DONE) == compact(ROLE, STOP) + DONE
    assert it.complete
    assert not it.has_content
    it.ended()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b" ", b" \r\n", b"\r\n\r"])
@pytest.mark.parametrize("before", [HELLO, ROLE + STOP, b""])
def test_a_marker_that_lacks_its_blank_line_at_the_end_gets_one(before: bytes, end: bytes) -> None:
    it = relay()
    sent = it.feed(before + DONE[:-2] + end)
    assert not it.complete
    sent += it.ended()
    assert it.complete
    assert sent == compact(*([HELLO] if before == HELLO else [ROLE, STOP] if before else [])) + DONE[:-2] + (
        end.rstrip(b"\r\n") + b"\n\n"
    )


def test_within_one_attempt_nothing_is_taken_for_a_repetition() -> None:
    it = relay()
    assert it.feed(ROLE + ROLE + HELLO) == compact(ROLE, ROLE, HELLO)


def test_what_follows_the_terminal_marker_is_not_sent() -> None:
    it = relay()
    assert it.feed(HELLO + DONE + HELLO) == compact(HELLO) + DONE
    assert it.feed(HELLO) == b""


@pytest.mark.parametrize(
    ("stream", "disposition"),
    [
        (b"", Disposition.EMPTY),
        (b"\n\n", Disposition.EMPTY),
        (PING, Disposition.EMPTY),
        (ROLE + STOP, Disposition.EMPTY),
        (ROLE + HELLO[:-1], Disposition.BROKEN),
        (b'{"choices":[]}', Disposition.BROKEN),
        (HELLO, Disposition.BROKEN),
        (HELLO + STOP, Disposition.BROKEN),
        (HELLO + STOP + DONE[:-3], Disposition.BROKEN),
        (HELLO + STOP + b": " + DONE, Disposition.BROKEN),
        (ROLE + b"\xff", Disposition.BROKEN),
    ],
)
def test_a_proper_end_without_the_marker_proves_nothing(stream: bytes, disposition: Disposition) -> None:
    it = relay()
    it.feed(stream)
    assert failure(it, None) is disposition


@pytest.mark.parametrize(
    ("event", "disposition"),
    [
        (b'data: {"error":{"message":"no"}}\n\n', Disposition.SERVER_ERROR),
        (b"data: {\n\n", Disposition.BROKEN),
        (b'data: {"id":"\xff"}\n\n', Disposition.BROKEN),
        (b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n", Disposition.BROKEN),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
@pytest.mark.parametrize("before", [b"", ROLE, HELLO])
def test_a_stream_fails_at_an_event_that_cannot_be_relayed(
    before: bytes, event: bytes, disposition: Disposition
) -> None:
    it = relay()
    it.feed(before)
    assert failure(it, event) is disposition


def test_words_of_the_provider_are_not_in_the_outcome() -> None:
    with pytest.raises(StreamFailedError) as raised:
        relay().feed(b'data: {"error":{"message":"key sk-123 is out of quota"}}\n\n')
    assert "sk-123" not in repr(raised.value.outcome)


@pytest.mark.parametrize("at_once", [True, False])
def test_no_more_is_held_than_the_limit_however_it_comes(at_once: bool) -> None:
    ping = b": " + b"x" * 1020 + b"\n\n"
    assert len(ping) == 1024
    full, it = ping * (MAX_HELD_BYTES // 1024), relay()
    assert it.feed(full) == b""
    it = relay()
    if at_once:
        assert failure(it, full + PING + HELLO) is Disposition.BROKEN
    else:
        it.feed(full)
        assert failure(it, PING) is Disposition.BROKEN


def test_the_limit_is_not_one_for_what_follows_content() -> None:
    it = relay()
    it.feed(HELLO)
    ping = b": " + b"x" * (MAX_HELD_BYTES // 2) + b"\n\n"
    assert it.feed(ping * 3) == ping * 3


def test_a_rule_of_the_provider_says_what_an_error_event_is() -> None:
    rule = AnswerRule(Disposition.QUOTA, 200, "quota exhausted")
    for before in (b"", HELLO):
        it = Relay(EventReader("chat"), Rulings((rule,), [], b"{}"))
        it.feed(before)
        assert failure(it, b'data: {"error": {"message": "Quota exhausted"}}\n\n') is Disposition.QUOTA
        it = Relay(EventReader("chat"), Rulings((rule,), [], b'{"x": "quota exhausted"}'))
        it.feed(before)
        assert failure(it, b'data: {"error": {"message": "Quota exhausted"}}\n\n') is Disposition.SERVER_ERROR
