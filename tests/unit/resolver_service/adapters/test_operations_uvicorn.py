from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter

from resolver_service.adapters.operations_uvicorn import Operations, OperationsServer, listen, url


class Switch:
    def __init__(self) -> None:
        self.on = True

    def __call__(self) -> bool:
        return self.on


@contextlib.asynccontextmanager
async def operations(registry: CollectorRegistry, is_ready: Switch) -> AsyncIterator[httpx2.AsyncClient]:
    with listen("127.0.0.1", 0) as listening:
        server = OperationsServer(Operations(registry, is_ready))
        await server.serve(listening)
        try:
            async with httpx2.AsyncClient(base_url=url(listening), trust_env=False) as client:
                yield client
        finally:
            server.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things", "Things", registry=registry).inc(3)
    return registry


async def test_the_three_paths_and_no_others(registry: CollectorRegistry) -> None:
    is_ready = Switch()
    async with operations(registry, is_ready) as client:
        metrics = await client.get("/metrics")
        assert "things_total 3.0" in metrics.text
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics/")] == [
            200,
            200,
            404,
        ]
        is_ready.on = False
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 503]
        refused = await client.post("/metrics")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        head = await client.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")


async def test_it_closes_at_once_whoever_is_connected(registry: CollectorRegistry) -> None:
    with listen("127.0.0.1", 0) as listening:
        server = OperationsServer(Operations(registry, Switch()))
        await server.serve(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")  # and never the rest
        other_reader, other_writer = await asyncio.open_connection(*listening.getsockname())
        other_writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await other_reader.readline() == b"HTTP/1.1 200 OK\r\n"
        server.close()
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        for it in (writer, other_writer):
            it.close()
            with contextlib.suppress(ConnectionError):
                await it.wait_closed()


def test_a_taken_address_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            listen("127.0.0.1", port)
        said = f"--ops-listen: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert str(caught.value.strerror).startswith(said)


def test_ipv6_addresses_are_in_brackets() -> None:
    with listen("::1", 0) as listening:
        assert url(listening) == f"http://[::1]:{listening.getsockname()[1]}"
