from __future__ import annotations

import stat
from pathlib import Path

import pytest

from resolver_service.adapters.record_copy import FILE, ConfigCopy
from resolver_service.app.configure import digest_of
from resolver_service.app.ports import Revision
from resolver_service.domain.catalog import Catalog

TEXT = b"providers: []\n# two\n\nlines\xff"


def revision(number: int, text: bytes = TEXT) -> Revision:
    return Revision(number, Catalog((), {}, {}, {}), 1000 + number, digest_of(text), {}, text)


def test_what_was_kept_last_is_read(tmp_path: Path) -> None:
    copy = ConfigCopy(tmp_path / "state")
    assert copy.read() is None
    copy.keep(revision(1, b"first"))
    copy.keep(revision(2))
    kept = ConfigCopy(tmp_path / "state").read()
    assert kept is not None
    assert (kept.text, kept.revision.number, kept.revision.created_at) == (TEXT, 2, 1002)
    assert kept.revision.digest == digest_of(TEXT)
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + b"x", lambda t: t.replace(b"two", b"2"), lambda t: b"{}"]
)
def test_what_is_not_whole_is_none(tmp_path: Path, change: object) -> None:
    copy = ConfigCopy(tmp_path)
    copy.keep(revision(1))
    (tmp_path / FILE).write_bytes(change((tmp_path / FILE).read_bytes()))  # type: ignore[operator]
    assert copy.read() is None


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for copy in (ConfigCopy(None), ConfigCopy(tmp_path / "file")):
        copy.keep(revision(1))
        assert copy.read() is None
