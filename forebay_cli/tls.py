"""TLS with the resolver: what is shown and believed, and what the failures of a handshake mean."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import grpc

_VERIFICATION = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([a-z ]+)")


class TlsError(Exception):
    """A file that cannot be used. The text names it and says what to do; nothing of it is quoted."""

    code = "tls_unusable"


@dataclass(frozen=True, slots=True)
class Tls:
    authorities: Path
    """Of the resolver's certificate."""
    pair: tuple[Path, Path] | None = None
    """The certificate to show, and its key."""
    name: str = ""
    """What the resolver's certificate is for; empty: the host of its address."""

    def channel(self, address: str, options: tuple[tuple[str, object], ...]) -> grpc.Channel:
        """Raises `TlsError`."""
        self._check()
        key, chain = (self.pair[1].read_bytes(), self.pair[0].read_bytes()) if self.pair else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authorities.read_bytes(), key, chain)
        if self.name:
            options = (*options, ("grpc.ssl_target_name_override", self.name))
        return grpc.secure_channel(address, credentials, options=options)

    def _check(self) -> None:
        """Checks the files first: gRPC would only say that it cannot connect."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.authorities)
        except OSError as error:  # Of which ssl.SSLError is one.
            words = f"--resolver-ca: {self.authorities} is no file of PEM certificates: {error.strerror or error}"
            raise TlsError(words) from None
        if self.pair is None:
            return
        try:
            context.load_cert_chain(*self.pair, _refuse_passphrase)
        except (OSError, _PassphraseError) as error:
            certificate, key = self.pair
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            words = f"--resolver-cert, --resolver-key: {certificate} and {key} are no certificate and its key: {reason}"
            raise TlsError(words) from None


def handshake_failure(details: str, *, is_secure: bool) -> str:
    """What went wrong in TLS, and what to do, by gRPC's error text; empty if it was not TLS."""
    if found := _VERIFICATION.search(details):
        return f"its certificate is not believed ({found[1].strip()}): check --resolver-ca"
    if "Hostname Verification" in details:
        return "its certificate is for another name: say which with --resolver-name"
    if "WRONG_VERSION_NUMBER" in details:
        return "it does not speak TLS: leave out --resolver-ca"
    if "Socket closed" in details and is_secure:
        return "it has closed the connection: it may ask for a certificate, see --resolver-cert"
    if "Socket closed" in details:
        return "it has closed the connection: it may speak TLS, see --resolver-ca"
    return ""


class _PassphraseError(Exception):
    def __str__(self) -> str:
        return "the key is locked by a passphrase"


def _refuse_passphrase() -> NoReturn:
    """Without it OpenSSL would ask whoever sits at the terminal."""
    raise _PassphraseError
