from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from forebay_cli.tls import Tls, TlsError, handshake_failure
from tests.support.certified import HOSTS, Pair, authority, pair

VERIFICATION = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:8401: Tls handshake failed "
    "(TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: "
    "certificate has expired: OK"
)
CLOSED = "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:8401: Socket closed"


@pytest.mark.parametrize(
    ("details", "is_secure", "words"),
    [
        (VERIFICATION, True, "(certificate has expired): check --resolver-ca"),
        ("Custom verification check failed with error: Hostname Verification Check failed.", True, "--resolver-name"),
        ("OPENSSL_internal:WRONG_VERSION_NUMBER: OK", True, "leave out --resolver-ca"),
        (CLOSED, True, "it may ask for a certificate, see --resolver-cert"),
        (CLOSED, False, "it may speak TLS, see --resolver-ca"),
    ],
)
def test_what_goes_wrong_is_told_with_a_remedy(details: str, words: str, *, is_secure: bool) -> None:
    assert words in handshake_failure(details, is_secure=is_secure)


def test_what_is_not_tls_is_not_told_as_if_it_were() -> None:
    details = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Connection refused"
    assert handshake_failure(details, is_secure=True) == ""


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def shown(tmp_path: Path, ca: trustme.CA) -> Pair:
    return pair(tmp_path, "shown", ca.issue_cert(*HOSTS))


def test_files_that_go_together_make_a_channel(tmp_path: Path, ca: trustme.CA, shown: Pair) -> None:
    file = authority(tmp_path, "ca", ca)
    Tls(file, (shown.certificate, shown.key), "resolver").channel("127.0.0.1:9", ()).close()
    Tls(file).channel("127.0.0.1:9", ()).close()


@pytest.mark.parametrize("kind", ["no authorities", "no key", "another key"])
def test_files_that_do_not_are_named(tmp_path: Path, ca: trustme.CA, shown: Pair, kind: str) -> None:
    file = authority(tmp_path, "ca", ca)
    if kind == "no authorities":
        file.write_text("nothing")
    elif kind == "no key":
        shown.key.unlink()
    else:
        shown.key.write_bytes(trustme.CA().issue_cert(*HOSTS).private_key_pem.bytes())
    with pytest.raises(TlsError) as caught:
        Tls(file, (shown.certificate, shown.key)).channel("127.0.0.1:9", ())
    assert str(file if kind == "no authorities" else shown.key) in str(caught.value)
    assert "BEGIN" not in str(caught.value)
