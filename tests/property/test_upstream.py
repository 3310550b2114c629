"""Our own provider calls against those over the stock transport: the same bytes in, the same events out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.calls import Calls
from edge_service.adapters.upstream.pool import Pool
from edge_service.adapters.upstream.stock import Httpx2Upstream
from edge_service.adapters.upstream.stock_transport import Transport
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.app.ports import Upstream, UpstreamFailure
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt, Timeouts

CONTEXT = ssl_context()
tokens = st.text("abcdefgh-", min_size=1, max_size=8).filter(lambda text: text.strip("-") == text)
values = st.text("abc XYZ:;=,/\"'\\", max_size=20).map(str.strip)
headers = st.lists(st.tuples(tokens.map(lambda name: f"X-{name}"), values), max_size=5)


@dataclass(frozen=True)
class Said:
    """All that a provider sends, in the pieces in which it does, and whether it hangs up then."""

    pieces: tuple[bytes, ...]
    hangs_up: bool


@st.composite
def said(draw: st.DrawFn) -> Said:
    status = draw(st.sampled_from([200, 201, 204, 206, 302, 400, 404, 429, 500, 503, 529]))
    body = b"" if status == 204 else draw(st.binary(max_size=300))
    framing = "none" if status == 204 else draw(st.sampled_from(["length", "chunked", "close"]))
    lines = [f"HTTP/1.1 {status} {draw(st.sampled_from(['OK', 'Whatever it is', '']))}"]
    lines += [f"{name}: {value}" for name, value in draw(headers)]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        chunks = []
        left = body
        while left:
            size = draw(st.integers(1, len(left)))
            extension = draw(st.sampled_from([b"", b";a=b"]))
            chunks.append(b"%x%s\r\n%s\r\n" % (size, extension, left[:size]))
            left = left[size:]
        trailer = draw(st.sampled_from([b"", b"X-Trailer: t\r\n"]))
        body = b"".join([*chunks, b"0\r\n", trailer, b"\r\n"])
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"])
    )
    whole = interim + "\r\n".join([*lines, "", ""]).encode() + body
    cut = draw(st.one_of(st.none(), st.integers(0, len(whole))))
    data = whole if cut is None else whole[:cut]
    at = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
    pieces = tuple(data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True))
    return Said(pieces, framing == "close" or cut is not None)


@dataclass(frozen=True)
class Event:
    """What came of it for the caller."""

    status: int
    headers: Headers
    body: bytes
    broke: bool


async def result(upstream: Upstream, attempt: Attempt) -> Event:
    status, its_headers, body = 0, [], b""
    try:
        response = await upstream.send(attempt, "/chat/completions", [(b"content-type", b"x")], b"{}")
    except UpstreamFailure:
        return Event(0, [], b"", broke=True)
    status, its_headers = response.status, response.headers
    try:
        async for part in response.chunks():
            body += part
    except UpstreamFailure:
        return Event(status, its_headers, body, broke=True)
    finally:
        await response.aclose()
    return Event(status, its_headers, body, broke=False)


async def both(it: Said) -> tuple[Event, Event]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            for piece in it.pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            if not it.hangs_up:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def served() -> None:
        await asyncio.gather(*serving)

    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        stack.push_async_callback(served)
        stack.callback(server.close)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        attempt = Attempt("p/m#0", "p", "openai", url, "m", "env:K", timeouts=Timeouts(5.0), allow_private=True)
        pool, transport = Pool(CONTEXT, Guard()), Transport(CONTEXT)
        stack.push_async_callback(pool.aclose)
        stack.push_async_callback(transport.aclose)
        secret: Callable[[str], str] = lambda _: "secret"  # noqa: E731
        return (
            await result(Calls(pool, secret), attempt),
            await result(Httpx2Upstream(transport, secret), attempt),
        )


@settings(max_examples=150)
@given(said())
def test_the_same_bytes_lead_to_the_same_events(it: Said) -> None:
    ours, stock = asyncio.run(both(it))
    assert (ours.status, ours.headers, ours.broke) == (stock.status, stock.headers, stock.broke)
    if not ours.broke:
        assert ours.body == stock.body
    # Of a body that breaks off, the stock transport may keep the last bytes to itself.
    assert ours.body.startswith(stock.body)
