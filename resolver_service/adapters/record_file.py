"""The configuration of record in its file: read, and replaced in one step or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

import structlog

from resolver_service.app.ports import ConflictError, PastRevision, ReadOnlyError

_MOUNTED = "if it is mounted, mount its directory, and not read-only; or change it where it comes from"
_WHY = {
    errno.EROFS: f"is on a read-only file system: {_MOUNTED}",
    errno.EBUSY: f"is mounted by itself and cannot be replaced: {_MOUNTED}",
    errno.EACCES: "is in a directory that this process may not write in: give its user leave to, or change it by hand",
    errno.EPERM: "may not be replaced by this process: give its user leave to, or change it by hand",
}

_log = structlog.get_logger("forebay.resolver.config")


class FileRecord:
    """A `Record`.

    The new text is written beside the file, under a name of its own, and takes its place by a rename: whoever reads
    has all of one or all of the other, also after a power failure. The file keeps its mode, and its owner where the
    system lets it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        """As the port says."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise ReadOnlyError(f"{self._path} cannot be read: {error.strerror}") from error

    def replace(self, before: bytes, after: bytes, revision: PastRevision) -> PastRevision:
        """As the port says."""
        try:
            self._replace(before, after)
            return revision
        except OSError as error:
            why = _WHY.get(error.errno or 0, f"cannot be written: {error.strerror}")
            raise ReadOnlyError(f"{self._path} {why}") from error

    def _replace(self, before: bytes, after: bytes) -> None:
        if self._path.is_symlink():
            words = "is a symbolic link, as in a ConfigMap of Kubernetes: change it where it comes from"
            raise ReadOnlyError(f"{self._path} {words}")
        with self._path.open("rb") as old:
            was = os.fstat(old.fileno())
            if not was.st_mode & 0o222 or not os.access(self._path, os.W_OK):
                raise ReadOnlyError(f"{self._path} is read-only: make it writable, or change it by hand")
            beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
            try:
                self._write(beside, after, was)
                # As late as can be: what others write from here on is seen below, or never.
                self._check(old.read(), before, was)
                os.replace(beside, self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    beside.unlink()
                raise
            self._sync_directory()
            old.seek(0)
            if (late := old.read()) != before:
                self._give_way(late, was)

    def _write(self, path: Path, text: bytes, like: os.stat_result) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            try:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            except PermissionError:
                self._keep_readable(file.fileno(), like)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            os.fsync(file.fileno())

    def _keep_readable(self, file: int, like: os.stat_result) -> None:
        """The file will be this process's own. Whoever had it must not be locked out of it."""
        if os.geteuid() != like.st_uid and not like.st_mode & stat.S_IROTH:
            words = "belongs to somebody else, who could not read what this process writes in its place"
            raise ReadOnlyError(f"{self._path} {words}: run the resolver as its owner, or let all read it")
        with contextlib.suppress(PermissionError):
            os.fchown(file, -1, like.st_gid)

    def _check(self, found: bytes, before: bytes, was: os.stat_result) -> None:
        now = os.stat(self._path, follow_symlinks=False)
        if found != before or (now.st_dev, now.st_ino) != (was.st_dev, was.st_ino):
            raise ConflictError("the file has been edited at the same time: read the configuration again")

    def _give_way(self, late: bytes, was: os.stat_result) -> None:
        """Somebody wrote into the old file in the instant between the last look and the rename."""
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        self._write(beside, late, was)
        os.replace(beside, self._path)
        self._sync_directory()
        _log.warning("config_edit_gave_way", path=str(self._path))
        raise ConflictError("the file has been edited at the same time: read the configuration again")

    def _sync_directory(self) -> None:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # File systems that have no such thing say so.
                raise
        finally:
            os.close(directory)
