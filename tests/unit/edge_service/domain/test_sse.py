from __future__ import annotations

import time

import pytest

from edge_service.domain.sse import MAX_EVENT_BYTES, EventSplitter, EventTooLargeError, data_of, with_data


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [b"data: a\n\n"]),
        (b"data: a\r\n\r\n", [b"data: a\r\n\r\n"]),
        (b"data: a\r\r", [b"data: a\r\r"]),
        (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"]),
        (b"data: a\ndata: b\n\n", [b"data: a\ndata: b\n\n"]),
        (b"event: e\nid: 1\ndata: a\n\n", [b"event: e\nid: 1\ndata: a\n\n"]),
        (b": ping\n\n", [b": ping\n\n"]),
        # Mixtures. The second half of a line end that closes an event is a blank line of its own, and dropped.
        (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [b"data: a\r\n\n", b"data: b\n\r", b"data: c\r\r"]),
        (b"data: a\r\n\rdata: b\n\n", [b"data: a\r\n\r", b"data: b\n\n"]),
        # Blank lines between events, and before the first.
        (b"\n\n\r\ndata: a\n\n\n\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"data: a\n\n"]),
        (b"\xef\xbb\xbf\n\ndata: a\n\n", [b"data: a\n\n"]),
        # Only one mark at the very start is dropped.
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [b"data: a\n\n"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"]),
        # What the stream breaks off in is no event.
        (b"data: a\n\ndata: b\n", [b"data: a\n\n"]),
        (b"data: a", []),
        (b"\xef\xbb", []),
        (b"data: \x00\n\n", [b"data: \x00\n\n"]),
    ],
)
def test_a_stream_is_cut_into_events(stream: bytes, events: list[bytes]) -> None:
    assert EventSplitter().feed(stream) == events


@pytest.mark.parametrize(
    ("stream", "tail"),
    [(b"", b""), (b"data: a\n\n", b""), (b"data: a\n\n\n", b""), (b"data: a", b"data: a"), (b":\n\na\n", b"a\n")],
)
def test_it_is_known_which_part_of_an_event_has_come(stream: bytes, tail: bytes) -> None:
    splitter = EventSplitter()
    splitter.feed(stream)
    assert bytes(splitter.kept) == tail


def test_an_event_is_handed_out_with_its_last_byte() -> None:
    splitter = EventSplitter()
    assert [splitter.feed(bytes([byte])) for byte in b"data: a\n\n"] == [[]] * 8 + [[b"data: a\n\n"]]


def test_three_quarters_of_a_blank_line_wait_for_the_last() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: a\r\n\r\n"]


@pytest.mark.parametrize("piece_bytes", [1 << 30, 65536, 4096])
def test_the_largest_event_passes_and_the_next_larger_does_not(piece_bytes: int) -> None:
    largest = b"data: " + b"x" * (MAX_EVENT_BYTES - 8) + b"\n\n"

    def cut(stream: bytes) -> list[bytes]:
        splitter = EventSplitter()
        pieces = (stream[i : i + piece_bytes] for i in range(0, len(stream), piece_bytes))
        return [event for piece in pieces for event in splitter.feed(piece)]

    assert cut(largest + largest) == [largest, largest]
    with pytest.raises(EventTooLargeError):
        cut(b"data: y\n\n" + largest[:-2] + b"x\n\n")
    with pytest.raises(EventTooLargeError):
        cut(largest[:-2] + b"xxx")


def test_time_is_linear_in_the_bytes_however_small_the_pieces() -> None:
    def seconds(size: int) -> float:
        splitter = EventSplitter()
        began_at = time.process_time()
        for _ in range(size // 4):
            splitter.feed(b"xxxx")
        return time.process_time() - began_at

    small, large = min(seconds(64 * 1024) for _ in range(3)), seconds(1024 * 1024)
    assert large < small * 16 * 4, "16 times the bytes: a splitter that copied what it keeps would take 256 times"


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a \n\n", b"a "),
        (b"data: a\r\n\r\n", b"a"),
        (b"data: a\r\n\n", b"a"),
        (b"data: a\r\r", b"a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"data: a\rid: 1\n\n", b"a"),
        (b"data: a\r\ndata:\r\ndata: c\r\n\r\n", b"a\n\nc"),
        (b"data: a: b\n\n", b"a: b"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b"data: \n\n", b""),
        (b"data: \x00\n\n", b"\x00"),
        (b"event: e\ndata: a\nid: 1\n\n", b"a"),
        (b": c\ndata: a\n\n", b"a"),
        (b": data: a\n\n", None),
        (b"event: e\n\n", None),
        (b"Data: a\n\n", None),
        (b" data: a\n\n", None),
        (b"data : a\n\n", None),
        (b"database: a\n\n", None),
    ],
)
def test_the_data_of_an_event_is_what_the_standard_says(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (b"data: a\n\n", b"data: new\n\n"),
        (b"data:a\n\n", b"data: new\n\n"),
        (b"data: a\r\n\r\n", b"data: new\n\n"),
        (b"data: a\r\n\n", b"data: new\n\n"),
        (b"data: a\r\r", b"data: new\n\n"),
        (b"data: a\ndata: b\n\n", b"data: new\n\n"),
        (b"data: a\ndata\n\n", b"data: new\n\n"),
        (b"event: e\ndata: a\n\n", b"event: e\ndata: new\n\n"),
        (b"data: a\rid: 1\n\n", b"id: 1\ndata: new\n\n"),
        (b": c\r\ndata: a\r\nid: 1\r\nretry: 5\r\n\r\n", b": c\nid: 1\nretry: 5\ndata: new\n\n"),
    ],
)
def test_other_data_leaves_the_rest_of_an_event(event: bytes, changed: bytes) -> None:
    assert with_data(event, b"new") == changed


@pytest.mark.parametrize("data", [b"a\nb", b"a\r\nb", b"a\rb"])
@pytest.mark.parametrize("event", [b"data: x\n\n", b"id: 1\ndata: x\n\n"])
def test_data_of_several_lines_stays_in_one_event(event: bytes, data: bytes) -> None:
    changed = with_data(event, data)
    assert EventSplitter().feed(changed) == [changed]
    assert data_of(changed) == b"a\nb"
