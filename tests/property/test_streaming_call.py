from __future__ import annotations

import asyncio
import struct
from typing import Any

from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, SettingsFrame
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
