from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2
import pytest

from edge_service.adapters.upstream.addresses import Guard
from edge_service.adapters.upstream.presence import SOCKET_OPTIONS
from edge_service.adapters.upstream.stock_transport import ERRORS, GuardedBackend, Transport
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.app.ports import UnreachableError
from edge_service.domain.egress import Address
from tests.support.faulty_upstream import provider, says


class Silent(httpcore2.AsyncNetworkBackend):
    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        await asyncio.sleep(60)
        raise AssertionError


@pytest.mark.parametrize("addresses", [["8.8.8.8"], ["8.8.8.8", "8.8.4.4"]])
async def test_connecting_has_one_time_limit_for_all(addresses: list[str]) -> None:
    async def known(host: str, port: int) -> Sequence[Address]:
        return [ip_address(each) for each in addresses]

    with pytest.raises(httpcore2.ConnectTimeout):
        await GuardedBackend(allow_private=False, guard=Guard(known), backend=Silent()).connect_tcp(
            "p.test", 443, timeout=0.05
        )


async def test_a_name_server_that_is_silent_counts_towards_it() -> None:
    async def silent(host: str, port: int) -> Sequence[Address]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(httpcore2.ConnectTimeout):
        await GuardedBackend(allow_private=False, guard=Guard(silent), backend=Silent()).connect_tcp(
            "p.test", 443, timeout=0.05
        )


def leaves(kinds: Iterator[type[Exception]]) -> Iterator[type[Exception]]:
    for kind in kinds:
        below = kind.__subclasses__()
        yield from leaves(iter(below)) if below else iter([kind])


def test_every_error_below_has_its_name_here() -> None:
    bases = (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
        httpcore2.UnsupportedProtocol,
    )
    exported = {kind for _, kind in inspect.getmembers(httpcore2, inspect.isclass) if issubclass(kind, Exception)}
    assert set(leaves(iter(bases))) == ERRORS.keys()
    assert exported - set(bases) - ERRORS.keys() == {httpcore2.ConnectionNotAvailable}  # Never leaves the pool.
    assert all(below.__name__ == above.__name__ for below, above in ERRORS.items())


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(ssl_context())
    yield made
    await made.aclose()


Ask = Callable[..., Any]


async def ask(transport: Transport, url: str, *, allow_private: bool) -> int:
    extensions = {"allow_private": allow_private}
    request = httpx2.Request("POST", url, content=b'{"model":"m"}', extensions=extensions)
    response = await transport.handle_async_request(request)
    await response.aread()
    await response.aclose()
    return response.status_code


async def test_a_connection_of_one_that_may_is_not_used_by_one_that_may_not(transport: Transport) -> None:
    async with provider(says("hi")) as server:
        assert await ask(transport, server.url, allow_private=True) == 200
        with pytest.raises(UnreachableError):
            await ask(transport, server.url, allow_private=False)
        assert await ask(transport, server.url, allow_private=True) == 200
        assert len(server.calls) == 2


@pytest.mark.parametrize("scheme", ["ws", "wss", "ftp", "file", "unix"])
async def test_other_schemes_than_http_and_https_are_not_spoken(transport: Transport, scheme: str) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await ask(transport, f"{scheme}://127.0.0.1/", allow_private=True)


async def test_the_system_looks_whether_a_silent_provider_is_there(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, int]] = []
    connect = httpcore2.AnyIOBackend.connect_tcp

    async def connect_tcp(
        it: httpcore2.AnyIOBackend, *where: Any, socket_options: Any, **how: Any
    ) -> httpcore2.AsyncNetworkStream:
        told.extend(socket_options)
        return await connect(it, *where, socket_options=socket_options, **how)

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    async with provider(says("hi")) as server:
        assert await ask(transport, server.url, allow_private=True) == 200
    assert told == list(SOCKET_OPTIONS)
