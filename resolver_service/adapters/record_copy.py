"""A copy of the shared configuration in a directory of this resolver's own, to begin with while the store is away."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec
import structlog

from resolver_service.app.ports import Kept, PastRevision, Revision

FILE = "configuration.copy"

_log = structlog.get_logger("forebay.resolver.config")


class _Head(msgspec.Struct):
    """The first line. What follows is the text."""

    number: int
    created_at: int
    digest: str


_head = msgspec.json.Decoder(_Head)


class ConfigCopy:
    """What came into effect last. It is for the start alone, and no harm is done where it cannot be kept."""

    def __init__(self, directory: Path | None) -> None:
        """None for none."""
        self._path = directory / FILE if directory else None

    def keep(self, revision: Revision) -> None:
        """In one step or not at all. Never fails."""
        if self._path is None:
            return
        head = msgspec.json.encode(_Head(revision.number, revision.loaded_at, revision.digest))
        beside = self._path.with_name(f".{FILE}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(head + b"\n" + revision.text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError as error:
            _log.warning("config_not_copied", path=str(self._path), error=str(error))

    def read(self) -> Kept | None:
        """None if there is none, or it is not whole."""
        if self._path is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            first, _, text = self._path.read_bytes().partition(b"\n")
            head = _head.decode(first)
            if hashlib.sha256(text).hexdigest() == head.digest:
                return Kept(PastRevision(head.number, head.created_at, "", "", "", head.digest), text)
        return None
