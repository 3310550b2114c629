"""Where providers may be, and which of their addresses is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from edge_service.adapters.upstream import addresses as its_module
from edge_service.adapters.upstream.addresses import ConnectError, Guard, Warnings, first_of
from edge_service.app.ports import UnreachableError
from edge_service.domain.egress import Address

Dns = dict[str, list[str]]


def answering(dns: Dns) -> its_module.Resolve:
    """A name server that knows these names, and counts no question twice as the same."""

    async def look_up(host: str, port: int) -> Sequence[Address]:
        if host not in dns:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [ip_address(each) for each in dns[host]]

    return look_up


class Stream:
    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


class Network:
    """Connections to addresses: refused, never made, or made after a while."""

    def __init__(self, **takes_s: float) -> None:
        self.tried: list[str] = []
        self.streams: list[Stream] = []
        self.takes_s: dict[str, float] = takes_s

    async def connect(self, address: Address) -> Stream:
        host = str(address)
        self.tried.append(host)
        takes_s = self.takes_s.get(host, 0.0)
        if takes_s < 0:
            raise ConnectError(f"{host} refuses")
        await asyncio.sleep(takes_s)
        self.streams.append(Stream(host))
        return self.streams[-1]


class Backend:
    """As a pool puts the two together."""

    def __init__(self, network: Network, guard: Guard, *, allow_private: bool) -> None:
        self.network = network
        self.guard = guard
        self.allow_private = allow_private

    async def connect_tcp(self, host: str, port: int) -> Stream:
        allowed = await self.guard.allowed(host, port, allow_private=self.allow_private)
        return await first_of(self.network.connect, Stream.aclose, allowed)


def backend(network: Network, dns: Dns | None = None, *, allow_private: bool = False) -> Backend:
    return Backend(network, Guard(answering(dns or {})), allow_private=allow_private)


async def connected(guarded: Backend, host: str = "p.test") -> str:
    return (await guarded.connect_tcp(host, 443)).address


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
    guarded = Backend(network, Guard(rebinding), allow_private=False)
    assert await connected(guarded) == "8.8.8.8"
    assert (questions, network.tried) == (["p.test"], ["8.8.8.8"])
    with pytest.raises(UnreachableError):
        await connected(guarded)


async def test_an_address_is_asked_of_no_name_server() -> None:
    network = Network()
    assert await connected(backend(network), "0x08080808") == "8.8.8.8"


@pytest.mark.parametrize("host", ["no-such.test", "empty.test", ""])
async def test_a_name_without_an_address_is_a_failure_to_connect(host: str) -> None:
    network = Network()
    with pytest.raises(ConnectError):
        await connected(backend(network, {"empty.test": [], "": ["127.0.0.1"]}, allow_private=True), host)
    assert network.tried == []


async def test_what_can_be_no_name_is_a_failure_to_connect() -> None:
    with pytest.raises(ConnectError, match="cannot be resolved"):
        await Guard().allowed(f"{'x' * 64}.test", 443, allow_private=False)


@pytest.mark.parametrize(
    ("host", "allow_private", "words"),
    [
        ("127.0.0.1", False, "allow-private: true"),
        ("0x7f.1", False, "allow-private: true"),
        ("169.254.169.254", True, "never called"),
        ("metadata.google.internal", True, "never called"),
    ],
)
def test_what_a_proxy_is_to_connect_to_is_judged_by_its_spelling(host: str, allow_private: bool, words: str) -> None:
    with pytest.raises(UnreachableError, match=words):
        Guard().check(host, allow_private=allow_private)


@pytest.mark.parametrize(
    ("host", "allow_private"), [("8.8.8.8", False), ("p.test", False), ("localhost", False), ("127.0.0.1", True)]
)
def test_names_are_left_to_the_proxy(host: str, allow_private: bool) -> None:
    Guard().check(host, allow_private=allow_private)


def test_a_proxy_is_asked_for_no_host_without_a_name() -> None:
    with pytest.raises(ConnectError):
        Guard().check("", allow_private=True)


def test_each_host_is_warned_of_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its_module, "MAX_WARNINGS", 4)
    warnings = Warnings()
    with capture_logs() as logs:
        for event, host, reason in [*("abc", "xbc", "ayc", "abz", "123")] * 2:
            warnings.give(event, host=host, reason=reason)
    assert [(log["event"], log["host"], log["reason"]) for log in logs] == [*map(tuple, ("abc", "xbc", "ayc", "abz"))]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its_module, "STAGGER_S", 0.01)


@pytest.mark.usefixtures("at_once")
async def test_an_address_that_does_not_answer_holds_up_the_next_but_briefly() -> None:
    network = Network(**{"8.8.8.8": 60, "8.8.4.4": 60})
    guarded = backend(network, {"p.test": ["8.8.8.8", "8.8.4.4", "1.1.1.1"]})
    async with asyncio.timeout(20):
        assert await connected(guarded) == "1.1.1.1"


@pytest.mark.usefixtures("at_once")
async def test_of_two_connections_that_come_about_one_is_closed() -> None:
    network = Network(**{"8.8.8.8": 0.02, "8.8.4.4": 0.01})
    guarded = backend(network, {"p.test": ["8.8.8.8", "8.8.4.4"]})
    used = await connected(guarded)
    assert [stream.closed for stream in network.streams] == [stream.address != used for stream in network.streams]


@pytest.mark.usefixtures("at_once")
async def test_one_that_takes_its_time_is_waited_for_where_the_others_refuse() -> None:
    others_have_refused = asyncio.Event()

    async def connect(address: Address) -> Stream:
        if str(address) == "8.8.8.8":
            await others_have_refused.wait()
            for _ in range(10):  # So that the last refusal is heard first.
                await asyncio.sleep(0)
            return Stream("8.8.8.8")
        if str(address) == "1.1.1.1":
            others_have_refused.set()
        raise ConnectError("refused")

    addresses = [ip_address(each) for each in ("8.8.8.8", "8.8.4.4", "1.1.1.1")]
    async with asyncio.timeout(20):
        assert (await first_of(connect, Stream.aclose, addresses)).address == "8.8.8.8"


async def test_when_no_address_can_be_connected_to_the_last_one_says_why() -> None:
    network = Network(**{"8.8.8.8": -1, "8.8.4.4": -1, "1.1.1.1": -1})
    with pytest.raises(ConnectError, match=r"1\.1\.1\.1 refuses"):
        await connected(backend(network, {"p.test": ["8.8.8.8", "8.8.4.4", "1.1.1.1"]}))
