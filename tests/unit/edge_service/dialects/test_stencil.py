from __future__ import annotations

import pytest

from edge_service.dialects import stencil
from edge_service.dialects.stencil import MAX_HOLES, MOST_BEHIND

CAME = b'data: {"id":"1","model":"up","choices":[{"delta":{"content":"%s"}}]}\n\n'
SENT = b'data: {"id":"1","model":"asked","choices":[{"delta":{"content":"%s"}}]}\n\n'


@pytest.mark.parametrize(
    "text",
    [
        b"b",
        b" ",
        b"longer",
        b"much longer" * 50,
        "é\U0001f600".encode(),
        rb"\n\"\\\u00e9",
        rb"\ud83d",
        rb"\",\"content\":\"c",
    ],
)
def test_what_differs_in_the_text_alone_is_known_by_its_bytes(text: bytes) -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    assert made.known(CAME % text) == (1, SENT % text, b"")


@pytest.mark.parametrize(
    "other",
    [
        CAME % b"",
        CAME % b'b"',
        CAME % b"b\\",
        CAME % rb"\x",
        CAME % rb"\u12",
        CAME % b"\n",
        CAME % b"\0",
        CAME % b"\xff",
        CAME % b'b"},"finish_reason":"stop","x":{"y":"',
        (CAME % b"b").replace(b'"b"', b'\n\n"b"'),
        (CAME % b"b").replace(b'"b"', b'"b"\n\n'),
        (CAME % b"b").replace(b'"1"', b'"2"'),
        (CAME % b"b").replace(b"]}", b'],"usage":{}}'),
        (CAME % b"b")[:-1],
        b"data: [DONE]\n\n",
        CAME[: CAME.index(b"%s")],
        b"",
    ],
)
def test_any_other_event_is_left_to_be_read(other: bytes) -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    assert made.known(other) is None


@pytest.mark.parametrize("rest", [b"", b"data: [DONE]\n\n", b": ping", CAME[:-3] % b"cut", CAME % b"", b"\n\n"])
def test_however_many_come_at_a_time_they_are_known(rest: bytes) -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    texts = (b"b", b"\xc3\xa9", rb"\"c", b"d")
    came = b"".join(CAME % text for text in texts)
    sent = b"".join(SENT % text for text in texts)
    if rest == CAME % b"":
        assert made.known(came + rest) is None, "there is one among them that has to be read"
    else:
        assert made.known(came + rest) == (4, sent, rest)


def test_those_behind_may_be_as_many_as_end_a_stream() -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    piece = CAME % b"b" + b": ping\n\n" * MOST_BEHIND
    assert made.known(piece) == (1, SENT % b"b", b": ping\n\n" * MOST_BEHIND)
    assert made.known(piece + b": ping\n\n") is None


def test_an_event_that_is_long_and_repeats_itself_is_not_searched_for() -> None:
    came = b'data: {"text":"%s","":"' + b'","":"' * 100_000 + b'"}\n\n'
    made = stencil.of(came % b"a", came % b"a")
    assert made is not None
    assert made.known(came % b"b" + b": ping\n\n") == (1, came % b"b", b": ping\n\n")
    assert made.known((came % b"b").replace(b'"}', b'x"}')) is None


@pytest.mark.parametrize(
    "between",
    [b": ping\n\n", b"\n", b"\0", b"data: {}\n\n", CAME % b"", CAME % b"\xff", CAME % b"a\nb", CAME % b"a\0b"],
)
def test_with_anything_between_them_they_are_read(between: bytes) -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    assert made.known(CAME % b"b" + between + CAME % b"c") is None


def test_padding_may_differ_too() -> None:
    came = b'data: {"choices":[{"delta":{"content":"%s"}}],"obfuscation": "%s","model":"up"}\n\n'
    sent = b'data: {"choices":[{"delta":{"content":"%s"}}],"obfuscation":"%s","model":"asked"}\n\n'
    made = stencil.of(came % (b"a", b"x7"), sent % (b"a", b"x7"))
    assert made is not None
    event = came % (b"b", b"q")
    assert made.known(event) == (1, sent % (b"b", b"q"), b"")
    assert made.known(event * 3) == (3, sent % (b"b", b"q") * 3, b"")
    assert made.known(came % (b"b", b'q"')) is None


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        (CAME % b"", SENT % b""),
        (CAME % b"a", b""),
        (CAME % b"a", SENT % b"b"),
        (b": \1\n" + CAME % b"a", b": \1\n" + SENT % b"a"),
        ((CAME % b"a").replace(b"\n\n", b"\r\r"), SENT % b"a"),
        (b'data: {"id":"a"}\n\n', b'data: {"id":"a"}\n\n'),
        (b"data: [%s]\n\n" % b",".join([b'{"text":"a"}'] * (MAX_HOLES + 1)),) * 2,
    ],
)
def test_of_some_events_there_is_none(came: bytes, sent: bytes) -> None:
    assert stencil.of(came, sent) is None
