from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2
import pytest
from structlog.testing import capture_logs

from edge_service.adapters import transport_httpcore2
from edge_service.adapters.transport_httpcore2 import ERRORS, GuardedBackend, Transport, resolve, ssl_context
from edge_service.app.ports import UnreachableError
from edge_service.domain.egress import Address
from tests.support.faulty_upstream import provider, says

Dns = dict[str, list[str]]


def answering(dns: Dns) -> transport_httpcore2.Resolve:
    """A name server that knows these names, and counts no question twice as the same."""

    async def look_up(host: str, port: int) -> Sequence[Address]:
        if host not in dns:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [ip_address(each) for each in dns[host]]

    return look_up


class Stream(httpcore2.AsyncMockStream):
    def __init__(self, address: str) -> None:
        super().__init__([])
        self.address = address
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


class Network(httpcore2.AsyncNetworkBackend):
    """Connections to addresses: refused, never made, or made after a while."""

    def __init__(self, **takes_s: float) -> None:
        self.tried: list[str] = []
        self.streams: list[Stream] = []
        self.takes_s: dict[str, float] = takes_s

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        self.tried.append(host)
        takes_s = self.takes_s.get(host, 0.0)
        if takes_s < 0:
            raise httpcore2.ConnectError(f"{host} refuses")
        await asyncio.sleep(takes_s)
        self.streams.append(Stream(host))
        return self.streams[-1]


def backend(network: Network, dns: Dns | None = None, *, allow_private: bool = False) -> GuardedBackend:
    return GuardedBackend(allow_private=allow_private, resolve=answering(dns or {}), backend=network)


async def connected(guarded: GuardedBackend, host: str = "p.test", timeout: float | None = None) -> str:
    stream = await guarded.connect_tcp(host, 443, timeout=timeout)
    assert isinstance(stream, Stream)
    return stream.address


@pytest.mark.parametrize(
    ("host", "allow_private"),
    [
        ("127.0.0.1", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("private.test", False),
        ("169.254.169.254", True),
        ("0xa9fea9fe", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("fe80::1%lo", True),
        ("link-local.test", True),
        ("metadata.google.internal", True),
    ],
)
async def test_a_refused_address_is_not_connected_to_and_warned_of_once(host: str, allow_private: bool) -> None:
    network = Network()
    dns = {"private.test": ["10.0.0.1", "::1"], "link-local.test": ["10.0.0.1", "169.254.0.9"][1:]}
    dns["metadata.google.internal"] = ["8.8.8.8"]
    guarded = backend(network, dns, allow_private=allow_private)
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(UnreachableError, match="never called" if allow_private else "allow-private: true"):
                await guarded.connect_tcp(host, 80)
    assert network.tried == []
    assert [log["event"] for log in logs] == ["egress_refused"]


async def test_where_consent_would_not_be_enough_it_is_not_asked_for() -> None:
    guarded = backend(Network(), {"p.test": ["10.0.0.1", "169.254.169.254"]})
    with pytest.raises(UnreachableError, match="never called"):
        await connected(guarded)


async def test_of_several_addresses_those_that_are_allowed_are_tried() -> None:
    network = Network(**{"8.8.8.8": -1})
    guarded = backend(network, {"p.test": ["169.254.169.254", "10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"]})
    assert await connected(guarded) == "1.1.1.1"
    assert network.tried == ["8.8.8.8", "1.1.1.1"]


async def test_with_consent_private_ones_are_too() -> None:
    network = Network()
    guarded = backend(network, {"p.test": ["169.254.169.254", "10.0.0.1"]}, allow_private=True)
    assert await connected(guarded) == "10.0.0.1"


async def test_a_name_is_resolved_once_for_each_connection_and_connected_to_by_address() -> None:
    questions: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[Address]:
        questions.append(host)
        return [ip_address("8.8.8.8" if len(questions) == 1 else "127.0.0.1")]

    network = Network()
    guarded = GuardedBackend(allow_private=False, resolve=rebinding, backend=network)
    assert await connected(guarded) == "8.8.8.8"
    assert (questions, network.tried) == (["p.test"], ["8.8.8.8"])
    with pytest.raises(UnreachableError):
        await connected(guarded)


async def test_an_address_is_asked_of_no_name_server() -> None:
    network = Network()
    assert await connected(backend(network), "0x08080808") == "8.8.8.8"


@pytest.mark.parametrize("host", ["no-such.test", "empty.test", ""])
async def test_a_name_without_an_address_is_a_failure_to_connect(host: str) -> None:
    with pytest.raises(httpcore2.ConnectError):
        await connected(backend(Network(), {"empty.test": []}, allow_private=True), host)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_httpcore2, "STAGGER_S", 0.01)


@pytest.mark.usefixtures("at_once")
async def test_an_address_that_does_not_answer_holds_up_the_next_but_briefly() -> None:
    network = Network(**{"8.8.8.8": 60, "8.8.4.4": 60})
    guarded = backend(network, {"p.test": ["8.8.8.8", "8.8.4.4", "1.1.1.1"]})
    async with asyncio.timeout(2):
        assert await connected(guarded) == "1.1.1.1"


@pytest.mark.usefixtures("at_once")
async def test_of_two_connections_that_come_about_one_is_closed() -> None:
    network = Network(**{"8.8.8.8": 0.02, "8.8.4.4": 0.01})
    guarded = backend(network, {"p.test": ["8.8.8.8", "8.8.4.4"]})
    used = await connected(guarded)
    assert [stream.closed for stream in network.streams] == [stream.address != used for stream in network.streams]


async def test_when_no_address_can_be_connected_to_the_last_one_says_why() -> None:
    network = Network(**{"8.8.8.8": -1, "1.1.1.1": -1})
    with pytest.raises(httpcore2.ConnectError, match=r"1\.1\.1\.1 refuses"):
        await connected(backend(network, {"p.test": ["8.8.8.8", "1.1.1.1"]}))


@pytest.mark.parametrize("addresses", [["8.8.8.8"], ["8.8.8.8", "8.8.4.4"]])
async def test_connecting_has_one_time_limit_for_all(addresses: list[str]) -> None:
    network = Network(**{"8.8.8.8": 60, "8.8.4.4": 60})
    with pytest.raises(httpcore2.ConnectTimeout):
        await connected(backend(network, {"p.test": addresses}), timeout=0.05)


async def test_a_name_server_that_is_silent_counts_towards_it() -> None:
    async def silent(host: str, port: int) -> Sequence[Address]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(httpcore2.ConnectTimeout):
        await connected(GuardedBackend(allow_private=False, resolve=silent, backend=Network()), timeout=0.05)


async def test_the_system_resolves_names() -> None:
    assert set(await resolve("localhost", 80)) <= {ip_address("127.0.0.1"), ip_address("::1")}


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
