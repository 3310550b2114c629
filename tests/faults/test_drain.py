"""Row 30 of the fault matrix, the edge's part: SIGTERM, and whoever is served at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trustme

from tests.support.certified import HOSTS, pair, trusting
from tests.support.faulty_upstream import Connection, Provider, Script, delta, provider, says
from tests.support.processes import PLAIN, Process, start_edge, start_resolver
from tests.support.setup import config_text, events, until

DRAIN_S = 0.5


@dataclass
class Draining:
    provider: Provider
    edge: Process
    client: httpx2.AsyncClient

    @property
    def port(self) -> int:
        return int(self.edge.address.rpartition(":")[2])

    async def chat(self, **fields: object) -> httpx2.Response:
        body = {"model": "chat", "messages": [], **fields}
        return await self.client.post("/v1/chat/completions", json=body)

    async def was_called(self) -> bool:
        return len(self.provider.calls) == 1


@contextlib.asynccontextmanager
async def draining(
    directory: Path, script: Script, *arguments: str, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Draining]:
    """An edge with a short grace, for a test that stops it. `trust` is how clients know it."""
    async with provider(script) as it:
        config = directory / "forebay.yaml"
        config.write_text(config_text(it.url))
        resolver = await start_resolver(config, errors=directory / "resolver.log")
        flags = ("--drain", str(DRAIN_S), *arguments)
        edge = await start_edge(resolver.address, errors=directory / "edge.log", arguments=flags)
        try:
            async with httpx2.AsyncClient(base_url=edge.address, timeout=20, verify=trust or PLAIN) as client:
                yield Draining(it, edge, client)
        finally:
            try:
                status = await edge.stop()
            finally:
                await resolver.stop()
        log = edge.errors.read_text()
        assert status == 0, log
        assert "Traceback" not in log


def hangs(gone: asyncio.Event, *, after_content: bool = False) -> Script:
    """A provider that says no more, and tells when its client has left."""

    async def script(connection: Connection) -> None:
        if after_content:
            await connection.head(200, "text/event-stream", transfer_encoding="chunked")
            await connection.chunk(delta(content="hello"))
        await connection.gone()
        gone.set()

    return script


async def test_a_stream_that_outlives_the_grace_ends_with_an_error_event(tmp_path: Path) -> None:
    gone = asyncio.Event()
    async with draining(tmp_path, hangs(gone, after_content=True)) as it:
        asking = asyncio.create_task(it.chat(stream=True))
        await until(it.was_called)
        began_at = time.monotonic()
        assert await it.edge.stop() == 0
        assert time.monotonic() - began_at >= DRAIN_S
        response = await asking  # It ends properly, or httpx2 would raise.
        assert response.status_code == 200
        first, last = events(response.content)
        assert json.loads(first)["choices"][0]["delta"] == {"content": "hello"}
        assert json.loads(last)["error"]["code"] == "unavailable"
        async with asyncio.timeout(20):
            await gone.wait()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_that_has_no_content_by_then_gets_an_error(tmp_path: Path, *, stream: bool) -> None:
    gone = asyncio.Event()
    async with draining(tmp_path, hangs(gone)) as it:
        asking = asyncio.create_task(it.chat(stream=stream))
        await until(it.was_called)
        assert await it.edge.stop() == 0
        response = await asking
        assert (response.status_code, response.headers["connection"]) == (503, "close")
        assert response.json()["error"]["code"] == "unavailable"
        assert response.headers["x-forebay-target"] == "p0/m#0"
        async with asyncio.timeout(20):
            await gone.wait()


async def test_a_request_whose_body_does_not_come_gets_an_error(tmp_path: Path) -> None:
    async with draining(tmp_path, says("never asked")) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
        await asyncio.sleep(0.1)
        assert await it.edge.stop() == 0
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"unavailable"' in answer.replace(b" ", b"")


async def test_a_client_that_does_not_read_does_not_keep_the_edge(tmp_path: Path) -> None:
    async def floods(connection: Connection) -> None:
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        while True:
            await connection.chunk(delta(content="x" * 60_000))

    async with draining(tmp_path, floods) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=1024)
        body = b'{"model": "chat", "stream": true, "messages": []}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        await reader.readline()
        await asyncio.sleep(0.5)
        async with asyncio.timeout(20):
            assert await it.edge.stop() == 0
        writer.transport.abort()


async def test_not_ready_comes_before_not_accepting(tmp_path: Path) -> None:
    async with draining(tmp_path, says("hello"), "--drain-delay", "1.5") as it:

        async def is_ready() -> bool:
            return (await it.client.get("/readyz")).status_code == 200

        await until(is_ready)
        it.edge.tell_to_stop()

        async def is_not_ready() -> bool:
            return not await is_ready()

        await until(is_not_ready, within_s=1.0)
        async with httpx2.AsyncClient(base_url=it.edge.address, verify=PLAIN) as another:
            assert (await another.get("/healthz")).status_code == 200
            response = await another.post("/v1/chat/completions", json={"model": "chat", "messages": []})
        assert (response.status_code, response.headers["connection"]) == (200, "close")
        assert await it.edge.stop() == 0
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", it.port)


async def test_what_ends_within_the_grace_is_not_touched(tmp_path: Path) -> None:
    async def is_slow(connection: Connection) -> None:
        await asyncio.sleep(DRAIN_S / 2)
        await says("hello")(connection)

    async with draining(tmp_path, is_slow) as it:
        asking = asyncio.create_task(it.chat(stream=True))
        await until(it.was_called)
        assert await it.edge.stop() == 0
        response = await asking
        assert (response.status_code, response.headers["connection"]) == (200, "close")
        assert events(response.content)[-1] == b"[DONE]"


async def test_whoever_speaks_tls_is_not_waited_for_either(tmp_path: Path) -> None:
    """One who is in a handshake, one who has asked for nothing more, one who does not read, and one who is served."""
    ca, gone = trustme.CA(), asyncio.Event()
    shown, trust = pair(tmp_path, "edge", ca.issue_cert(*HOSTS)), trusting(ca)

    async def talks(connection: Connection) -> None:
        if connection.call.json["messages"]:
            await hangs(gone, after_content=True)(connection)
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        while True:
            await connection.chunk(delta(content="x" * 60_000))

    async with draining(tmp_path, talks, *shown.flags("tls"), trust=trust) as it:
        _, silent = await asyncio.open_connection("127.0.0.1", it.port)
        silent.write(b"\x16\x03\x01")
        assert (await it.client.get("/v1/models")).status_code == 200  # Its connection stays.
        reader, deaf = await asyncio.open_connection("127.0.0.1", it.port, limit=1024, ssl=trust)
        body = b'{"model": "chat", "stream": true, "messages": []}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        deaf.write(head + body)
        await reader.readline()
        asking = asyncio.create_task(it.chat(stream=True, messages=[{"role": "user", "content": "hello"}]))

        async def is_served() -> bool:
            return len(it.provider.calls) == 2

        await until(is_served)
        async with asyncio.timeout(20):
            assert await it.edge.stop() == 0
            response = await asking  # It ends properly, or httpx2 would raise.
            await gone.wait()
        assert json.loads(events(response.content)[-1])["error"]["code"] == "unavailable"
        for each in (silent, deaf):
            each.transport.abort()
