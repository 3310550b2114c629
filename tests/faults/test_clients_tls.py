"""The clients of `test_clients`, over TLS: what holds for a socket holds for what lies above it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from edge_service.adapters.certificates_files import Files, load
from edge_service.adapters.http.protocol import Bounds, protocol
from edge_service.adapters.http.tls import Certificate, over_tls
from tests.faults import talking, test_client_connections, test_clients
from tests.faults.talking import SHORT, Echo, Wire, serving
from tests.faults.test_client_connections import (  # noqa: F401  # they are run from here as well
    test_a_client_that_leaves_is_noticed_whatever_it_has_sent,
    test_a_last_answer_that_is_read_slowly_arrives,
    test_a_last_answer_that_nobody_reads_does_not_keep_the_connection,
    test_a_request_that_has_been_answered_is_not_answered_again,
    test_an_answer_that_ends_the_connection_arrives_while_the_client_still_sends,
    test_http_1_0_gets_a_stream_that_ends_with_the_connection,
    test_what_follows_a_last_request_is_not_answered_either,
    test_who_asks_when_it_has_the_answer_is_served_on_the_same_connection,
)
from tests.faults.test_client_heads import (  # noqa: F401  # they are run from here as well
    test_headers_beyond_the_limit_are_answered_431,
    test_headers_up_to_the_limit_are_not,
)
from tests.faults.test_clients import (  # noqa: F401  # they are run from here as well
    test_a_body_that_keeps_coming_drop_by_drop_is_answered_408,
    test_a_client_that_asks_twice_and_leaves_leaves_its_provider,
    test_a_client_that_reads_slowly_is_not,
    test_a_client_that_stops_reading_is_given_up_and_its_provider_left,
    test_a_connection_that_asks_for_nothing_is_closed_without_a_word,
    test_a_request_that_stays_unfinished_is_answered_408,
)
from tests.support.certified import HOSTS, Pair, pair, trusting
from tests.support.setup import setup


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def shown(tmp_path: Path, ca: trustme.CA) -> Pair:
    return pair(tmp_path, "edge", ca.issue_cert(*HOSTS))


class Tls(Wire):
    def __init__(self, shown: Pair, ca: trustme.CA) -> None:
        self.client = trusting(ca)
        self.certificate = Certificate(load(Files((shown.certificate, shown.key))))

    def protocol(self, bounds: Bounds) -> type[asyncio.Protocol]:
        return over_tls(protocol(bounds), self.certificate, bounds.head_s)

    def secure(self, client: socket.socket) -> socket.socket:
        assert self.client is not None
        return self.client.wrap_socket(client, server_hostname="127.0.0.1")


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch, shown: Pair, ca: trustme.CA) -> Tls:
    it = Tls(shown, ca)
    environment = {"FOREBAY_EDGE_TLS_CERT": str(shown.certificate), "FOREBAY_EDGE_TLS_KEY": str(shown.key)}
    monkeypatch.setattr(talking, "wire", it)
    monkeypatch.setattr(test_clients, "setup", functools.partial(setup, trust=it.client, **environment))
    return it


async def ended(port: int, *parts: bytes) -> bytes:
    """What comes back for these bytes, which are not encrypted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


def hello(server_name: str = "127.0.0.1") -> bytes:
    """With what a client begins."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=server_name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("begun", ["nothing", "half a hello", "a hello"])
async def test_a_handshake_that_is_not_finished_ends(begun: str) -> None:
    said = {"nothing": b"", "half a hello": hello()[:50], "a hello": hello()}[begun]
    app = Echo()
    async with serving(app, SHORT) as port:
        answer = await ended(port, said)
        assert bool(answer) is (begun == "a hello")
    assert app.served == 0


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01" + b"x" * 600, b"\x80" * 40])
async def test_what_is_not_tls_is_not_served(said: bytes) -> None:
    app = Echo()
    async with serving(app, Bounds()) as port:
        assert b"HTTP" not in await ended(port, said)
    assert app.served == 0


async def test_a_server_that_stops_does_not_wait_for_handshakes() -> None:
    async with asyncio.timeout(20):
        async with serving(Echo(), Bounds(head_s=60)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(hello())
            assert await reader.read(1)
        writer.close()


@pytest.mark.parametrize(("version", "is_spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_the_versions_of_tls_are_those_that_are_safe(wire: Tls, version: str, *, is_spoken: bool) -> None:
    assert wire.client is not None
    wire.client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of what is not spoken any more.
        wire.client.minimum_version = wire.client.maximum_version = ssl.TLSVersion[version]
    async with serving(Echo(), Bounds()) as port:
        if not is_spoken:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await talking.opened(port)
            return
        assert b"HTTP/1.1 200" in await talking.exchange(port, talking.WHOLE, until_closed=False)


def test_a_renewed_certificate_is_shown_by_the_same_rules(wire: Tls, shown: Pair) -> None:
    renewed = load(Files((shown.certificate, shown.key)))
    wire.certificate.renew(renewed)
    assert wire.certificate.context is renewed.context
    assert renewed.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert renewed.context.options & ssl.OP_NO_RENEGOTIATION  # It costs the server more than the client.


async def test_what_is_spoken_inside_is_said(wire: Tls) -> None:
    assert wire.client is not None
    wire.client.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(Echo(), Bounds()) as port:
        _, writer = await talking.opened(port)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()


async def test_records_may_come_in_any_pieces(wire: Tls) -> None:
    """Byte by byte, and all that follows the handshake at once with its end."""
    assert wire.client is not None
    app, incoming, outgoing = Echo(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = wire.client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    async with serving(app, Bounds()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await dripped(writer, outgoing.read())
                    incoming.write(await reader.read(65536))
            tls.write(talking.WHOLE)
            writer.write(outgoing.read())
            tls.write(test_client_connections.LAST)
            await asyncio.sleep(0.05)
            await dripped(writer, outgoing.read())
            answer = b""
            while received := await reader.read(65536):
                incoming.write(received)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while part := tls.read(65536):
                        answer += part
        writer.close()
    assert (answer.count(b"HTTP/1.1 200"), app.served) == (2, 2)


async def dripped(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(len(data)):
        writer.write(data[number : number + 1])
        await writer.drain()
        await asyncio.sleep(0)
