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
from typing import NoReturn

import structlog

from resolver_service.app.ports import Certificates
from resolver_service.domain import validity

LOOK_S = 1.0
"""How often the files are looked at. What two looks in a row have found counts, since a renewal is of several files."""

_log = structlog.get_logger("forebay.resolver.certificates")


class CertificateError(Exception):
    """The files cannot be used. The text names the one that is at fault, and what to do; nothing of it is quoted."""

    code = "certificate_unusable"


@dataclass(frozen=True, slots=True)
class Files:
    certificate: Path
    """The certificate to show, and behind it those that lead to its authority."""
    key: Path
    authorities: Path | None = None
    """Whose certificates are believed; None: nobody is asked for one."""

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.certificate, self.key, self.authorities) if path)


class Followed:
    """What is in the files. Raises `CertificateError` if it cannot be used when this is made."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.current = load(files)

        self._validity = validity.of(self.current.chain)
        self._told_trouble = ""
        """What has been told of the certificate's age, since it is here."""
        self._tell_trouble()

    async def follow(self, use: Callable[[Certificates], None]) -> None:
        """Hands over what is in the files whenever it has changed, until cancelled. What cannot be used changes
        nothing."""
        told: Certificates | str = self.current
        look = told
        while True:
            await asyncio.sleep(LOOK_S)
            self._tell_trouble()
            before, look = look, await asyncio.to_thread(_look, self._files)
            if look == told or look != before:
                continue
            told = look
            try:
                self.current = await asyncio.to_thread(load, self._files)
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


def load(files: Files) -> Certificates:
    """What is in the files, if it goes together. Warns of a key that everyone may read. Raises `CertificateError`."""
    found = _read(files)
    _check(files, found)
    if _read(files) != found:
        raise CertificateError(f"{files} changed while they were read: try again")
    with contextlib.suppress(OSError):
        if stat.S_IMODE(files.key.stat().st_mode) & stat.S_IROTH:
            _log.warning("key_readable_by_all", path=str(files.key), remedy="chmod o-r")
    return found


def _look(files: Files) -> Certificates | str:
    try:
        return _read(files)
    except CertificateError as error:
        return str(error)


def _read(files: Files) -> Certificates:
    return Certificates(
        chain=_bytes(files.certificate, "the certificate"),
        key=_bytes(files.key, "its key"),
        authorities=_bytes(files.authorities, "the authorities' certificates") if files.authorities else b"",
    )


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be read ({error.strerror}): put {what} there as PEM, readable to the user that this runs as"
        ) from None


def _check(files: Files, found: Certificates) -> None:
    _check_certificates(files.certificate, found.chain)
    if files.authorities is not None:
        _check_certificates(files.authorities, found.authorities)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, _refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            words = f"the key in {files.key} is not the one of the certificate in {files.certificate}: put a pair there"
        elif error.reason is None:
            words = f"{files.key} is no private key in PEM: put the one of {files.certificate} there"
        else:
            words = f"{files.certificate} and {files.key} cannot be used ({error.reason}): put another pair there"
        raise CertificateError(words) from None
    except OSError as error:
        raise CertificateError(f"{files.certificate} and {files.key} cannot be read ({error.strerror})") from None
    except _PassphraseError:
        raise CertificateError(
            f"the key in {files.key} is locked by a passphrase: put it there without one, readable to nobody else"
        ) from None


def _check_certificates(path: Path, text: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise CertificateError(f"{path} is no file of certificates in PEM: put one or more there") from None


class _PassphraseError(Exception):
    pass


def _refuse_passphrase() -> NoReturn:
    """Without it OpenSSL would ask whoever sits at the terminal."""
    raise _PassphraseError
