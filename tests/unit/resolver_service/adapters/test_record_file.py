from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver_service.adapters import record_file
from resolver_service.adapters.record_file import FileRecord
from resolver_service.app.ports import ConflictError, PastRevision, ReadOnlyError

OLD, NEW = b"old: 1\n", b"new: 2\n"
REVISION = PastRevision(2, 1000, "me", "a change", "", "digest")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "forebay.yaml"
    path.write_bytes(OLD)
    return path


def others(file: Path) -> list[str]:
    return [path.name for path in file.parent.iterdir() if path != file]


def test_it_is_replaced_in_one_step_and_keeps_its_mode(file: Path) -> None:
    file.chmod(0o640)
    with file.open("rb") as reading:
        FileRecord(file).replace(OLD, NEW, REVISION)
        assert reading.read() == OLD, "whoever reads has all of one"
    assert file.read_bytes() == NEW
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert others(file) == []


def test_all_is_on_disk_before_and_after_the_rename(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def replaced(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    FileRecord(file).replace(OLD, NEW, REVISION)
    assert done == ["file", "rename", "directory"]


def test_what_somebody_else_has_written_is_not_written_over(file: Path) -> None:
    file.write_bytes(b"theirs: 3\n")
    with pytest.raises(ConflictError):
        FileRecord(file).replace(OLD, NEW, REVISION)
    assert file.read_bytes() == b"theirs: 3\n"
    assert others(file) == []


def by_rename(file: Path) -> None:
    file.with_name("theirs").write_bytes(b"theirs: 3\n")
    file.with_name("theirs").rename(file)


def in_place(file: Path) -> None:
    file.write_bytes(b"theirs: 3\n")


@pytest.mark.parametrize("edit", [by_rename, in_place])
def test_an_edit_while_it_is_being_written_comes_first(
    file: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], None]
) -> None:
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        edit(file)

    monkeypatch.setattr(os, "fsync", synced)
    with pytest.raises(ConflictError):
        FileRecord(file).replace(OLD, NEW, REVISION)
    assert file.read_bytes() == b"theirs: 3\n"
    assert others(file) == []


def test_an_edit_in_the_last_instant_is_put_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, edits = os.replace, [in_place]

    def replaced(source: Path, target: Path) -> None:
        for edit in edits:
            edit(file)
        edits.clear()
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    with pytest.raises(ConflictError):
        FileRecord(file).replace(OLD, NEW, REVISION)
    assert file.read_bytes() == b"theirs: 3\n"
    assert others(file) == []


def test_a_symbolic_link_is_not_replaced(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file.name)
    with pytest.raises(ReadOnlyError, match="symbolic link"):
        FileRecord(link).replace(OLD, NEW, REVISION)
    assert link.is_symlink()
    assert file.read_bytes() == OLD


def test_a_file_that_is_marked_read_only_is_left_alone(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(ReadOnlyError, match="make it writable"):
        FileRecord(file).replace(OLD, NEW, REVISION)
    assert others(file) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "read-only file system"),
        (errno.EBUSY, "mount its directory"),
        (errno.EACCES, "directory"),
        (errno.ENOSPC, "cannot be written: No space left on device"),
    ],
)
def test_what_the_system_refuses_is_told_with_the_remedy(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ReadOnlyError, match=words):
        FileRecord(file).replace(OLD, NEW, REVISION)
    assert file.read_bytes() == OLD
    assert others(file) == []


def test_a_file_system_that_syncs_no_directories_will_do(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    FileRecord(file).replace(OLD, NEW, REVISION)
    assert file.read_bytes() == NEW


def test_a_file_that_is_gone_is_told_of(tmp_path: Path) -> None:
    record = FileRecord(tmp_path / "gone.yaml")
    with pytest.raises(ReadOnlyError, match="cannot be read"):
        record.read()
    with pytest.raises(ReadOnlyError, match="cannot be written"):
        record.replace(OLD, NEW, REVISION)


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_an_owner_who_cannot_be_kept_is_not_locked_out(file: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    file.chmod(mode)

    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(record_file.os, "geteuid", lambda: file.stat().st_uid + 1)
    if mode == 0o644:
        FileRecord(file).replace(OLD, NEW, REVISION)
        assert file.read_bytes() == NEW
    else:
        with pytest.raises(ReadOnlyError, match="belongs to somebody else"):
            FileRecord(file).replace(OLD, NEW, REVISION)
        assert file.read_bytes() == OLD
