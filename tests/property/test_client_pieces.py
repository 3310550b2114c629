"""In whatever pieces a client's requests come, and however far each is served meanwhile, they are the same requests."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.serving import Conversations, Serving
from edge_service.app.draining import UnderWay
from edge_service.app.incoming import Incoming
from edge_service.app.ports import Client
from edge_service.dialects import asked


class Gateway:
    """Answers with the body."""

    def clock(self) -> float:
        return 0.0

    async def authenticate(self, *_: object) -> None: ...

    async def serve(self, incoming: Incoming, client: Client, *_: object) -> None:
        await client.respond(200, [], incoming.body)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...


_GATEWAY: Any = Gateway()
_PROTOCOL = protocol(Bounds())
_CONFIG = uvicorn.Config(
    Conversations(Serving(_GATEWAY, UnderWay()), asked.chat_completion, asked.OPENAI),
    interface="asgi3",
    http=_PROTOCOL,
    ws="none",
    lifespan="off",
    log_config=None,
    proxy_headers=False,
)
_CONFIG.load()

_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
_OFFER = b"connection: upgrade\r\nupgrade: h2c\r\n"


class Request(NamedTuple):
    body: bytes
    times: int
    """For which it is repeated, and so are its chunks: beyond 64 KiB no more is read before it is asked for."""
    chunk_bytes: int
    """0: it comes with its length."""
    offers_upgrade: bool
    cuts: set[float]
    """Where one piece ends and another one begins."""
    rounds: list[int]
    """For which the loop goes on behind each piece."""

    def pieces(self) -> list[bytes]:
        whole = (
            _HEAD
            + (_OFFER if self.offers_upgrade else b"")
            + _framed(self.body * self.times, self.chunk_bytes * self.times)
        )
        cuts = sorted({1 + int(cut * (len(whole) - 1)) for cut in self.cuts})
        return [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


requests = st.builds(
    Request,
    st.binary(max_size=20),
    st.sampled_from([1, 1, 1, 7_000]),
    st.sampled_from([0, 0, 1, 7]),
    st.booleans(),
    st.sets(st.floats(0.0, 0.99), max_size=6),
    st.lists(st.integers(0, 3), min_size=7, max_size=7),
)


def _framed(body: bytes, chunk_bytes: int) -> bytes:
    """With its length, or in chunks of so many bytes."""
    if not chunk_bytes:
        return b"content-length: %d\r\n\r\n%b" % (len(body), body)
    chunks = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    said = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"transfer-encoding: chunked\r\n\r\n" + said + b"0\r\n\r\n"


@given(st.lists(requests, min_size=1, max_size=3))
def test_the_body_is_what_was_sent(sent: list[Request]) -> None:
    async def talk() -> None:
        state = ServerState()
        transport = Transport()
        connection = _PROTOCOL(_CONFIG, state, {}, asyncio.get_running_loop())
        connection.connection_made(transport)
        for request in sent:
            transport.written = b""
            for piece, rounds in zip(request.pieces(), request.rounds, strict=False):
                connection.data_received(piece)
                for _ in range(rounds):
                    await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await asyncio.gather(*state.tasks)
            head, _, content = transport.written.partition(b"\r\n\r\n")
            assert head == b"HTTP/1.1 200 OK\r\ncontent-length: %d" % len(content)
            assert content == request.body * request.times
        connection.connection_lost(None)

    asyncio.run(talk())
