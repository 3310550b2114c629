"""How long a certificate is valid: RFC 5280, 4.1.2.5.

The other service has its own: they share no code but `proto`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

SOON_S = 14 * 86_400.0
SOON_SHARE = 0.1
"""Of its life: whoever renews does so long before, mostly when two thirds of it are over."""

_IN_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x17, 0x18
"""Tags of DER: ITU-T X.690."""


@dataclass(frozen=True, slots=True)
class Validity:
    """Seconds since 1970."""

    begins_at: float
    ends_at: float

    def trouble(self, now: float) -> str:
        """A word for what somebody should see to; empty for nothing."""
        if now < self.begins_at:
            return "certificate_not_yet_valid"
        if now > self.ends_at:
            return "certificate_expired"
        if self.ends_at - now < min(SOON_S, SOON_SHARE * (self.ends_at - self.begins_at)):
            return "certificate_expires_soon"
        return ""


def of(chain: bytes) -> Validity | None:
    """Of the first certificate of a chain in PEM; None if that cannot be read."""
    found = _IN_PEM.search(chain)
    try:
        return None if found is None else _validity(base64.b64decode(found[1]))
    except (ValueError, IndexError, StopIteration):
        return None


def _validity(der: bytes) -> Validity | None:
    _, certificate = next(_parts(der))
    _, to_be_signed = next(_parts(certificate))
    for tag, content in _parts(to_be_signed):
        if tag == _SEQUENCE:
            times = [_instant(kind, text) for kind, text in _parts(content) if kind in (_UTC_TIME, _GENERALIZED_TIME)]
            if len(times) == 2:
                return Validity(*times)
    return None


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and the content of each value."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length > 0x7F:  # So many bytes follow that tell it.
            octets = length & 0x7F
            length = int.from_bytes(der[at : at + octets], "big")
            at += octets
        yield tag, der[at : at + length]
        at += length


def _instant(kind: int, text: bytes) -> float:
    if kind == _UTC_TIME:
        text = (b"19" if text >= b"5" else b"20") + text
    return datetime.strptime(text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
