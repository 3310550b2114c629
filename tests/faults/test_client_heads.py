"""Row 19 and beyond: heads that are too long, have two meanings, or offer what is not taken."""

from __future__ import annotations

import asyncio

import pytest

from edge_service.adapters.http.protocol import Bounds
from tests.faults.talking import HUGE, POST, WHOLE, Echo, connected, exchange, serving, status_of


@pytest.mark.parametrize(
    "parts",
    [
        (POST + b"x: " + HUGE + b"\r\n\r\n",),
        (POST + b"x: ", HUGE),
        (POST, *[b"x: %s\r\n" % (b"y" * 1000)] * 40),
        (b"GET /" + HUGE + b" HTTP/1.1\r\nhost: a\r\n\r\n",),
        (b"GET /", HUGE),
        (POST + b"transfer-encoding: chunked\r\n\r\n", b"3;" + HUGE),
        (POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"x: " + HUGE),
        (POST + b"x: " + b"y" * 3_000_000,),
    ],
)
async def test_headers_beyond_the_limit_are_answered_431(parts: tuple[bytes, ...]) -> None:
    app = Echo()
    async with serving(app, Bounds()) as port:
        assert status_of(await exchange(port, *parts, pause_s=0.02)) == 431
        assert app.served == 0


async def test_headers_up_to_the_limit_are_not() -> None:
    async with serving(Echo(), Bounds()) as port:
        request = POST + b"x: " + b"y" * 32_000 + b"\r\ncontent-length: 3\r\n\r\nabc"
        assert status_of(await exchange(port, request, until_closed=False)) == 200
        large = b"z" * 200_000
        request = POST + b"content-length: 200000\r\n\r\n" + large
        assert status_of(await exchange(port, request, until_closed=False)) == 200


TWO_MEANINGS = {
    "both lengths": b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "a length twice": b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "two lengths": b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "a list of lengths": b"content-length: 3, 3\r\n\r\nabc",
    "a length with a sign": b"content-length: +3\r\n\r\nabc",
    "a length below 0": b"content-length: -3\r\n\r\nabc",
    "a hexadecimal length": b"content-length: 0x3\r\n\r\nabc",
    "a length before a colon after a space": b"content-length : 3\r\n\r\nabc",
    "a bare CR": b"x: a\rb\r\n\r\n",
    "a bare LF": b"x: a\ny: b\r\n\r\n",
    "a bare LF at the end": b"x: a\r\n\n",
    "NUL": b"x: a\0b\r\n\r\n",
    "a control character": b"x: a\x01b\r\n\r\n",
    "a folded line": b"x: a\r\n b\r\n\r\n",
    "a folded coding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a misspelled coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "another coding": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"transfer-encoding: identity\r\n\r\n",
    "a coding twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "two codings, the other way round": b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a second host": b"host: b\r\n\r\n",
    "a bare LF after a chunk's size": b"transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "a bare LF after a chunk's extension": b"transfer-encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n",
    "a chunk's size below 0": b"transfer-encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": b"transfer-encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n",
}
HEADS = {
    "no host": b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown version": b"POST / HTTP/9.9\r\nhost: a\r\n\r\n",
    "bare LFs": b"POST / HTTP/1.1\nhost: a\n\n",
    "NUL in the path": b"POST /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT with a length": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in the form of HTTP/1": b"POST / HTTP/2.0\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    "an address without a path": b"GET http://a HTTP/1.1\r\nhost: a\r\n\r\n",
    "a path that is not ASCII": b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/0.9 with a version": b"GET / HTTP/0.9\r\n\r\n",
}


@pytest.mark.parametrize("name", [*TWO_MEANINGS, *HEADS])
async def test_a_request_with_two_meanings_is_answered_400_and_nothing_after_it_is_read(name: str) -> None:
    app = Echo()
    request = POST + TWO_MEANINGS[name] if name in TWO_MEANINGS else HEADS[name]
    async with serving(app, Bounds()) as port:
        answer = await exchange(port, request + WHOLE)
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1 ") == 1
        assert app.served == 0


async def test_after_a_request_that_was_served_too() -> None:
    for name, request in HEADS.items():
        async with serving(Echo(), Bounds()) as port, connected(port) as client:
            client.write(WHOLE)
            await client.answer()
            client.write(request)
            assert (await client.answer())[0] == 400, name


async def test_a_trailer_is_no_header() -> None:
    app = Echo()
    request = POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nopenai-beta: late\r\n\r\n"
    async with serving(app, Bounds()) as port:
        assert status_of(await exchange(port, request, until_closed=False)) == 200
        assert b"openai-beta" not in dict(app.headers)


CHUNKED = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("offer", [b"h2c\r\nhttp2-settings: AAMAAABkAAQAAP__", b"websocket", b"a, b"])
@pytest.mark.parametrize("framed", [b"content-length: 3\r\n\r\nabc", CHUNKED, b"content-length: 0\r\n\r\n"])
@pytest.mark.parametrize("pieces", ["whole", "head and body", "bytes"])
async def test_an_offer_to_upgrade_is_passed_over(offer: bytes, framed: bytes, pieces: str) -> None:
    app = Echo()
    head = POST + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: " + offer + b"\r\n"
    request = head + framed
    middle = request.index(b"\r\n\r\n") + 4
    parts = {
        "whole": [request],
        "head and body": [request[:middle], request[middle:]],
        "bytes": [request[at : at + 1] for at in range(len(request))],
    }[pieces]
    async with serving(app, Bounds()) as port, connected(port) as client:
        for _ in range(2):
            for part in parts:
                if part:
                    client.write(part)
                    await asyncio.sleep(0)
            status, headers, content = await client.answer()
            assert (status, content) == (200, b"abc" if b"abc" in framed else b"")
            assert "connection" not in headers
    assert app.served == 2
    assert b"upgrade" not in dict(app.headers)
