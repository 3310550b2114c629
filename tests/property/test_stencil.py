"""Whatever has been read before, each event of a stream is read as if it were the first."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.dialects import stencil
from edge_service.dialects.exchange import EventKind, MalformedAnswerError
from edge_service.dialects.openai_chat.passthrough import EventReader
from edge_service.dialects.stencil import StencilReader
from edge_service.domain.sse import EventSplitter

# Fragments of strings, of JSON around them, and of neither.
fragments = st.lists(
    st.sampled_from(
        [
            *(b"a", b" word", "é\U0001f600".encode(), rb"\n", rb"\"", rb"\\", rb"\u0041", rb"\ud83d", rb"\ud83d\ude00"),
            *(
                b'"',
                b"\\",
                b"\xff",
                b"\n",
                b"\t",
                b"\0",
                b"\\u12",
                b'"}',
                b'"},',
                b'","content":"b',
                b'"}}],"model":"x',
            ),
            *(b'"},"x":"y"}],"obfuscation":"', rb"\",\"content\":\"c"),
        ]
    ),
    max_size=3,
).map(b"".join)

shapes = st.sampled_from(
    [
        b'data: {"model":"m","choices":[{"delta":{"content":"%s"}}]}\n\n',
        b'data: {"model": "m", "choices": [{"delta": {"content": "%s"}, "finish_reason": null}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"%s"}}],"model":"m","usage":null}\n\n',
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\r\n\r\n',
        b'event: e\ndata: { "model" : "m", "choices":[{"delta":{ "reasoning_content" : "%s", "content":""}}]}\n\n',
        b'data: {"model":"m","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"%s"}}]}}]}\n\n',
        b'data: {"model":"m","choices":[{"delta":{"content":"%s"}}],"obfuscation":"%s"}\n\n',
        b'data: {"choices":[{"delta":{"content":"%s"}}],"obfuscation": "%s","model":"m"}\n\n',
        b'data: {"model":"m","choices":[{"index":0,"text":"%s"}],"error":null}\n\n',
        b'data: {"model":"%s","choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"model":"m","choices":[],"content":"%s"}\n\n',
        b'data: {"model":"m","choices":[{"delta":{"content":"a"}}],"text":"%s"}\n\n',
        b'data: {"error":{"text":"%s"}}\n\n',
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Events of one or two shapes, so that many are like the one before."""
    of = st.sampled_from(draw(st.lists(shapes, min_size=1, max_size=2)))
    events = []
    for shape in draw(st.lists(of, max_size=6)):
        texts = tuple(draw(fragments) for _ in range(shape.count(b"%s")))
        events.append(shape % texts)
    return events


def read(reader: EventReader | StencilReader, event: bytes) -> tuple[EventKind, bytes] | None:
    try:
        return reader.read(event)
    except MalformedAnswerError:
        return None


@given(streams())
@example([b'data: {"choices":[{"delta":{"content":"%s"}}],"model":"m"}\n\n' % text for text in (b"a", b"b", rb"\\")])
@settings(max_examples=400)
def test_what_an_event_is_does_not_depend_on_those_before(events: list[bytes]) -> None:
    reader = StencilReader(EventReader("asked"))
    assert [read(reader, event) for event in events] == [read(EventReader("asked"), event) for event in events]


@given(streams())
@settings(max_examples=200)
def test_the_event_that_it_was_made_of_is_no_other(events: list[bytes]) -> None:
    for event in events:
        found = read(EventReader("asked"), event)
        if found is not None and found[0] is EventKind.CONTENT:
            made = stencil.of(event, found[1])
            # It does not know its own where what stands between two holes stands between two others as well.
            its_own = None if made is None else made.known(event)
            assert its_own in (None, (1, found[1], b""))


@given(streams(), streams(), st.binary(max_size=4))
@settings(max_examples=400)
def test_what_is_known_of_many_is_what_is_read_of_each(before: list[bytes], events: list[bytes], rest: bytes) -> None:
    reader = StencilReader(EventReader("asked"))
    for event in before:
        read(reader, event)
    piece = b"".join(events) + rest
    found = reader.known(piece)
    if found is not None:
        count, sent, behind = found
        known = piece.removesuffix(behind)
        cut = EventSplitter().feed(known)
        each = [read(EventReader("asked"), event) for event in cut]
        assert b"".join(cut) == known
        assert [None if it is None else it[0] for it in each] == [EventKind.CONTENT] * count
        assert sent == b"".join(it[1] for it in each if it is not None)


@given(shapes, st.lists(st.text(min_size=1), min_size=2, max_size=8))
def test_events_that_differ_in_texts_are_known_together(shape: bytes, texts: list[str]) -> None:
    plain = [json.dumps(text, ensure_ascii=False).encode()[1:-1] for text in texts]
    events = [shape % ((text,) * shape.count(b"%s")) for text in plain]
    reader = StencilReader(EventReader("asked"))
    found = read(reader, events[0])
    if found is not None and found[0] is EventKind.CONTENT and shape.count(b"%s") and b'"model":"%s"' not in shape:
        known = reader.known(b"".join(events))
        assert known is not None
        assert known[0] == len(events)
