"""Rotation, health, drains and bindings in memory, and behind it in an SQLite file, for the next start.

A resolve never waits for the file: stores note what has changed, and every tenth of a second at most a thread writes
the present value of it. A crash loses that tenth. A file that cannot be written costs a warning, and the resolver goes
on as if it had none; one that cannot be read is moved aside, and the resolver starts empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from resolver_service.app.ports import Clock, Stores
from resolver_service.domain.bindings import KEPT_S, MOST, Binding
from resolver_service.domain.health import WELL, Health, Tally
from resolver_service.domain.policy import LONGEST_COOL_DOWN_S, Disposition
from resolver_service.domain.selection import TurnKey

FILE = "state.sqlite3"
FLUSH_S = 0.1
RETRY_S = 5.0
LOCKED_S = 1.0
"""How long to wait for somebody else who has the file."""
GIVEN_OUT = 10_000
"""Added to the latest generation in the file, since plans from before the restart may carry later ones. None of these
is used again."""

_MIGRATIONS = (
    (
        "CREATE TABLE health (scope TEXT PRIMARY KEY, generation INTEGER NOT NULL, reason TEXT,"
        " cooling_s REAL, written_at REAL NOT NULL, tallies TEXT NOT NULL)",
        "CREATE TABLE drains (target TEXT PRIMARY KEY)",
        "CREATE TABLE turns (name TEXT, priority TEXT, taken INTEGER NOT NULL, PRIMARY KEY (name, priority))",
    ),
    (
        "CREATE TABLE bindings (key BLOB PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL,"
        " bound_at REAL NOT NULL) WITHOUT ROWID",
    ),
)
"""The statements that lead from each version of the schema to the next. The version is the file's `user_version`."""

_log = structlog.get_logger("forebay.resolver.state")


class NewerStateError(Exception):
    """The file was written by a later version."""

    code = "newer_state"


class SqliteRotation:
    """A `RotationStore`."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.turns: dict[TurnKey, int] = {}
        self.changed: set[TurnKey] = set()
        self._note = note

    def turn(self, key: TurnKey) -> int:
        return self.turns.get(key, 0)

    def take(self, keys: Iterable[TurnKey]) -> None:
        for key in keys:
            self.turns[key] = self.turns.get(key, 0) + 1
            self.changed.add(key)
        self._note()


class SqliteHealth:
    """A `HealthStore`."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.health: dict[str, Health] = {}
        self.changed: set[str] = set()
        self.latest = 0
        self._note = note

    def scopes(self) -> Set[str]:
        return self.health.keys()

    def get(self, scope: str) -> Health:
        return self.health.get(scope, WELL)

    def put(self, scope: str, health: Health) -> None:
        self.latest = max(self.latest, health.generation)
        if health == WELL:
            self.health.pop(scope, None)
        else:
            self.health[scope] = health
        self.changed.add(scope)
        self._note()


class SqliteDrains:
    """A `DrainStore`."""

    def __init__(self, note: Callable[[], None]) -> None:
        self.targets: set[str] = set()
        self.changed: set[str] = set()
        self._note = note

    def drained(self) -> Set[str]:
        return self.targets

    def put(self, target_id: str, *, drained: bool) -> None:
        if drained:
            self.targets.add(target_id)
        else:
            self.targets.discard(target_id)
        self.changed.add(target_id)
        self._note()


class SqliteBindings:
    """A `BindingStore`. Their order of use is not written: after a restart it is the order of their making."""

    def __init__(self, note: Callable[[], None], most: int = MOST) -> None:
        self.bindings: OrderedDict[bytes, Binding] = OrderedDict()
        self.changed: set[bytes] = set()
        self._note = note
        self._most = most

    def get(self, key: bytes) -> Binding | None:
        binding = self.bindings.get(key)
        if binding is not None:
            self.bindings.move_to_end(key)
        return binding

    def put(self, key: bytes, binding: Binding) -> None:
        self.bindings[key] = binding
        self.bindings.move_to_end(key)
        if len(self.bindings) > self._most:
            self.changed.add(self.bindings.popitem(last=False)[0])
        self.changed.add(key)
        self._note()

    def forget(self, key: bytes) -> None:
        if self.bindings.pop(key, None) is not None:
            self.changed.add(key)
            self._note()


@dataclass(frozen=True, slots=True)
class _Changes:
    """What has changed since the last write, with its present values."""

    turns: dict[TurnKey, int]
    health: dict[str, Health]
    drains: dict[str, bool]
    bindings: dict[bytes, Binding | None]


