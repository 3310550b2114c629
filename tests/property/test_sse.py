"""However a stream is cut on its way, it is the same stream; and it means what the standard says."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_service.domain.sse import EventSplitter, data_of, with_data
from tests.property.sse_reference import dispatched

BOM = b"\xef\xbb\xbf"
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
words = st.sampled_from(
    [
        *(b"", b"data", b"data:", b"data: ", b"data: a", b"data:a", b"data:  ", b"data: {}", b"data: [DONE]"),
        *(b"datax: 1", b"event: e", b"id: 1", b"retry: 5", b": ping", b":", b"a:b:c", b"data: \x00\xff"),
        "data: é\U0001f600".encode(),
    ]
)
lines = words | st.binary(max_size=8).map(lambda b: re.sub(rb"[\r\n]", b"", b))
# Mostly lines of text with an end of one kind each, so that events come about; now and then anything.
streams = (
    st.builds(
        lambda bom, parts, tail: bom + b"".join(line + end for line, end in parts) + tail,
        st.sampled_from([b"", b"", b"", BOM, BOM[:2], BOM + BOM]),
        st.lists(st.tuples(lines, ends), max_size=20),
        lines,
    )
    | st.binary(max_size=60)
    | st.lists(st.sampled_from([b"\r", b"\n", b"a", b":", b"data:a"]), max_size=24).map(b"".join)
)
cuts = st.lists(st.integers(0, 200), max_size=12)


def pieces(stream: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(stream)) for place in at), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


def split(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    return [event for part in parts for event in splitter.feed(part)], bytes(splitter.kept)


@given(streams, cuts)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [10])
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [9, 10, 11])
@example(BOM + b"data: a\n\n", [1, 2])
@settings(max_examples=400)
def test_cut_anywhere_a_stream_has_the_same_events(stream: bytes, at: list[int]) -> None:
    assert split(pieces(stream, at)) == split([stream])


@given(streams)
@settings(max_examples=300)
def test_cut_at_every_byte_a_stream_has_the_same_events(stream: bytes) -> None:
    assert split([stream[i : i + 1] for i in range(len(stream))]) == split([stream])


@given(streams)
@settings(max_examples=300)
def test_nothing_gets_lost_but_the_mark_blank_lines_and_the_tail(stream: bytes) -> None:
    events, tail = split([stream])
    rest = stream
    while rest.startswith(BOM):
        rest = rest.removeprefix(BOM)
    for event in events:
        assert event.strip(b"\r\n"), "an event is not a blank line"
        assert event[:1] not in (b"\r", b"\n")
        rest = rest.lstrip(b"\r\n")
        assert rest.startswith(event)
        rest = rest[len(event) :]
    assert tail == rest.lstrip(b"\r\n")


@given(streams)
@settings(max_examples=400)
@example(b"data: a\rdata: b\n\n")
@example(b"data: a\r\n\r")
def test_the_events_are_those_that_a_browser_would_dispatch(stream: bytes) -> None:
    found = [data for event in split([stream])[0] if (data := data_of(event)) is not None]
    expected = dispatched(stream)
    if stream.endswith(b"\r\n\r") and len(expected) == len(found) + 1:
        # A browser need not tell CR from the first half of CRLF; who passes an event on in one piece has to wait.
        expected.pop()
    assert found == expected


@given(st.lists(st.tuples(lines.filter(bool), ends), min_size=1, max_size=6), ends, st.binary(max_size=20))
@settings(max_examples=300)
def test_other_data_changes_the_data_alone(parts: list[tuple[bytes, bytes]], end: bytes, data: bytes) -> None:
    event = b"".join(line + line_end for line, line_end in parts) + end
    changed = with_data(event, data)
    # Behind another event, for at the very start of a stream a byte order mark would be dropped.
    assert split([b":\n\n" + changed]) == ([b":\n\n", changed], b"")
    assert data_of(changed) == re.sub(rb"\r\n|\r", b"\n", data)

    def others(of: bytes) -> list[bytes]:
        return [line for line in re.split(rb"\r\n|\r|\n", of) if line and line.partition(b":")[0] != b"data"]

    assert others(changed) == others(event)


@given(st.text(min_size=1, max_size=20), st.integers(0, 100))
@settings(max_examples=200)
def test_a_character_may_be_cut_in_two(text: str, at: int) -> None:
    data = re.sub(r"[\r\n]", "", text).encode()
    event = b"data: " + data + b"\n\n"
    ((whole,), _) = split(pieces(event, [at]))
    assert data_of(whole) == data
