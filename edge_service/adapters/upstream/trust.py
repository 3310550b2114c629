"""The certificate authorities by which providers are verified."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2


class TrustError(Exception):
    """The file of certificate authorities cannot be used."""


def ssl_context(extra_ca: Path | None = None) -> ssl.SSLContext:
    """Verifies with the system's certificate authorities and those of this file, and says by ALPN (RFC 7301) that
    HTTP/1.1 will be spoken. Nothing in the environment changes what it does. Raises `TrustError`."""
    context = httpx2.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    if extra_ca is not None:
        try:
            context.load_verify_locations(extra_ca)
        except OSError as error:  # Of which ssl.SSLError is one: there is no certificate in it.
            raise TrustError(f"{extra_ca} is no file of PEM certificates: {error.strerror or error}") from error
    return context


def tls_words(error: BaseException) -> str:
    """What went wrong, if it was TLS: an operator has to mend something else then than the network. Else empty."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the provider's certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            return f"TLS: {cause.reason or type(cause).__name__}"
        cause = cause.__cause__ or cause.__context__
    return ""
