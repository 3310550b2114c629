"""What both histories have to do, and what only the one with a file can."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.adapters.history_sqlite import FILE, SqliteHistory
from resolver_service.app.ports import MOST_REVISIONS, History, HistoryError, PastRevision


def revision(number: int) -> PastRevision:
    return PastRevision(number, 1000 + number, "me", f"change {number}", "+a", f"digest {number}")


def opened(directory: Path) -> SqliteHistory:
    return SqliteHistory(directory, lambda: 7.0)


@pytest.fixture(params=["memory", "sqlite"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    if request.param == "memory":
        yield MemoryHistory()
    else:
        kept = opened(tmp_path)
        yield kept
        kept.close()


def test_it_begins_with_nothing(history: History) -> None:
    assert history.latest() is None
    assert history.before(0, 10) == []
    assert history.text(1) is None


def test_it_tells_what_was_kept_the_latest_first(history: History) -> None:
    for number in (3, 4, 5):
        history.keep(revision(number), b"text %d" % number)
    assert history.latest() == revision(5)
    assert history.before(0, 2) == [revision(5), revision(4)]
    assert history.before(5, 10) == [revision(4), revision(3)]
    assert history.text(4) == b"text 4"


def test_what_came_to_nothing_is_forgotten(history: History) -> None:
    history.keep(revision(1), b"a")
    history.keep(revision(2), b"b")
    history.drop(2)
    history.drop(9)
    assert history.latest() == revision(1)
    assert history.text(2) is None
    history.keep(revision(2), b"c")
    assert history.text(2) == b"c"


def test_only_so_many_are_kept(history: History) -> None:
    for number in range(1, MOST_REVISIONS + 11):
        history.keep(revision(number), b"")
    kept = history.before(0, 1000)
    assert (len(kept), kept[-1].number, kept[0].number) == (MOST_REVISIONS, 11, MOST_REVISIONS + 10)


def test_a_file_outlives_the_process_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    first = opened(tmp_path / "state")
    first.keep(revision(1), b"text")
    first.close()
    second = opened(tmp_path / "state")
    assert (second.latest(), second.text(1)) == (revision(1), b"text")
    second.close()
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


def test_what_was_kept_is_there_after_a_crash(tmp_path: Path) -> None:
    crashed = opened(tmp_path)
    crashed.keep(revision(1), b"text")
    other = opened(tmp_path)
    assert other.latest() == revision(1)
    other.close()
    crashed.close()


def test_a_corrupt_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    history = opened(tmp_path)
    history.keep(revision(1), b"text")
    assert history.latest() == revision(1)
    history.close()
    assert (tmp_path / f"{FILE}.corrupt-7").read_bytes() == b"garbage" * 1000


def test_a_newer_file_is_left_alone_and_nothing_is_kept(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    history = opened(tmp_path)
    assert history.latest() is None
    with pytest.raises(HistoryError, match="version 99"):
        history.keep(revision(1), b"text")


def test_a_file_that_somebody_else_has_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver_service.adapters.history_sqlite.LOCKED_S", 0.01)
    history = opened(tmp_path)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError, match="locked"):
        history.keep(revision(1), b"text")
    other.execute("ROLLBACK")
    history.keep(revision(1), b"text")
    other.close()
    history.close()


def test_a_directory_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    history = opened(tmp_path / "state")
    assert history.before(0, 10) == []
    with pytest.raises(HistoryError):
        history.keep(revision(1), b"")


def test_a_file_that_is_removed_meanwhile_keeps_nothing(tmp_path: Path) -> None:
    history = opened(tmp_path)
    history.keep(revision(1), b"text")
    (tmp_path / FILE).unlink()
    with pytest.raises(HistoryError, match="removed"):
        history.keep(revision(2), b"text")
    assert history.latest() == revision(1)
    history.close()
