"""One gRPC call with a stream of messages each way, on an HTTP/2 connection of its own.

gRPC's own client takes each message through threads of its own, which is most of what a question costs an edge with few
clients: ADR 34. Frames are hyperframe's and header blocks are hpack's, but for the frames that messages come in.

Sources: RFC 9113, and https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Never, cast
from urllib.parse import unquote

import grpc
from hpack import Decoder, Encoder, HeaderTuple, HPACKError, NeverIndexedHeaderTuple
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

KEEPALIVE_S = 30.0
"""How often a connection is checked to be alive. A resolver allows every 10 s."""
KEEPALIVE_TIMEOUT_S = 5.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEAD = struct.Struct(">HBBBL")
"""The length's upper 16 bits and its lower 8, type, flags, stream."""
_MESSAGE_HEAD = struct.Struct(">BL")
"""Whether the message is compressed, and its length."""
_DATA = DataFrame.type
_END_STREAM, _PADDED = 0x1, 0x8
_STREAM = 1
"""The number of a client's first stream. There is no other."""
_FRAME_BYTES = 16384
"""The most of a frame, each way: what everyone starts with, and nobody may set lower."""
_INITIAL_ROOM_BYTES = 65535
"""What may be sent, each way, before anything has been said of it."""
_ROOM_BYTES = 2 * MAX_MESSAGE_BYTES
"""What the resolver may send before it is told that some was taken, which it is when half of this was."""
_MAX_HEADER_BLOCK_BYTES = 64 * 1024

_STATUS_CODES: Mapping[str, grpc.StatusCode] = MappingProxyType({str(code.value[0]): code for code in grpc.StatusCode})


class CallEndedError(Exception):
    """The call is over: with this status if the resolver told one, otherwise UNAVAILABLE or INTERNAL."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


class _ProtocolError(Exception):
    """What came is not what HTTP/2 and gRPC say."""


class StreamingCall(asyncio.Protocol):
    """Begins when it is connected. Needs a running event loop."""

    def __init__(
        self,
        method: str,
        authority: str,
        metadata: Sequence[tuple[str, str]],
        receive: Callable[[bytes], None],
        *,
        scheme: str,
    ) -> None:
        """`method` is its full name, such as `/package.Service/Method`. `receive` gets each message, and does not
        raise."""
        self._loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[Mapping[str, str]] = self._loop.create_future()
        """The metadata with which the resolver accepts the call, or `CallEndedError`."""
        self.ended: asyncio.Future[Never] = self._loop.create_future()
        """`CallEndedError`, once the call is over."""
        self._is_over = False
        self._is_closed: asyncio.Future[None] = self._loop.create_future()
        self._request = [
            HeaderTuple(":method", "POST"),
            HeaderTuple(":scheme", scheme),
            HeaderTuple(":path", method),
            HeaderTuple(":authority", authority),
            HeaderTuple("te", "trailers"),
            HeaderTuple("content-type", "application/grpc"),
            *(NeverIndexedHeaderTuple(name, value) for name, value in metadata),
        ]
        self._receive = receive
        self._transport: asyncio.Transport | None = None
        self._came = b""
        """The beginning of a frame."""
        self._message = bytearray()
        """The beginning of a message."""
        self._taken_bytes = 0
        """What has come since the resolver was told that some was taken."""
        self._unsent = bytearray()
        self._connection_room_bytes = self._stream_room_bytes = self._initial_room_bytes = _INITIAL_ROOM_BYTES
        self._header_block = bytearray()
        self._are_trailers = False
        self._decoder = Decoder()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_behind(self) -> bool:
        """The resolver has not yet made room for all that was written."""
        return bool(self._unsent)

    def write(self, message: bytes) -> None:
        """Never waits: what there is no room for is sent once there is. After the call's end nothing is."""
        self._unsent += _MESSAGE_HEAD.pack(0, len(message))
        self._unsent += message
        self._flush()

    async def aclose(self) -> None:
        """Ends the call at once, and waits until the connection is closed."""
        self.abort()
        await self._is_closed

    def abort(self) -> None:
        """Ends the call at once."""
        self._end(grpc.StatusCode.CANCELLED, "dropped by the edge")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_PREFACE)
        settings = {SettingsFrame.ENABLE_PUSH: 0, SettingsFrame.INITIAL_WINDOW_SIZE: _ROOM_BYTES}
        self._send(
            SettingsFrame(settings=settings),
            WindowUpdateFrame(0, window_increment=_ROOM_BYTES - _INITIAL_ROOM_BYTES),
            HeadersFrame(_STREAM, data=Encoder().encode(self._request), flags=["END_HEADERS"]),
        )
        self._timer = self._loop.call_later(KEEPALIVE_S, self._ping)

    def data_received(self, data: bytes) -> None:
        if self._came:
            data = self._came + data
        at, end = 0, len(data)
        try:
            while end - at >= _FRAME_HEAD.size and not self._is_over:
                high, low, kind, flags, stream = _FRAME_HEAD.unpack_from(data, at)
                length = high << 8 | low
                if length > _FRAME_BYTES:
                    raise _ProtocolError("a frame that is too long, or no HTTP/2")
                behind = at + _FRAME_HEAD.size + length
                if behind > end:
                    break
                if kind == _DATA:
                    self._data(data[behind - length : behind], flags, stream)
                else:
                    self._frame(memoryview(data)[at:behind])
                at = behind
        except (HyperframeError, HPACKError, _ProtocolError) as error:
            self._end(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        self._came = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._end(grpc.StatusCode.UNAVAILABLE, str(error or "the connection was closed"))
        self._is_closed.set_result(None)

    def _data(self, content: bytes, flags: int, stream: int) -> None:
        if stream != _STREAM or not self.accepted.done():
            raise _ProtocolError("a message that belongs to no call")
        self._taken_bytes += len(content)
        if self._taken_bytes >= _ROOM_BYTES // 2:
            taken, self._taken_bytes = self._taken_bytes, 0
            self._send(*(WindowUpdateFrame(each, window_increment=taken) for each in (0, _STREAM)))
        if flags & _PADDED:
            content = content[1 : len(content) - content[0]] if content else b""
        self._message += content
        while len(self._message) >= _MESSAGE_HEAD.size:
            is_compressed, length = _MESSAGE_HEAD.unpack_from(self._message)
            if is_compressed:
                raise _ProtocolError("a compressed message, without having been asked for")
            if length > MAX_MESSAGE_BYTES:
                raise _ProtocolError(f"a message of {length} bytes, of which there may be {MAX_MESSAGE_BYTES}")
            end = _MESSAGE_HEAD.size + length
            if len(self._message) < end:
                break
            message = bytes(self._message[_MESSAGE_HEAD.size : end])
            del self._message[:end]
            self._receive(message)
        if flags & _END_STREAM:
            raise _ProtocolError("an end without a status")

    def _frame(self, whole: memoryview) -> None:
        """Any frame but one of data. Those of a type that is not known are to be ignored."""
        frame, _ = Frame.parse_frame_header(whole[: _FRAME_HEAD.size])
        frame.parse_body(whole[_FRAME_HEAD.size :])
        take = _TAKEN_BY.get(type(frame))
        if take is not None:
            take(self, frame)

    def _headers(self, frame: HeadersFrame | ContinuationFrame) -> None:
        self._header_block += frame.data
        if len(self._header_block) > _MAX_HEADER_BLOCK_BYTES:
            raise _ProtocolError("too many headers")
        if isinstance(frame, HeadersFrame):
            self._are_trailers = "END_STREAM" in frame.flags
        if "END_HEADERS" not in frame.flags:
            return
        block, self._header_block = bytes(self._header_block), bytearray()
        headers = {str(name): str(value) for name, value in self._decoder.decode(block)}
        if self._are_trailers:
            code = _STATUS_CODES.get(headers.get("grpc-status", ""), grpc.StatusCode.UNKNOWN)
            details = unquote(headers.get("grpc-message", ""))
            if "grpc-status" not in headers:
                details = f"HTTP status {headers.get(':status')} instead of gRPC"
            self._end(code, details)
        elif headers.get(":status") != "200" or not headers.get("content-type", "").startswith("application/grpc"):
            raise _ProtocolError(f"HTTP status {headers.get(':status')} instead of gRPC")
        elif not self.accepted.done():
            self.accepted.set_result(headers)

    def _settings(self, frame: SettingsFrame) -> None:
        if "ACK" in frame.flags:
            return
        room_bytes = frame.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, self._initial_room_bytes)
        self._stream_room_bytes += room_bytes - self._initial_room_bytes  # RFC 9113, 6.9.2: it may become negative.
        self._initial_room_bytes = room_bytes
        self._send(SettingsFrame(flags=["ACK"]))
        self._flush()

    def _window_update(self, frame: WindowUpdateFrame) -> None:
        if frame.stream_id:
            self._stream_room_bytes += frame.window_increment
        else:
            self._connection_room_bytes += frame.window_increment
        self._flush()

    def _pinged(self, frame: PingFrame) -> None:
        if "ACK" not in frame.flags:
            self._send(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]))
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_later(KEEPALIVE_S, self._ping)

    def _ping(self) -> None:
        self._send(PingFrame(opaque_data=bytes(8)))
        self._timer = self._loop.call_later(KEEPALIVE_TIMEOUT_S, self._fall_silent)

    def _fall_silent(self) -> None:
        self._end(grpc.StatusCode.UNAVAILABLE, "it does not answer")

    def _reset(self, frame: RstStreamFrame) -> None:
        self._end(grpc.StatusCode.UNAVAILABLE, f"the stream was reset, HTTP/2 error {frame.error_code}")

    def _go_away(self, frame: GoAwayFrame) -> None:
        """The resolver takes no more calls on this connection. One that it has taken goes on to its end."""
        if frame.last_stream_id < _STREAM or frame.error_code:
            said = bytes(frame.additional_data).decode(errors="replace")
            self._end(grpc.StatusCode.UNAVAILABLE, f"it goes away, HTTP/2 error {frame.error_code} {said}".rstrip())

    def _send(self, *frames: Frame) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(frame.serialize() for frame in frames))

    def _flush(self) -> None:
        if self._transport is None:
            return
        parts: list[bytes | bytearray] = []
        while self._unsent:
            room_bytes = min(self._connection_room_bytes, self._stream_room_bytes, _FRAME_BYTES)
            if room_bytes <= 0:
                break
            part = self._unsent[:room_bytes]
            del self._unsent[:room_bytes]
            self._connection_room_bytes -= len(part)
            self._stream_room_bytes -= len(part)
            parts += (_FRAME_HEAD.pack(len(part) >> 8, len(part) & 0xFF, _DATA, 0, _STREAM), part)
        if parts:
            self._transport.write(b"".join(parts))

    def _end(self, code: grpc.StatusCode, details: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        for told in (self.accepted, self.ended):
            if not told.done():  # Whoever stops waiting for one cancels it.
                told.set_exception(CallEndedError(code, details))
                told.exception()  # Marked as seen: nobody has to ask for both.
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


_TAKEN_BY: Mapping[type[Frame], Callable[[StreamingCall, Any], None]] = MappingProxyType(
    {
        HeadersFrame: StreamingCall._headers,
        ContinuationFrame: StreamingCall._headers,
        SettingsFrame: StreamingCall._settings,
        WindowUpdateFrame: StreamingCall._window_update,
        PingFrame: StreamingCall._pinged,
        RstStreamFrame: StreamingCall._reset,
        GoAwayFrame: StreamingCall._go_away,
    }
)
"""The method for each type of frame."""
