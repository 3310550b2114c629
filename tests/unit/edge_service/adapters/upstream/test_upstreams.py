"""What the port promises, of both ways to call a provider."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import os
import resource
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from structlog.testing import capture_logs

from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.calls import Calls
from edge_service.adapters.upstream.pool import Pool
from edge_service.adapters.upstream.stock import Httpx2Upstream
from edge_service.adapters.upstream.stock_transport import Transport
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.app.ports import (
    BrokenError,
    CredentialError,
    ShortageError,
    UnreachableError,
    Upstream,
    UpstreamResponse,
)
from edge_service.domain.bodies import Pieces
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt, Quirks, Timeouts
from tests.support.faulty_upstream import Connection, Script, provider, refuses, says
from tests.support.scripts import answers

SECRET = "sk-canary-77"
Make = Callable[[Callable[[str], str]], Upstream]


def attempt(base_url: str, credential_ref: str = "env:X_API_KEY", connect_s: float = 5.0) -> Attempt:
    timeouts = Timeouts(connect_s=connect_s)
    return Attempt("p/m#0", "p", "openai", base_url, "m", credential_ref, timeouts=timeouts, allow_private=True)


@pytest.fixture(params=["ours", "stock"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    if request.param == "ours":
        pool = Pool(ssl_context(), Guard())
        yield lambda secret_of: Calls(pool, secret_of)
        await pool.aclose()
    else:
        transport = Transport(ssl_context())
        yield lambda secret_of: Httpx2Upstream(transport, secret_of)
        await transport.aclose()


@pytest.fixture
def upstream(make: Make) -> Upstream:
    return make(lambda _: SECRET)


async def body(response: UpstreamResponse) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


async def test_a_request_goes_out_with_its_own_headers_and_those_it_was_given(upstream: Upstream) -> None:
    given: Headers = [(b"openai-beta", b"a"), (b"openai-beta", b"b"), (b"content-type", b"multipart/x; boundary=b")]
    async with provider(says("hi")) as server:
        response = await upstream.send(attempt(server.url), "/chat/completions", given, b'{"model":"m"}')
        await body(response)
        await response.aclose()
    (call,) = server.calls
    assert (call.path, call.body) == ("/v1/chat/completions", b'{"model":"m"}')
    assert call.headers == {
        "host": server.url.removeprefix("http://").removesuffix("/v1"),
        "openai-beta": "b",
        "content-type": "multipart/x; boundary=b",
        "accept-encoding": "identity",
        "user-agent": "forebay",
        "authorization": f"Bearer {SECRET}",
        "content-length": "13",
    }


@pytest.mark.parametrize(
    ("path", "below"),
    [("/chat/completions", "/openai/deployments/m/chat/completions"), ("/responses", "/openai/responses")],
)
async def test_azures_deployments_are_in_the_path_where_azure_has_them(
    upstream: Upstream, path: str, below: str
) -> None:
    quirks = Quirks(api_version="2025-04-01-preview", deployment_paths=True)
    async with provider(says("hi")) as server:
        asked = dataclasses.replace(attempt(server.url.removesuffix("/v1")), quirks=quirks)
        response = await upstream.send(asked, path, [], b"{}")
        await response.aclose()
    assert server.calls[0].path == f"{below}?api-version=2025-04-01-preview"


async def test_a_large_body_goes_out_whatever_pieces_it_is_in(upstream: Upstream) -> None:
    text = b"x" * 3 * 1024 * 1024
    async with provider(says("hi")) as server:
        response = await upstream.send(attempt(server.url), "/c", [], Pieces(b'{"t":"', memoryview(text), b"", b'"}'))
        await response.aclose()
    (call,) = server.calls
    assert call.body == b'{"t":"' + text + b'"}'
    assert call.headers["content-length"] == str(len(call.body))


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_a_request_without_a_body_has_none(upstream: Upstream, method: str) -> None:
    async with provider(answers(200, b"{}")) as server:
        for _ in range(2):
            response = await upstream.send(attempt(server.url), "/responses/r?stream=true", [], b"", method)
            assert await body(response)
            await response.aclose()
    assert [call.path for call in server.calls] == ["/v1/responses/r?stream=true"] * 2
    assert {call.headers.get("content-length") for call in server.calls} <= {"0", None if method != "POST" else "0"}


async def test_without_a_credential_none_is_shown(upstream: Upstream) -> None:
    async with provider(says("hi")) as server:
        response = await upstream.send(attempt(server.url, credential_ref=""), "/c", [], b"{}")
        await response.aclose()
    assert "authorization" not in server.calls[0].headers


async def test_a_credential_that_cannot_be_had_stops_before_any_call(make: Make) -> None:
    def no_secret(_: str) -> str:
        raise CredentialError("env:X_API_KEY is not set")

    async with provider(says("hi")) as server:
        with pytest.raises(CredentialError):
            await make(no_secret).send(attempt(server.url), "/c", [], b"{}")
    assert server.calls == []


async def test_a_way_to_show_a_credential_that_only_newer_edges_know_stops_before_any_call(upstream: Upstream) -> None:
    async with provider(says("hi")) as server:
        its = dataclasses.replace(attempt(server.url), quirks=Quirks(auth_header="x-of-tomorrow"))
        with capture_logs() as logs:
            for _ in range(2):
                with pytest.raises(CredentialError, match="x-of-tomorrow"):
                    await upstream.send(its, "/c", [], b"{}")
    assert server.calls == []
    assert [(line["event"], line["provider"]) for line in logs] == [("credential_unavailable", "p")]
    assert SECRET not in str(logs)


async def test_status_headers_and_body_come_as_they_are(upstream: Upstream) -> None:
    async with provider(refuses(429, retry_after="7", X_RateLimit_Remaining="0")) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert response.status == 429
        assert (b"retry-after", b"7") in response.headers
        assert (b"x-ratelimit-remaining", b"0") in response.headers
        assert b'"message": "no"' in await body(response)
        await response.aclose()


async def test_a_redirect_is_an_answer_like_any_other(upstream: Upstream) -> None:
    async with provider(refuses(302, location="http://127.0.0.1:1/")) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert response.status == 302
        await response.aclose()
    assert len(server.calls) == 1


@pytest.mark.parametrize("encoding", ["gzip", "identity", ""])
async def test_what_was_compressed_unasked_is_unpacked_in_small_steps(upstream: Upstream, encoding: str) -> None:
    content = b"0" * 1_000_000

    async def script(connection: Connection) -> None:
        packed = gzip.compress(content) if encoding == "gzip" else content
        await connection.answer(200, packed, content_encoding=encoding)

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == content
        assert max(map(len, chunks)) <= (64 if encoding == "gzip" else 512) * 1024
        await response.aclose()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_what_is_had_at_once_does_not_come_again(upstream: Upstream, encoding: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.answer(200, gzip.compress(b"{}") if encoding == "gzip" else b"{}", content_encoding=encoding)

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        rest = response.rest()
        assert rest is None or encoding != "gzip"
        assert (rest or b"") + await body(response) == b"{}"
        await response.aclose()


@pytest.mark.parametrize(
    ("encoding", "content"), [("gzip", b"{}"), ("gzip", gzip.compress(b"{}", mtime=0)[:-3]), ("br", b"{}")]
)
async def test_what_cannot_be_unpacked_is_broken(upstream: Upstream, encoding: str, content: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.answer(200, content, content_encoding=encoding)

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert response.status == 200
        with pytest.raises(BrokenError):
            await body(response)
        await response.aclose()


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with provider(says("hi")) as server:
        response = await make(lambda _: SECRET).send(attempt(server.url), "/c", [], b"{}")
        assert response.status == 200
        await response.aclose()


async def test_each_call_for_chunks_goes_on_where_the_last_was_left(upstream: Upstream) -> None:
    async def script(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked")
        await connection.chunk(b"one")
        await asyncio.sleep(0.01)
        await connection.chunk(b"two", b"")

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        async for chunk in response.chunks():
            assert chunk == b"one"
            break
        assert await body(response) == b"two"
        assert await body(response) == b""
        await response.aclose()


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_parts_are_passed_on_until_that_is_enough_and_from_there(upstream: Upstream, encoding: str) -> None:
    taken: list[bytes] = []
    go_on = asyncio.Event()
    packer = zlib.compressobj(wbits=31)

    def packed(part: bytes) -> bytes:
        return packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) if encoding else part

    async def script(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked", content_encoding=encoding)
        for part in (b"one", b"two", b"three", b"four"):
            await connection.chunk(packed(part))
            await go_on.wait()
            go_on.clear()
        await connection.chunk(packer.flush() if encoding else b"five", b"")

    def take(part: bytes) -> bool:
        taken.append(part)
        go_on.set()
        return part != b"two"

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert not await response.pass_on(take)
        assert taken == [b"one", b"two"]
        assert await anext(response.chunks()) == b"three"
        go_on.set()
        assert await response.pass_on(take)
        assert b"".join(taken) == b"onetwofour" + (b"" if encoding else b"five")
        assert await response.pass_on(take), "it has ended"
        await response.aclose()


async def test_that_all_has_come_is_told_where_it_is_known(upstream: Upstream) -> None:
    async def script(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked")
        await connection.chunk(b"one")
        await go_on.wait()
        await connection.chunk(b"")

    go_on = asyncio.Event()
    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert await anext(response.chunks()) == b"one"
        assert response.rest() is None
        go_on.set()
        assert await body(response) == b""
        assert response.rest() == (b"" if isinstance(upstream, Calls) else None)
        await response.aclose()


async def test_what_the_taker_raises_is_raised(upstream: Upstream) -> None:
    async def script(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked")
        await asyncio.sleep(0.01)
        await connection.chunk(b"one")
        await connection.gone()

    def take(part: bytes) -> bool:
        raise ZeroDivisionError

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        with pytest.raises(ZeroDivisionError):
            await response.pass_on(take)
        await response.aclose()


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_a_connection_that_breaks_while_parts_are_passed_on_is_told(upstream: Upstream, how: str) -> None:
    taken: list[bytes] = []
    has_come = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked")
        await connection.chunk(b"one")
        await has_come.wait()
        if how == "reset":
            reset(connection)
        else:
            connection.writer.close()

    def take(part: bytes) -> bool:
        taken.append(part)
        has_come.set()
        return True

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        with pytest.raises(BrokenError):
            await response.pass_on(take)
        assert taken == [b"one"]
        await response.aclose()


def reset(connection: Connection) -> None:
    """Ends the connection with RST, not FIN."""
    sock = connection.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


async def closes(connection: Connection) -> None:
    connection.writer.close()


async def resets(connection: Connection) -> None:
    reset(connection)


async def talks_no_http(connection: Connection) -> None:
    await connection.raw(b"220 mail.test ESMTP\r\n")
    connection.writer.close()


async def breaks_off_in_the_head(connection: Connection) -> None:
    await connection.raw(b"HTTP/1.1 200 OK\r\ncontent-")
    connection.writer.close()


async def has_a_head_without_end(connection: Connection) -> None:
    await connection.raw(b"HTTP/1.1 200 OK\r\n", *[b"x-%d: %s\r\n" % (i, b"y" * 1000) for i in range(200)])
    connection.writer.close()


async def has_an_impossible_length(connection: Connection) -> None:
    await connection.raw(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")
    connection.writer.close()


BROKEN_HEADS: list[Script] = [
    closes,
    resets,
    talks_no_http,
    breaks_off_in_the_head,
    has_a_head_without_end,
    has_an_impossible_length,
]


@pytest.mark.parametrize("script", BROKEN_HEADS, ids=lambda script: script.__name__)
async def test_a_connection_that_breaks_before_the_head_is_broken(upstream: Upstream, script: Script) -> None:
    async with provider(script) as server:
        with pytest.raises(BrokenError) as raised:
            await upstream.send(attempt(server.url), "/c", [], b"{}")
    assert SECRET not in str(raised.value)


def after_a_head(head: bytes, then: Callable[[Connection], None]) -> Script:
    async def script(connection: Connection) -> None:
        await connection.raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await asyncio.sleep(0.02)
        then(connection)

    return script


def close(connection: Connection) -> None:
    connection.writer.close()


@pytest.mark.parametrize(
    "script",
    [
        after_a_head(b"content-length: 10\r\n\r\nabc", close),
        after_a_head(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", close),
        after_a_head(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", close),
        after_a_head(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", reset),
        after_a_head(b"connection: close\r\n\r\nabc", reset),
    ],
)
async def test_a_connection_that_breaks_in_the_body_is_broken(upstream: Upstream, script: Script) -> None:
    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        with pytest.raises(BrokenError):
            await body(response)
        await response.aclose()


async def test_a_body_that_ends_with_its_connection_ends_cleanly(upstream: Upstream) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.raw(b"abc")
        connection.writer.close()

    async with provider(script) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert await body(response) == b"abc"
        await response.aclose()


async def test_a_closed_port_is_unreachable(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnreachableError):
        await upstream.send(attempt(f"http://127.0.0.1:{port}/v1"), "/c", [], b"{}")


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Whatever this process opens within the block is one too many."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_what_this_machine_is_short_of_is_no_fault_of_the_provider(upstream: Upstream) -> None:
    async with provider(says("hi")) as server:
        # Another host's request has loaded what is loaded late.
        with pytest.raises(UnreachableError):
            await upstream.send(attempt("http://127.0.0.1:9/v1"), "/c", [], b"{}")
        with capture_logs() as logs, no_more_descriptors():
            for _ in range(2):
                with pytest.raises(ShortageError, match="Too many open files"):
                    await upstream.send(attempt(server.url), "/c", [], b"{}")
    assert server.accepted == 0
    reason = "the gateway's machine: Too many open files"
    assert logs == [{"event": "connecting_failed", "log_level": "warning", "host": "127.0.0.1", "reason": reason}]


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"\r\n\r\nGET / HTTP/1.1"])
async def test_a_line_end_in_a_header_begins_no_other_header_or_request(upstream: Upstream, value: bytes) -> None:
    async with provider(says("hi")) as server:
        for headers in ([(b"openai-beta", value)], [(value, b"a")]):
            with pytest.raises(BrokenError):
                await upstream.send(attempt(server.url), "/c", headers, b"{}")
    assert server.calls == []


async def test_an_answer_knows_the_credential_that_it_was_asked_with(upstream: Upstream) -> None:
    async with provider(says("hi")) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        await response.aclose()
    assert response.quotes_credential(b"the key " + SECRET.upper().encode() + b" is wrong")
    assert not response.quotes_credential(b"the key is wrong")


@pytest.mark.parametrize(
    "base_url",
    [
        "http://no-such-host.invalid/v1",
        f"http://{'a' * 64}.invalid/v1",
        "ftp://127.0.0.1/v1",
        "127.0.0.1:80/v1",
        "http:///v1",
        "",
        "http://[::1/v1",
        "http://127.0.0.1:http/v1",
        "http://\u2603.invalid/v1",
        "http://a\x00b/v1",
    ],
)
async def test_a_provider_that_is_not_there_is_unreachable(upstream: Upstream, base_url: str) -> None:
    with pytest.raises(UnreachableError) as raised:
        await upstream.send(attempt(base_url), "/c", [], b"{}")
    assert SECRET not in str(raised.value)


async def test_a_provider_without_tls_where_it_should_have_it_is_unreachable(upstream: Upstream) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match=r"^TLS: [A-Z_]+$"):
            await upstream.send(attempt(f"https://127.0.0.1:{port}/v1"), "/c", [], b"{}")


async def test_connecting_takes_no_longer_than_the_attempt_allows(upstream: Upstream) -> None:
    # Accepts a connection and stays silent: TLS is part of connecting.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        began_at = asyncio.get_running_loop().time()
        with pytest.raises(UnreachableError, match=r"^Connect(Timeout|Error: no connection in time)"):
            await upstream.send(attempt(f"https://127.0.0.1:{port}", connect_s=0.05), "/c", [], b"{}")
        assert asyncio.get_running_loop().time() - began_at < 2.0


CONNECT_S = 0.5
"""Enough to connect on a machine with much else to do."""


async def test_nothing_but_connecting_is_bounded_here(upstream: Upstream) -> None:
    async def slow(connection: Connection) -> None:
        await asyncio.sleep(1.2 * CONNECT_S)
        await says("hi")(connection)

    async with provider(slow) as server:
        response = await upstream.send(attempt(server.url, connect_s=CONNECT_S), "/c", [], b"{}")
        assert response.status == 200
        await response.aclose()


async def test_an_answer_that_is_given_up_closes_its_connection(upstream: Upstream) -> None:
    gone = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.head(transfer_encoding="chunked")
        await connection.chunk(b"one")
        await connection.gone()
        gone.set()

    async with provider(endless) as server:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        assert await anext(response.chunks()) == b"one"
        await response.aclose()
        async with asyncio.timeout(20):
            await gone.wait()
        await response.aclose()


@pytest.mark.parametrize("reading", [False, True])
async def test_a_call_that_is_cancelled_closes_its_connection(upstream: Upstream, reading: bool) -> None:
    called, gone = asyncio.Event(), asyncio.Event()

    async def hangs(connection: Connection) -> None:
        if reading:
            await connection.head(transfer_encoding="chunked")
        called.set()
        await connection.gone()
        gone.set()

    async def call() -> None:
        response = await upstream.send(attempt(server.url), "/c", [], b"{}")
        try:
            await body(response)
        finally:
            await response.aclose()

    async with provider(hangs) as server:
        task = asyncio.create_task(call())
        await called.wait()
        await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            await gone.wait()


async def test_a_connection_whose_answer_was_read_is_used_again(upstream: Upstream) -> None:
    peers = set()

    async def script(connection: Connection) -> None:
        peers.add(connection.writer.get_extra_info("peername"))
        await says("hi")(connection)

    async with provider(script) as server:
        for _ in range(3):
            response = await upstream.send(attempt(server.url), "/c", [], b"{}")
            await body(response)
            await response.aclose()
    assert len(peers) == 1
