"""The latest revisions in an SQLite file of their own, which survives a power failure once a revision is kept."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from resolver_service.app.ports import MOST_REVISIONS, HistoryError, PastRevision

FILE = "revisions.sqlite3"
LOCKED_S = 1.0
"""How long to wait for somebody else who has the file."""
_VERSION = 1
_COLUMNS = "number, created_at, author, summary, diff, digest"

_log = structlog.get_logger("forebay.resolver.revisions")


class SqliteHistory:
    """A `History`. Without a file that works nothing is kept, and every change is refused; the resolver goes on."""

    def __init__(self, directory: Path, wall_clock: Callable[[], float]) -> None:
        """Never fails. A file that cannot be read is moved aside."""
        self._path = directory / FILE
        self._lock = threading.Lock()
        self._why = ""
        self._connection = self._open(wall_clock)

    def keep(self, revision: PastRevision, text: bytes) -> None:
        """As the port says."""
        r = revision
        try:
            with self._transaction() as connection:
                row = (r.number, r.created_at, r.author, r.summary, r.diff, r.digest, zlib.compress(text))
                connection.execute(f"REPLACE INTO revisions ({_COLUMNS}, text) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608  # names of this module
                connection.execute("DELETE FROM revisions WHERE number <= ?", (r.number - MOST_REVISIONS,))
        except sqlite3.Error as error:
            _log.warning("revision_not_kept", path=str(self._path), revision=r.number, error=str(error))
            raise HistoryError(f"the revision cannot be kept in {self._path}: {error}") from error

    def drop(self, number: int) -> None:
        """As the port says."""
        with contextlib.suppress(sqlite3.Error), self._transaction() as connection:
            connection.execute("DELETE FROM revisions WHERE number = ?", (number,))

    def latest(self) -> PastRevision | None:
        """As the port says."""
        return next(iter(self.before(0, 1)), None)

    def before(self, number: int, most: int) -> list[PastRevision]:
        """As the port says."""
        query = f"SELECT {_COLUMNS} FROM revisions WHERE number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608  # names of this module
        return [PastRevision(*row) for row in self._rows(query, (number or 2**62, most))]

    def text(self, number: int) -> bytes | None:
        """As the port says."""
        rows = self._rows("SELECT text FROM revisions WHERE number = ?", (number,))
        try:
            return zlib.decompress(rows[0][0]) if rows else None
        except zlib.error:
            return None

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection, self._why = None, "the resolver is stopping"

    def _rows(self, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                _log.warning("revisions_unreadable", path=str(self._path), error=str(error))
                return []

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise sqlite3.OperationalError(self._why)
            if not self._path.exists():  # SQLite would go on with a file that nobody finds again.
                raise sqlite3.OperationalError("it has been removed: start the resolver anew")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # A full disk may have rolled it back already.
                    self._connection.execute("ROLLBACK")
                raise

    def _open(self, wall_clock: Callable[[], float]) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connect()
            except sqlite3.OperationalError:
                raise  # Locked, read-only, full: nothing is wrong with what is in it.
            except sqlite3.DatabaseError as error:
                aside = f"{self._path}.corrupt-{int(wall_clock())}"
                for suffix in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")
                _log.warning("revisions_corrupt", path=str(self._path), moved_to=aside, error=str(error))
                return self._connect()
        except (sqlite3.Error, OSError) as error:
            self._why = str(error)
            _log.warning("revisions_not_kept", path=str(self._path), error=str(error))
            return None

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                words = f"its schema is of version {version}, and this resolver knows {_VERSION}"
                raise sqlite3.OperationalError(words)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS revisions (number INTEGER PRIMARY KEY, created_at INTEGER NOT NULL,"
                " author TEXT NOT NULL, summary TEXT NOT NULL, diff TEXT NOT NULL, digest TEXT NOT NULL,"
                " text BLOB NOT NULL)"
            )
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection
