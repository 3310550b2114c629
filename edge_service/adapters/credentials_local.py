"""Turns credential references into secrets, on this machine alone.

Whoever edits the configuration chooses the references, and must not be able to read the edge's whole environment or
file system with them: only names that match the allowed patterns, and files under one directory, lead anywhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import structlog

from edge_service.app.ports import CredentialError

_log = structlog.get_logger("forebay.edge.credentials")

SECRETS_DIRECTORY = Path("/run/secrets")

# What may stand in a header's value: visible ASCII and spaces.
_VALID = re.compile(rb"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")

_NOTHING = ("", "", "")


class LocalCredentials:
    """Environment variables and secret files. Files are read anew when they change."""

    def __init__(
        self, environment: Mapping[str, str], allowed_names: Sequence[str], directory: Path = SECRETS_DIRECTORY
    ) -> None:
        self._environment = environment
        self._patterns = tuple(allowed_names)
        self._directory = directory
        self._told: dict[str, str] = {}
        """By reference: what the log was told, until the reference leads to a secret again."""
        self._files: dict[str, tuple[tuple[int, ...], bytes]] = {}
        self._variables: dict[str, tuple[str, str, str]] = {}
        """By reference: the variable's name, its value, and the secret that it comes to."""

    def secret(self, reference: str) -> str:
        """The secret behind `env:NAME` or `file:PATH`. Raises `CredentialError`, which names the reference alone."""
        name, value, secret = self._variables.get(reference, _NOTHING)
        if value and self._environment.get(name) == value:
            return secret
        try:
            secret = self._find(reference)
        except CredentialError as error:
            if self._told.get(reference) != str(error):  # Once, not with each request.
                self._told[reference] = str(error)
                _log.warning("credential_unavailable", reason=str(error))
            raise
        self._told.pop(reference, None)
        return secret

    def _find(self, reference: str) -> str:
        kind, _, place = reference.partition(":")
        if kind == "env":
            value = self._from_environment(reference, place)
        elif kind == "file":
            value = self._from_file(reference, Path(place))
        else:
            # Not quoted: it may be a secret that was written where a reference belongs.
            raise CredentialError("a credential reference is neither env:NAME nor file:PATH")
        if not _VALID.match(value):
            raise CredentialError(f"{reference} is empty, or has characters in it that no key has")
        secret = value.decode("ascii")
        if kind == "env":
            self._variables[reference] = (place, self._environment[place], secret)
        return secret

    def _from_environment(self, reference: str, name: str) -> bytes:
        if not _is_allowed(name, self._patterns):
            raise CredentialError(f"{reference} is not a name that FOREBAY_EDGE_CREDENTIAL_ENV allows")
        value = self._environment.get(name)
        if value is None:
            raise CredentialError(f"{reference} is not set in the environment of this edge")
        return os.fsencode(value).strip()

    def _from_file(self, reference: str, path: Path) -> bytes:
        try:
            resolved = path.resolve(strict=True)
            if not resolved.is_relative_to(self._directory.resolve()):
                raise CredentialError(f"{reference} is not under {self._directory}")
            found = resolved.stat()
            if not stat.S_ISREG(found.st_mode):
                raise CredentialError(f"{reference} is no file")  # A pipe would be waited for.
            version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            known = self._files.get(reference)
            if known is None or known[0] != version:
                known = self._files[reference] = (version, resolved.read_bytes().strip())
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: Python 3.11 and 3.12 on a loop of links.
            raise CredentialError(f"{reference} cannot be read: {type(error).__name__}") from error
        return known[1]


def _is_allowed(name: str, patterns: Iterable[str]) -> bool:
    return not name.startswith("FOREBAY_") and any(fnmatchcase(name, pattern) for pattern in patterns)
