from __future__ import annotations

import pytest

from edge_service.dialects import gemini, openai_chat
from edge_service.dialects.canonical import Request
from edge_service.dialects.known_text import MOST_TRIED
from edge_service.dialects.translation import TranslatedEvents

CAME = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
SENT = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"%s"}],"role":"model"},"index":0}],'
    b'"modelVersion":"chat","responseId":"1"}\n\n'
)


def reader() -> TranslatedEvents:
    """It has read two texts: with the first the answer begins."""
    made = TranslatedEvents(openai_chat.PROVIDER.events(), gemini.CLIENT.events(Request("chat", True, ())))
    for text in (b"a", b"b"):
        made.read(CAME % text)
    return made


@pytest.mark.parametrize(
    ("text", "written"),
    [(b"c", b"c"), ("é".encode(), "é".encode()), (rb"\u00e9\/\n", "é/".encode() + rb"\n"), (b"c" * 60, b"c" * 60)],
)
def test_a_text_is_known_by_what_is_around_it(text: bytes, written: bytes) -> None:
    assert reader().known(CAME % text) == (1, SENT % written, b"")


@pytest.mark.parametrize(
    "piece",
    [
        CAME % b"",
        CAME % rb"\ud83d",
        CAME % b"\xff",
        CAME % b'c"',
        (CAME % b"c").replace(b'"c"', b'\n\n"c"'),
        (CAME % b"c").replace(b'"index":0', b'"index":1'),
        (CAME % b"c")[:-1],
        CAME % b"c" * 2,
        CAME % (b"c" * 1000),
        b"",
    ],
)
def test_all_else_is_read(piece: bytes) -> None:
    assert reader().known(piece) is None


@pytest.mark.parametrize(
    "other",
    [
        CAME.replace(b"content", b"reasoning_content") % b"c",
        CAME.replace(b"]}", b'],"usage":{"prompt_tokens":1}}') % b"c",
        CAME.replace(b'"1"', b'"1","text":"c"') % b"c",
        CAME.replace(b'"1"', b'"1","text":"c"').replace(b'"content"', rb'"conten\u0074"') % b"c",
        b": ping\n\n",
    ],
)
def test_nothing_is_known_behind_an_event_that_is_not_a_text_alone(other: bytes) -> None:
    made = reader()
    made.read(other)
    for piece in (CAME % b"c", other):
        assert made.known(piece) is None


def test_texts_that_change_places_are_not_looked_for_all_the_time() -> None:
    made = reader()
    for index in range(1, MOST_TRIED):
        other = CAME.replace(b'"index":0', b'"index":%d' % index) % b"c"
        made.read(other)
        assert made.known(other) is not None
    made.read(CAME % b"c")
    assert made.known(CAME % b"c") is None
