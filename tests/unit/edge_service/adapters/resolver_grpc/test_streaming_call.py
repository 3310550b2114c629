"""Over real sockets: one end is the call, the other a server that writes the frames that a test tells it to.

That a real gRPC server is understood is shown by `test_stream.py`, and by all that runs two processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
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

from edge_service.adapters.resolver_grpc import streaming_call
from edge_service.adapters.resolver_grpc.channels import Channels
from edge_service.adapters.resolver_grpc.streaming_call import CallEndedError, StreamingCall

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ACCEPTED = [(":status", "200"), ("content-type", "application/grpc"), ("x-forebay-closes", "1")]
INTERNAL, UNAVAILABLE = grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE


class Server:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def preface(self) -> None:
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE

    async def next(self) -> Any:
        """The next frame."""
        frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
        frame.parse_body(memoryview(await self._reader.readexactly(length)))
        return frame

    async def first(self, kind: type[Frame]) -> Any:
        """The next frame of this kind; others are passed over."""
        while not isinstance(frame := await self.next(), kind):
            pass
        return frame

    def send(self, *frames: Frame | bytes) -> None:
        self._writer.write(b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames))

    async def ends(self) -> bool:
        with contextlib.suppress(ConnectionResetError):
            while await self._reader.read(65536):
                pass
        return True


@contextlib.asynccontextmanager
async def called(
    metadata: tuple[tuple[str, str], ...] = (),
) -> AsyncIterator[tuple[StreamingCall, Server, list[bytes]]]:
    """A call that has begun, and what it receives."""
    servers: asyncio.Queue[Server] = asyncio.Queue()
    listening = await asyncio.start_server(lambda *ends: servers.put_nowait(Server(*ends)), "127.0.0.1", 0)
    received: list[bytes] = []
    try:
        address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        call = await Channels().call(address, "/a.Service/Method", metadata, received.append)
        server = await servers.get()
        try:
            await server.preface()
            yield call, server, received
        finally:
            await call.aclose()
            server._writer.close()
    finally:
        listening.close()


def headers(fields: Iterable[tuple[str, str]] = ACCEPTED, *flags: str) -> HeadersFrame:
    return HeadersFrame(1, data=Encoder().encode(fields), flags=["END_HEADERS", *flags])


def message(content: bytes, is_compressed: int = 0) -> bytes:
    return struct.pack(">BL", is_compressed, len(content)) + content


def data(content: bytes, *flags: str, **its: Any) -> DataFrame:
    return DataFrame(1, data=content, flags=flags, **its)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def end_of(call: StreamingCall) -> CallEndedError:
    with pytest.raises(CallEndedError) as caught:
        async with asyncio.timeout(10):
            await call.ended
    return caught.value


async def test_a_call_begins_as_grpc_says() -> None:
    async with called((("authorization", "Bearer secret"),)) as (call, server, _):
        settings, window, opening = [await server.next() for _ in range(3)]
        room = 2 * streaming_call.MAX_MESSAGE_BYTES
        assert settings.settings == {SettingsFrame.ENABLE_PUSH: 0, SettingsFrame.INITIAL_WINDOW_SIZE: room}
        assert (window.stream_id, window.window_increment) == (0, room - 65535)
        assert set(opening.flags) == {"END_HEADERS"}
        fields = list(Decoder().decode(opening.data))
        assert fields[:-1] == [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a.Service/Method"),
            (":authority", "127.0.0.1"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        secret = next(field for field in fields if field[0] == "authorization")
        assert isinstance(secret, NeverIndexedHeaderTuple)
        assert secret[1] == "Bearer secret"
        server.send(SettingsFrame(), headers())
        assert (await call.accepted)["x-forebay-closes"] == "1"
        assert "ACK" in (await server.first(SettingsFrame)).flags


async def test_what_there_is_no_room_for_waits() -> None:
    async with called() as (call, server, _):
        server.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 10}), headers())
        await call.accepted
        content = bytes(range(256)) * 400
        call.write(content)
        wanted, got = message(content), b""
        got += (await server.first(DataFrame)).data
        assert (got, call.is_behind) == (wanted[:10], True)
        for stream, more in ((1, 5), (1, 20_000), (0, 10), (1, 30_000), (1, 200_000), (0, 200_000)):
            server.send(WindowUpdateFrame(stream, window_increment=more))
        while len(got) < len(wanted):
            frame = await server.first(DataFrame)
            assert len(frame.data) <= 16384
            got += frame.data
        assert (got, call.is_behind) == (wanted, False)


async def test_room_that_is_taken_back_is_made_good_first() -> None:
    """RFC 9113, 6.9.2."""
    async with called() as (call, server, _):
        server.send(headers())
        await call.accepted
        call.write(b"x" * 995)
        await server.first(DataFrame)
        server.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 400}))
        while "ACK" not in (await server.first(SettingsFrame)).flags:
            pass
        call.write(b"abc")
        server.send(WindowUpdateFrame(1, window_increment=602))
        assert (await server.first(DataFrame)).data == message(b"abc")[:2]


async def test_the_server_is_told_what_was_taken() -> None:
    half = streaming_call._ROOM_BYTES // 2
    async with called() as (call, server, received):
        server.send(headers())
        content = message(b"x" * (half // 2 - 5))
        for _ in range(2):
            for at in range(0, len(content), 16_000):
                server.send(data(content[at : at + 16_000]))
        await server.first(HeadersFrame)
        assert [((f := await server.next()).stream_id, f.window_increment) for _ in range(2)] == [(0, half), (1, half)]
        await until(lambda: len(received) == 2)
        assert not call.ended.done()


@pytest.mark.parametrize(
    ("frames", "code", "details"),
    [
        ([headers([*ACCEPTED[:2], ("grpc-status", "16"), ("grpc-message", "who%20are you?")], "END_STREAM")],
         grpc.StatusCode.UNAUTHENTICATED, "who are you?"),
        ([headers(), headers([("grpc-status", "0")], "END_STREAM")], grpc.StatusCode.OK, ""),
        ([headers(), headers([("grpc-status", "99")], "END_STREAM")], grpc.StatusCode.UNKNOWN, ""),
        ([headers([(":status", "503")], "END_STREAM")], grpc.StatusCode.UNKNOWN, "HTTP status 503"),
        ([headers([(":status", "404"), ("content-type", "text/html")])], INTERNAL, "HTTP status 404 instead of gRPC"),
        ([headers([(":status", "200"), ("content-type", "text/html")])], INTERNAL, "instead of gRPC"),
        ([headers([(":status", "404"), *ACCEPTED[1:]])], INTERNAL, "HTTP status 404 instead of gRPC"),
        ([RstStreamFrame(1, error_code=8)], UNAVAILABLE, "the stream was reset, HTTP/2 error 8"),
        ([GoAwayFrame(0, last_stream_id=0)], UNAVAILABLE, "it goes away"),
        ([headers(), GoAwayFrame(0, last_stream_id=1, error_code=2, additional_data=b"why")],
         UNAVAILABLE, "error 2 why"),
        ([headers(), GoAwayFrame(0, last_stream_id=1, error_code=2, additional_data=b"\xff")],
         UNAVAILABLE, "error 2 \ufffd"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], INTERNAL, "no HTTP/2"),
        ([headers(), data(message(b"zipped", 1))], INTERNAL, "compressed"),
        ([headers(), data(struct.pack(">BL", 0, 16 * 1024 * 1024 + 1))], INTERNAL, "16777217 bytes"),
        ([headers(), data(message(b"no status"), "END_STREAM")], INTERNAL, "an end without a status"),
        ([data(message(b"early"))], INTERNAL, "belongs to no call"),
        ([headers(), DataFrame(3, data=message(b"another's"))], INTERNAL, "belongs to no call"),
        ([HeadersFrame(1, data=b"\xff\xff\xff\xff", flags=["END_HEADERS"])], INTERNAL, "HPACK"),
        ([struct.pack(">HBBBL", 0, 3, 4, 0, 0), b"abc"], INTERNAL, "InvalidFrameError"),
    ],
)  # fmt: skip
async def test_a_call_ends_with_what_the_server_says(
    frames: list[Frame | bytes], code: grpc.StatusCode, details: str
) -> None:
    async with called() as (call, server, _):
        server.send(*frames)
        ended = await end_of(call)
        assert ended.code is code
        assert details in ended.details
        assert await server.ends()
        call.write(b"too late")


async def test_a_status_without_words_has_none() -> None:
    async with called() as (call, server, _):
        server.send(headers(), headers([("grpc-status", "14")], "END_STREAM"))
        ended = await end_of(call)
        assert (ended.code, ended.details) == (UNAVAILABLE, "")


async def test_what_comes_behind_the_end_counts_for_nothing() -> None:
    async with called() as (call, server, received):
        server.send(headers(), headers([("grpc-status", "14")], "END_STREAM"), data(message(b"late")), b"no HTTP/2")
        assert (await end_of(call)).code is UNAVAILABLE
        assert received == []


async def test_a_frame_and_a_message_may_be_as_long_as_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"x" * (16384 - 5)
    monkeypatch.setattr(streaming_call, "MAX_MESSAGE_BYTES", len(content))
    async with called() as (_, server, received):
        server.send(headers(), data(message(content)))
        await until(lambda: received == [content])


async def test_headers_may_come_in_parts() -> None:
    block = Encoder().encode(ACCEPTED)
    async with called() as (call, server, _):
        server.send(HeadersFrame(1, data=block[:5]), ContinuationFrame(1, data=block[5:9]))
        server.send(ContinuationFrame(1, data=block[9:], flags=["END_HEADERS"]))
        assert (await call.accepted)["x-forebay-closes"] == "1"
    async with called() as (call, server, _):
        server.send(HeadersFrame(1, data=b"x" * 16_000), *(ContinuationFrame(1, data=b"x" * 16_000) for _ in range(5)))
        assert "too many headers" in (await end_of(call)).details


@pytest.mark.parametrize("last", [1, 2**31 - 1])
async def test_who_goes_away_in_good_order_still_serves_the_call(last: int) -> None:
    async with called() as (call, server, received):
        server.send(headers(), GoAwayFrame(0, last_stream_id=last), data(message(b"still here")))
        await until(lambda: received == [b"still here"])
        assert not call.ended.done()


async def test_a_connection_that_breaks_ends_the_call() -> None:
    async with called() as (call, server, _):
        server._writer.transport.abort()
        assert (await end_of(call)).code is UNAVAILABLE
        with pytest.raises(CallEndedError):
            await call.accepted


async def test_pings_are_answered() -> None:
    async with called() as (_, server, _):
        server.send(PingFrame(opaque_data=b"12345678"))
        ping = await server.first(PingFrame)
        assert (ping.opaque_data, set(ping.flags)) == (b"12345678", {"ACK"})


async def test_who_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_call, "KEEPALIVE_S", 0.01)
    async with called() as (call, server, _):
        for _ in range(3):
            ping = await server.first(PingFrame)
            assert not ping.flags
            server.send(PingFrame(opaque_data=ping.opaque_data, flags=["ACK"]))
        assert not call.ended.done()
        monkeypatch.setattr(streaming_call, "KEEPALIVE_TIMEOUT_S", 0.01)
        ended = await end_of(call)
        assert (ended.code, ended.details) == (UNAVAILABLE, "it does not answer")


@dataclass
class Timer:
    after_s: float
    ring: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


async def test_a_ping_that_is_answered_ends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Timer] = []

    def call_later(after_s: float, ring: Callable[[], None]) -> Timer:
        timers.append(Timer(after_s, ring))
        return timers[-1]

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    async with called() as (call, server, _):
        timers[0].ring()
        ping = await server.first(PingFrame)
        answer = PingFrame(opaque_data=ping.opaque_data, flags=["ACK"])
        server.send(answer, PingFrame())
        await server.first(PingFrame)  # By now the answer has come.
        call.abort()
        assert [timer.after_s for timer in timers] == [30.0, 5.0, 30.0]
        assert [timer.is_cancelled for timer in timers[1:]] == [True, True]


async def test_whoever_stops_waiting_for_the_end_can_still_close() -> None:
    async with called() as (call, server, _):
        server.send(headers())
        await call.accepted
        waiting = asyncio.create_task(end_of(call))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await call.aclose()
        assert await server.ends()
