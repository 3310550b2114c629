"""Row 9: a provider that cannot prove who it is is passed over, and gets to see neither the request nor the key."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from edge_service.adapters.transport_httpcore2 import TrustError, ssl_context
from tests.support.processes import start_edge
from tests.support.providers import provider, says
from tests.support.setup import setup

CERTIFICATES: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "good": lambda ca: ca.issue_cert("127.0.0.1"),
    "of another authority": lambda ca: trustme.CA().issue_cert("127.0.0.1"),
    "expired": lambda ca: ca.issue_cert("127.0.0.1", not_after=days(-1)),
    "not yet valid": lambda ca: ca.issue_cert("127.0.0.1", not_before=days(1)),
    "for another address": lambda ca: ca.issue_cert("127.0.0.2"),
    "for a name": lambda ca: ca.issue_cert("localhost"),
}


def days(ahead: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(days=ahead)


def shown(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("kind", CERTIFICATES)
async def test_only_a_good_certificate_gets_the_request(
    tmp_path: Path, ca: trustme.CA, ca_file: str, kind: str
) -> None:
    async with (
        provider(says("over TLS"), shown(CERTIFICATES[kind](ca))) as secure,
        setup(tmp_path, secure.url, says("instead"), FOREBAY_EDGE_UPSTREAM_CA=ca_file) as it,
    ):
        for _ in range(2):
            response = await it.chat()
            assert response.status_code == 200
            assert response.headers["x-forebay-target"] == ("p0/m#0" if kind == "good" else "p1/m#0")
        assert len(secure.calls) == (2 if kind == "good" else 0)
        alone = await it.chat("m")
        assert alone.status_code == 200
    logged = (tmp_path / "edge.log").read_text().count("tls_failed")
    assert logged == (0 if kind == "good" else 1)


async def test_the_environment_brings_no_trust(tmp_path: Path, ca: trustme.CA, ca_file: str) -> None:
    async with (
        provider(says("never asked"), shown(ca.issue_cert("127.0.0.1"))) as secure,
        setup(tmp_path, secure.url, SSL_CERT_FILE=ca_file, REQUESTS_CA_BUNDLE=ca_file) as it,
    ):
        response = await it.chat()
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert secure.calls == []


def test_authorities_of_ones_own_stand_beside_the_systems(ca_file: str) -> None:
    assert len(ssl_context(Path(ca_file)).get_ca_certs()) == len(ssl_context().get_ca_certs()) + 1


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_file_without_certificates_is_an_error_at_the_start(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TrustError, match=r"ca\.pem"):
        ssl_context(file)
    with pytest.raises(AssertionError, match=r"forebay-edge: --upstream-ca: .*ca\.pem is no file of PEM"):
        await start_edge("127.0.0.1:9", errors=tmp_path / "log", arguments=("--upstream-ca", str(file)))
