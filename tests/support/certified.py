"""Certificates for tests, as files that are written as a tool for renewals writes them."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path

    def write(self, leaf: trustme.LeafCert) -> Pair:
        """Each file is replaced in one step, one after the other."""
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        for path, content in ((self.key, leaf.private_key_pem.bytes()), (self.certificate, chain)):
            beside = path.with_suffix(".new")
            beside.touch(mode=0o600)
            beside.write_bytes(content)
            beside.replace(path)
        return self

    def flags(self, prefix: str) -> tuple[str, ...]:
        """`prefix` is `tls` or `resolver`."""
        return (f"--{prefix}-cert", str(self.certificate), f"--{prefix}-key", str(self.key))


def pair(directory: Path, name: str, leaf: trustme.LeafCert) -> Pair:
    return Pair(directory / f"{name}.pem", directory / f"{name}-key.pem").write(leaf)


def authority(directory: Path, name: str, ca: trustme.CA) -> Path:
    path = directory / f"{name}.pem"
    ca.cert_pem.write_to_path(path)
    return path


def trusting(*cas: trustme.CA) -> ssl.SSLContext:
    """For a client that believes these authorities alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for ca in cas:
        ca.configure_trust(context)
    return context


def expired() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(days=1)


def readable_by_all(path: Path) -> None:
    os.chmod(path, 0o644)
