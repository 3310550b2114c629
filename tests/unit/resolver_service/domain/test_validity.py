from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509

from resolver_service.domain import validity
from resolver_service.domain.validity import SOON_S, Validity


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 9999])
def test_it_is_read_as_others_read_it(year: int) -> None:
    began, ends = datetime(1950, 1, 2, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    leaf = trustme.CA().issue_cert("localhost", not_before=began, not_after=ends)
    chain = leaf.private_key_pem.bytes() + b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    told = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    expected = Validity(told.not_valid_before_utc.timestamp(), told.not_valid_after_utc.timestamp())
    assert validity.of(chain) == expected == Validity(began.timestamp(), ends.timestamp())


@pytest.mark.parametrize("inside", ["", "MAA=", "MAIwAA==", "MAQwAgIB", "MIA=", "MA=="])
def test_what_is_none_has_none(inside: str) -> None:
    assert validity.of(f"-----BEGIN CERTIFICATE-----{inside}-----END CERTIFICATE-----".encode()) is None
    assert validity.of(inside.encode()) is None


def test_a_short_life_has_a_short_end() -> None:
    hour, years = Validity(0.0, 3600.0), Validity(0.0, 1000 * SOON_S)
    assert [hour.trouble(at) for at in (-1.0, 0.0, 3240.0, 3241.0, 3600.0, 3601.0)] == [
        "certificate_not_yet_valid",
        "",
        "",
        "certificate_expires_soon",
        "certificate_expires_soon",
        "certificate_expired",
    ]
    assert not years.trouble(999 * SOON_S)
    assert years.trouble(999 * SOON_S + 1) == "certificate_expires_soon"
