from __future__ import annotations

import pytest

from edge_service.dialects import stencil
from edge_service.dialects.stencil import MAX_HOLES

CAME = b'data: {"id":"1","model":"up","choices":[{"delta":{"content":"%s"}}]}\n\n'
SENT = b'data: {"id":"1","model":"asked","choices":[{"delta":{"content":"%s"}}]}\n\n'


@pytest.mark.parametrize(
    "text", [b"b", b" ", b"much longer", "é\U0001f600".encode(), rb"\n\"\\\u00e9", rb"\ud83d", rb"\",\"content\":\"c"]
)
def test_what_differs_in_the_text_alone_is_known_by_its_bytes(text: bytes) -> None:
    made = stencil.of(CAME % b"a", SENT % b"a")
    assert made is not None
    assert made.filled(CAME % text) == SENT % text


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
        CAME % b'b"},"finish_reason":"stop","x":{"y":"',
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
    assert made.filled(other) is None


def test_padding_may_differ_too() -> None:
    came = b'data: {"choices":[{"delta":{"content":"%s"}}],"obfuscation": "%s","model":"up"}\n\n'
    sent = b'data: {"choices":[{"delta":{"content":"%s"}}],"obfuscation":"%s","model":"asked"}\n\n'
    made = stencil.of(came % (b"a", b"x7"), sent % (b"a", b"x7"))
    assert made is not None
    assert made.filled(came % (b"b", b"q")) == sent % (b"b", b"q")
    assert made.filled(came % (b"b", b'q"')) is None


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        (CAME % b"", SENT % b""),
        (CAME % b"a", b""),
        (CAME % b"a", SENT % b"b"),
        (b'data: {"id":"a"}\n\n', b'data: {"id":"a"}\n\n'),
        (b"data: [%s]\n\n" % b",".join([b'{"text":"a"}'] * (MAX_HOLES + 1)),) * 2,
    ],
)
def test_of_some_events_there_is_none(came: bytes, sent: bytes) -> None:
    assert stencil.of(came, sent) is None
