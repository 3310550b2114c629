"""Addresses of providers that cannot be called, each for a reason of its own."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.faulty_upstream import Provider, provider, says

UNCALLABLE = (
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "metadata.google.internal",
)
"""Hosts that no provider has, in some of their spellings."""

CERTIFICATES: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "good": lambda ca: ca.issue_cert("127.0.0.1"),
    "of another authority": lambda ca: trustme.CA().issue_cert("127.0.0.1"),
    "expired": lambda ca: ca.issue_cert("127.0.0.1", not_after=_days(-1)),
    "not yet valid": lambda ca: ca.issue_cert("127.0.0.1", not_before=_days(1)),
    "for another address": lambda ca: ca.issue_cert("127.0.0.2"),
    "for a name": lambda ca: ca.issue_cert("localhost"),
}


def _days(ahead: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(days=ahead)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    urls: dict[str, str]
    """By what is wrong with them."""
    secure: dict[str, Provider]
    """Those that show a certificate, by the certificate."""
    ca_file: Path


def shown(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port where connections are never made, and never refused: nobody accepts, and the queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):  # Linux takes in one more than it was told to.
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port that refuses connections: it is bound, so that nobody else gets it, and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


@contextlib.asynccontextmanager
async def elsewhere(directory: Path) -> AsyncIterator[Elsewhere]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    async with contextlib.AsyncExitStack() as stack:
        urls = {
            "refused": stack.enter_context(closed_port()),
            "black hole": stack.enter_context(black_hole()),
            "no such host": "http://no-such-host.invalid/v1",
            "no such host again": "https://no-such-host-either.invalid/v1",
        }
        urls |= {host: f"http://{host}/v1" for host in UNCALLABLE}
        secure = {}
        for kind, certificate in CERTIFICATES.items():
            secure[kind] = await stack.enter_async_context(provider(says("over TLS"), shown(certificate(ca))))
            urls[kind] = secure[kind].url
        plain = await stack.enter_async_context(provider(says("in the clear")))
        secure["none"], urls["none"] = plain, plain.url.replace("http:", "https:")
        yield Elsewhere(urls, secure, directory / "ca.pem")
