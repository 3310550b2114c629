"""Certificates and keys as PEM files: read, checked, and followed as they are renewed.

The other service has its own: they share no code but `proto`, and need different things of the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeAlias

import structlog

from edge_service.app.ports import Certificates
from edge_service.domain import validity

LOOK_S = 1.0
"""How often the files are looked at. What two looks in a row have found counts, since a renewal is of several files."""

_log = structlog.get_logger("forebay.edge.certificates")

_Texts: TypeAlias = tuple[bytes, bytes, bytes]
"""The certificate and its chain, the key, the authorities."""


class CertificateError(Exception):
    """The files cannot be used. The text names the one that is at fault, and what to do; nothing of it is quoted."""

    code = "certificate_unusable"


@dataclass(frozen=True, slots=True)
class Files:
    pair: tuple[Path, Path] | None = None
    """The certificate to show, behind it those that lead to its authority, and its key; None: there is none to show."""
    authorities: Path | None = None
    """Whose certificates are believed; None: nobody is asked for one."""

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (*(self.pair or ()), self.authorities) if path)


class Followed:
    """What is in the files. Raises `CertificateError` if it cannot be used when this is made."""

    def __init__(self, files: Files, *, is_client: bool = False) -> None:
        self._files = files
        self._is_client = is_client
        self.current = load(files, is_client=is_client)

        self._validity = validity.of(self.current.chain)
        self._told_trouble = ""
        """What has been told of the certificate's age, since it is here."""
        self._tell_trouble()

    async def follow(self, use: Callable[[Certificates], None]) -> None:
        """Hands over what is in the files whenever it has changed, until cancelled. What cannot be used changes
        nothing."""
        told: _Texts | str = (self.current.chain, self.current.key, self.current.authorities)
        look = told
        while True:
            await asyncio.sleep(LOOK_S)
            self._tell_trouble()
            before, look = look, await asyncio.to_thread(_look, self._files)
            if look == told or look != before:
                continue
            told = look
            try:
                self.current = await asyncio.to_thread(load, self._files, is_client=self._is_client)
            except CertificateError as error:
                _log.warning("certificate_rejected", files=str(self._files), error=str(error), kept="the one before")
            else:
                use(self.current)
                _log.info("certificate_renewed", files=str(self._files))
                self._validity, self._told_trouble = validity.of(self.current.chain), ""
                self._tell_trouble()

    def _tell_trouble(self) -> None:
        """Tells once of a certificate that is of no use, or soon will be. It is used all the same: the clock may
        be wrong, and at the next start it would be the only one."""
        if self._validity is None:
            return
        trouble = self._validity.trouble(time.time())
        if trouble and trouble != self._told_trouble:
            its = (self._validity.begins_at, self._validity.ends_at)
            begins, ends = (datetime.fromtimestamp(at, UTC).isoformat() for at in its)
            _log.warning(trouble, files=str(self._files), valid_from=begins, valid_until=ends)
        self._told_trouble = trouble


def load(files: Files, *, is_client: bool = False) -> Certificates:
    """What is in the files, if it goes together, for a server or for a client. Warns of a key that everyone may read.
    Raises `CertificateError`."""
    found = _read(files)
    chain, key, authorities = found
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if is_client else ssl.PROTOCOL_TLS_SERVER)
    if files.authorities is not None:
        _trust(context, files.authorities, authorities)
    if files.pair is not None:
        certificate_path, key_path = files.pair
        only_checked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # Nobody trusts what the edge shows itself.
        _trust(only_checked, certificate_path, chain)
        _load_pair(context, certificate_path, key_path)
        with contextlib.suppress(OSError):
            if stat.S_IMODE(key_path.stat().st_mode) & stat.S_IROTH:
                _log.warning("key_readable_by_all", path=str(key_path), remedy="chmod o-r")
    if _read(files) != found:
        raise CertificateError(f"{files} changed while they were read: try again")
    return Certificates(chain, key, authorities, context)


def _look(files: Files) -> _Texts | str:
    try:
        return _read(files)
    except CertificateError as error:
        return str(error)


def _read(files: Files) -> _Texts:
    certificate, key = files.pair or (None, None)
    return (
        _bytes(certificate, "the certificate"),
        _bytes(key, "its key"),
        _bytes(files.authorities, "the authorities' certificates"),
    )


def _bytes(path: Path | None, what: str) -> bytes:
    if path is None:
        return b""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be read ({error.strerror}): put {what} there as PEM, readable to the user that this runs as"
        ) from None


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, _refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            words = f"the key in {key} is not the one of the certificate in {certificate}: put a pair there"
        elif error.reason is None:
            words = f"{key} is no private key in PEM: put the one of {certificate} there"
        else:
            words = f"{certificate} and {key} cannot be used ({error.reason}): put another pair there"
        raise CertificateError(words) from None
    except OSError as error:
        raise CertificateError(f"{certificate} and {key} cannot be read ({error.strerror})") from None
    except _PassphraseError:
        raise CertificateError(
            f"the key in {key} is locked by a passphrase: put it there without one, readable to nobody else"
        ) from None


def _trust(context: ssl.SSLContext, path: Path, text: bytes) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # As gRPC does: an authority need not be a root.
    try:
        context.load_verify_locations(cadata=text.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise CertificateError(f"{path} is no file of certificates in PEM: put one or more there") from None


class _PassphraseError(Exception):
    pass


def _refuse_passphrase() -> NoReturn:
    """Without it OpenSSL would ask whoever sits at the terminal."""
    raise _PassphraseError
