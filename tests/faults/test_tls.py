"""Row 9: a provider that cannot prove who it is is passed over, and gets to see neither the request nor the key."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from edge_service.adapters.upstream.trust import TrustError, ssl_context
from tests.support.elsewhere import Elsewhere, shown
from tests.support.faulty_upstream import provider, says
from tests.support.processes import start_edge
from tests.support.setup import setup
from tests.support.standing import Standing


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("of another authority", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("not yet valid", "certificate is not yet valid"),
        ("for another address", "IP address mismatch"),
        ("for a name", "IP address mismatch"),
    ],
)
async def test_a_bad_certificate_does_not_get_the_request(
    it: Standing, places: Elsewhere, kind: str, words: str
) -> None:
    slot = await it.another(kind, says("instead"))
    for _ in range(2):
        response = await slot.chat()
        assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
        assert response.headers["x-forebay-attempts"] == "2"
    await slot.cools("unreachable", 30)
    response = await slot.chat("n")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert words in response.json()["error"]["message"]
    assert (places.secure[kind].calls, slot.hits) == ([], [2])
    warnings = [line for line in it.edge.errors.read_text().splitlines() if "tls_failed" in line]
    assert any(words in line for line in warnings)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_provider_without_tls_does_not_get_the_request_either(it: Standing, places: Elsewhere) -> None:
    slot, plain = await it.another("none", says("instead")), places.secure["none"]
    response = await slot.chat()
    assert (response.status_code, response.headers["x-forebay-target"]) == (200, slot.target(1))
    assert (plain.calls, slot.hits) == ([], [1])


@pytest.mark.asyncio(loop_scope="session")
async def test_a_good_certificate_gets_the_request(it: Standing, places: Elsewhere) -> None:
    slot = await it.another("good", says("never asked"))
    assert [(await slot.chat()).headers["x-forebay-target"] for _ in range(2)] == [slot.target()] * 2
    assert (len(places.secure["good"].calls), slot.hits) == (2, [0])


async def test_a_bad_certificate_is_told_of_once(tmp_path: Path, ca: trustme.CA) -> None:
    async with (
        provider(says("never asked"), shown(ca.issue_cert("127.0.0.1"))) as secure,
        setup(tmp_path, secure.url, says("instead")) as it,
    ):
        for _ in range(2):
            assert (await it.chat()).headers["x-forebay-target"] == "p1/m#0"
    assert (tmp_path / "edge.log").read_text().count("tls_failed") == 1


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