class SqliteState:
    """The stores and the file behind them."""

    def __init__(self, directory: Path, clock: Clock, wall_clock: Callable[[], float]) -> None:
        """Loads what the file has. Never fails: without a file that works, all is kept in memory alone."""
        self._clock = clock
        self._wall_clock = wall_clock
        self._changed, self._stop = asyncio.Event(), asyncio.Event()
        self._rotation = SqliteRotation(self._changed.set)
        self._health = SqliteHealth(self._changed.set)
        self._drains = SqliteDrains(self._changed.set)
        self._bindings = SqliteBindings(self._changed.set)
        self._path = directory / FILE
        self._is_kept = True
        self.failures = 0
        """How many times the file could not be opened or written."""
        self._connection = self._open()

    @property
    def stores(self) -> Stores:
        return Stores(self._rotation, self._health, self._drains, self._bindings)

    async def keep(self) -> None:
        """Writes what changes, until `stop`, and then once more."""
        stopping = False
        while not stopping:
            await self._changed.wait()
            await self._pause(FLUSH_S)
            stopping = self._stop.is_set()
            self._changed.clear()
            await self._flush()
            if not self._is_kept:
                await self._pause(RETRY_S)
                self._changed.set()
        if self._connection is not None:
            self._connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._changed.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    # --- Writing ---

    async def _flush(self) -> None:
        turns, scopes, targets = self._rotation.changed, self._health.changed, self._drains.changed
        keys = self._bindings.changed
        self._rotation.changed, self._health.changed, self._drains.changed = set(), set(), set()
        self._bindings.changed = set()
        if self._connection is None:
            return  # With what has changed: nobody will write it, and it must not pile up.
        changes = _Changes(
            {key: self._rotation.turn(key) for key in turns},
            {scope: self._health.get(scope) for scope in scopes},
            {target: target in self._drains.targets for target in targets},
            {key: self._bindings.bindings.get(key) for key in keys},
        )
        try:
            await asyncio.to_thread(self._write, self._connection, changes)
        except (sqlite3.Error, OSError, OverflowError, ValueError) as error:
            self._rotation.changed |= turns
            self._health.changed |= scopes
            self._drains.changed |= targets
            self._bindings.changed |= keys
            self.failures += 1
            if self._is_kept:
                _log.warning("state_not_kept", path=str(self._path), error=str(error))
            self._is_kept = False
        else:
            if not self._is_kept:
                _log.info("state_kept_again", path=str(self._path))
            self._is_kept = True

    def _write(self, connection: sqlite3.Connection, changes: _Changes) -> None:
        if not self._path.exists():  # SQLite would go on with a file that nobody finds again.
            raise FileNotFoundError("it has been removed: start the resolver anew")
        now, written_at = self._clock(), self._wall_clock()
        with _transaction(connection):
            connection.executemany(
                "REPLACE INTO turns VALUES (?, ?, ?)",
                [(name, str(priority), taken) for (name, priority), taken in changes.turns.items()],
            )
            connection.executemany(
                "REPLACE INTO health VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        scope,
                        health.generation,
                        health.reason and health.reason.value,
                        None if health.cooling_until_at is None else health.cooling_until_at - now,
                        written_at,
                        json.dumps({family: asdict(tally) for family, tally in health.tallies.items()}),
                    )
                    for scope, health in changes.health.items()
                    if health != WELL
                ],
            )
            gone = [(scope,) for scope, health in changes.health.items() if health == WELL]
            connection.executemany("DELETE FROM health WHERE scope = ?", gone)
            drained = [(target,) for target, is_drained in changes.drains.items() if is_drained]
            connection.executemany("REPLACE INTO drains VALUES (?)", drained)
            back = [(target,) for target, is_drained in changes.drains.items() if not is_drained]
            connection.executemany("DELETE FROM drains WHERE target = ?", back)
            bound = [(key, b.target_id, b.name, b.bound_at) for key, b in changes.bindings.items() if b is not None]
            connection.executemany("REPLACE INTO bindings VALUES (?, ?, ?, ?)", bound)
            unbound = [(key,) for key, binding in changes.bindings.items() if binding is None]
            connection.executemany("DELETE FROM bindings WHERE key = ?", unbound)

    # --- Reading ---

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._read()
            except sqlite3.OperationalError:
                raise  # Locked, read-only, full: nothing is wrong with what is in it.
            except sqlite3.DatabaseError as error:
                self._move_aside(error)
                return self._read()
        except (sqlite3.Error, OSError, NewerStateError) as error:
            self.failures += 1
            _log.warning("state_not_kept", path=str(self._path), error=str(error))
            return None

    def _read(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
            self._load(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _load(self, connection: sqlite3.Connection) -> None:
        turns = {(n, int(p)): int(t) for n, p, t in connection.execute("SELECT name, priority, taken FROM turns")}
        drained = {target for (target,) in connection.execute("SELECT target FROM drains")}
        health: dict[str, Health] = {}
        for scope, *columns in connection.execute(
            "SELECT scope, generation, reason, cooling_s, written_at, tallies FROM health"
        ):
            try:
                health[scope] = self._health_of(*columns)
            except (ValueError, TypeError, AttributeError) as error:
                _log.warning("state_not_understood", path=str(self._path), scope=scope, error=str(error))
        self._rotation.turns, self._drains.targets, self._health.health = turns, drained, health
        connection.execute("DELETE FROM bindings WHERE bound_at < ?", (self._wall_clock() - KEPT_S,))
        rows = connection.execute("SELECT key, target, name, bound_at FROM bindings ORDER BY bound_at")
        self._bindings.bindings = OrderedDict((bytes(key), Binding(*columns)) for key, *columns in rows)
        if health:
            self._health.latest = max(h.generation for h in health.values()) + GIVEN_OUT

    def _health_of(
        self, generation: int, reason: str | None, cooling_s: float | None, written_at: float, tallies: str
    ) -> Health:
        """A state that was stored, less the time since then: none if the wall clock has been put back, and never more
        is left than any cool-down may last. The configured bounds do not count: as with a reload, an open cool-down
        stays as long as it was."""
        until_at = None
        if cooling_s is not None:
            left_s = cooling_s - max(0.0, self._wall_clock() - written_at)
            until_at = self._clock() + min(left_s, LONGEST_COOL_DOWN_S)
        return Health(
            generation=generation,
            cooling_until_at=until_at,
            reason=None if reason is None else Disposition(reason),
            tallies={family: Tally(**tally) for family, tally in json.loads(tallies).items()},
        )

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = f"{self._path}.corrupt-{int(self._wall_clock())}"
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")
        _log.warning("state_corrupt", path=str(self._path), moved_to=aside, error=str(error))


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise NewerStateError(f"its schema is of version {version}, and this resolver knows {len(_MIGRATIONS)}")
    for number, statements in enumerate(_MIGRATIONS[version:], version + 1):
        with _transaction(connection):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # A full disk may have rolled it back already.
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
