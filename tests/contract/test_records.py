"""What holds for changes wherever the configuration is of record, and its revisions are kept."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.adapters.history_sqlite import SqliteHistory
from resolver_service.adapters.record_file import FileRecord
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor, ProvidersLockedError, Terms, UnknownRevisionError
from resolver_service.app.ports import ConflictError, PastRevisions, Record
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import Deleted, Kind, NotThereError, Put
from tests.support.sharing import FIRST, kept, start
from tests.support.valkey import Store


@dataclass
class Recorded:
    editor: Editor
    record: Record
    revisions: PastRevisions
    changed_elsewhere: Callable[[bytes], None]
    """Somebody else puts a text there."""


@pytest_asyncio.fixture(params=["file, in memory", "file, SQLite", "store"])
async def it(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> AsyncIterator[Recorded]:
    if request.param == "store":
        sharer = await start(store, "one")
        its = sharer.record
        yield Recorded(sharer.editor, its, its, lambda text: (its.seed(kept(2, text).revision, text), None)[1])
        await sharer.stop()
        return
    with contextlib.ExitStack() as stack:
        history: MemoryHistory | SqliteHistory = MemoryHistory()
        if "SQLite" in request.param:
            history = stack.enter_context(contextlib.closing(SqliteHistory(tmp_path / "state", lambda: 0)))
        file = tmp_path / "forebay.yaml"
        file.write_bytes(FIRST)
        configuration = Configuration(config_yaml.parsed, lambda: 1000, FIRST, history)
        record = FileRecord(file)
        editor = Editor(configuration, record, history, amend, provider_edits=False)
        yield Recorded(editor, record, history, lambda text: (file.write_bytes(text), None)[1])


def pool(name: str) -> Put:
    return Put(Kind.POOL, {"id": name, "members": [{"provider": "one", "model": "m"}]})


async def test_what_is_answered_is_of_record_and_kept(it: Recorded) -> None:
    made = await it.editor.change(pool("b"), Terms(author="ann"))
    assert it.record.read() == made.text == it.editor.current.text
    assert (made.number, it.revisions.text(2), it.revisions.text(1)) == (2, made.text, FIRST)
    latest, first = await it.editor.revisions(0, 10)
    assert (latest.number, latest.author, latest.summary, latest.digest) == (2, "ann", "pool b added", made.digest)
    assert "+    - " in latest.diff
    assert first.number == 1
    assert b"# The first one." in made.text, "it is as it was written"


async def test_a_roll_back_is_a_new_revision(it: Recorded) -> None:
    await it.editor.change(pool("b"), Terms())
    await it.editor.change(Deleted(Kind.POOL, "a"), Terms())
    back = await it.editor.roll_back(1, Terms())
    assert (back.number, back.text, it.record.read()) == (4, FIRST, FIRST)
    with pytest.raises(UnknownRevisionError):
        await it.editor.roll_back(5, Terms())
    assert [past.number for past in await it.editor.revisions(3, 10)] == [2, 1]


async def test_what_is_refused_leaves_no_trace(it: Recorded) -> None:
    with pytest.raises(ConflictError):
        await it.editor.change(pool("b"), Terms(etag="of yesterday"))
    with pytest.raises(NotThereError):
        await it.editor.change(Deleted(Kind.POOL, "b"), Terms())
    with pytest.raises(ConfigError):
        await it.editor.change(Put(Kind.POOL, {"id": "b", "members": []}), Terms())
    with pytest.raises(ProvidersLockedError):
        await it.editor.change(Put(Kind.PROVIDER, {"id": "b"}), Terms())
    assert (await it.editor.change(pool("b"), Terms(validate_only=True))).number == 1
    assert it.record.read() == FIRST
    assert [past.number for past in it.revisions.before(0, 10)] == [1]


async def test_what_somebody_else_has_put_there_is_not_lost(it: Recorded) -> None:
    etag, text = it.editor.current.digest, FIRST + b"# by somebody else\n"
    it.changed_elsewhere(text)
    with pytest.raises(ConflictError):
        await it.editor.change(pool("b"), Terms(etag=etag))
    assert it.record.read() == text == it.editor.current.text
    made = await it.editor.change(pool("b"), Terms())
    assert (made.number, b"# by somebody else" in made.text) == (3, True)
    assert it.revisions.text(2) == text
