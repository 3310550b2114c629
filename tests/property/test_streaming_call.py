from __future__ import annotations

import asyncio
import struct
from typing import Any

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given
from hypothesis import strategies as st

from edge_service.adapters.resolver_grpc.streaming_call import StreamingCall

ACCEPTED = Encoder().encode([(":status", "200"), ("content-type", "application/grpc")])
UNKNOWN = struct.pack(">HBBBL", 0, 1, 0xB, 0, 1) + b"?"
"""A frame of a type that HTTP/2 does not know."""
MESSAGES = [b"", b"one", b"x" * 20_000, b"\0\0\0\0\x05abcde", b"last"]


@st.composite
def wires(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Messages, and the bytes in which they come: cut into frames, and these into reads, anywhere; with padding, and
    with frames in between that say nothing."""
    sent = draw(st.lists(st.sampled_from(MESSAGES), max_size=5))
    rest = b"".join(struct.pack(">BL", 0, len(each)) + each for each in sent)
    frames = [SettingsFrame().serialize(), HeadersFrame(1, data=ACCEPTED, flags=["END_HEADERS"]).serialize()]
    while rest:
        size = draw(st.integers(1, 16_000))
        padding = draw(st.sampled_from([None, 0, 7]))
        part, rest = rest[:size], rest[size:]
        its: dict[str, Any] = {} if padding is None else {"flags": ["PADDED"], "pad_length": padding}
        frame = DataFrame(1, data=part, **its)
        frames += (frame.serialize(), draw(st.sampled_from([UNKNOWN, PingFrame(opaque_data=b"12345678").serialize()])))
    whole = b"".join(frames)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return sent, [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


class Sink(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, content: Any) -> None:
        self.written += content

    def abort(self) -> None:
        pass


@given(wires())
def test_however_they_are_cut_messages_come_whole_and_in_order(wire: tuple[list[bytes], list[bytes]]) -> None:
    async def receive() -> list[bytes]:
        received: list[bytes] = []
        call = StreamingCall("/a.Service/Method", "localhost", (), received.append, scheme="http")
        call.connection_made(Sink())
        for read in wire[1]:
            call.data_received(read)
        assert call.accepted.done()
        call.connection_lost(None)
        return received

    assert asyncio.run(receive()) == wire[0]


def frames(written: bytes) -> list[Any]:
    found, rest = [], memoryview(written)
    while rest:
        frame, length = Frame.parse_frame_header(rest[:9])
        frame.parse_body(rest[9 : 9 + length])
        found.append(frame)
        rest = rest[9 + length :]
    return found


SIZES = st.one_of(st.integers(0, 70_000), st.sampled_from([0, 1, 16_384, 65_535, 65_536]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), SIZES),
        st.tuples(st.just("settings"), SIZES),
        st.tuples(st.just("stream"), SIZES.filter(bool)),
        st.tuples(st.just("connection"), SIZES.filter(bool)),
        st.tuples(st.just("acknowledged"), st.just(0)),
    ),
    max_size=12,
)


@given(STEPS)
def test_all_is_sent_that_there_is_room_for_and_no_more(steps: list[tuple[str, int]]) -> None:
    async def follow() -> None:
        sink = Sink()
        call = StreamingCall("/a.Service/Method", "localhost", (), lambda _: None, scheme="http")
        call.connection_made(sink)
        call.data_received(HeadersFrame(1, data=ACCEPTED, flags=["END_HEADERS"]).serialize())
        sink.written = sink.written.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        written, sent = b"", 0
        connection = initial = 65_535
        stream = settings = 0
        for kind, size in steps:
            match kind:
                case "write":
                    call.write(b"m" * size)
                    written += struct.pack(">BL", 0, size) + b"m" * size
                case "settings":
                    initial, settings = size, settings + 1
                    its = {SettingsFrame.INITIAL_WINDOW_SIZE: size}
                    call.data_received(SettingsFrame(settings=its).serialize())
                case "stream":
                    stream += size
                    call.data_received(WindowUpdateFrame(1, window_increment=size).serialize())
                case "connection":
                    connection += size
                    call.data_received(WindowUpdateFrame(0, window_increment=size).serialize())
                case _:
                    call.data_received(SettingsFrame(flags=["ACK"]).serialize())
            sent = max(sent, min(len(written), connection, initial + stream))
            came = frames(sink.written)
            parts = [frame.data for frame in came if isinstance(frame, DataFrame)]
            assert b"".join(parts) == written[:sent]
            assert all(len(part) <= 16_384 for part in parts)
            assert call.is_behind is (sent < len(written))
            assert sum("ACK" in frame.flags for frame in came if isinstance(frame, SettingsFrame)) == settings
        call.connection_lost(None)

    asyncio.run(follow())
