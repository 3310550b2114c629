"""What callers are answered is in tests/contract/test_management.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor, Terms
from resolver_service.app.ports import HistoryError, PastRevision, ReadOnlyError
from resolver_service.domain.config_changes import Kind, Put
from tests.support.resolving import Clock

TEXT = b'providers: [{id: one, dialect: openai, base-url: "https://one.example/v1"}]\n'
CHANGE = Put(Kind.POOL, {"id": "new", "members": [{"provider": "one", "model": "m"}]})


class Record:
    def __init__(self) -> None:
        self.text = TEXT
        self.first: Callable[[], None] = lambda: None

    def read(self) -> bytes:
        return self.text

    def replace(self, before: bytes, after: bytes, revision: PastRevision) -> PastRevision:
        self.first()
        assert before == self.text
        self.text = after
        return revision


class Managed:
    def __init__(self, history: MemoryHistory | None = None, amending: Callable[..., bytes] = amend) -> None:
        self.record, self.history = Record(), history or MemoryHistory()
        self.configuration = Configuration(config_yaml.parsed, Clock(), TEXT, self.history)
        self.editor = Editor(self.configuration, self.record, self.history, amending, provider_edits=False)

    def is_as_before(self) -> bool:
        latest = self.history.latest()
        return self.record.text == TEXT and self.configuration.current.number == 1 == (latest.number if latest else 1)


async def test_who_leaves_stops_nothing_that_has_begun() -> None:
    it = Managed()
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)

    it.record.first = wait
    changing = asyncio.create_task(it.editor.change(CHANGE, Terms()))
    async with asyncio.timeout(20):
        await begun.wait()
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert it.configuration.current.number == 1
    go_on.set()
    # One after another: this one waits for the other's end.
    assert (await it.editor.change(CHANGE, Terms())).number == 2
    assert it.configuration.current.text == it.record.text


async def test_what_cannot_be_kept_is_not_written() -> None:
    class Full(MemoryHistory):
        def keep(self, revision: PastRevision, text: bytes) -> None:
            if revision.number > 1:
                raise HistoryError("the disk is full")
            super().keep(revision, text)

    it = Managed(Full())
    with pytest.raises(HistoryError):
        await it.editor.change(CHANGE, Terms())
    assert it.is_as_before()
    assert await it.configuration.offer(TEXT + b"# by hand\n"), "what stands in the file takes effect all the same"


async def test_what_cannot_be_written_is_not_kept() -> None:
    it = Managed()

    def refuse() -> None:
        raise ReadOnlyError("it is read-only")

    it.record.first = refuse
    with pytest.raises(ReadOnlyError):
        await it.editor.change(CHANGE, Terms())
    assert it.is_as_before()


async def test_a_text_that_does_not_say_what_was_meant_is_never_written() -> None:
    def wrongly(text: bytes, old: object, new: object) -> bytes:
        return amend(text, old, new).replace(b"model: m", b"model: n")

    it = Managed(amending=wrongly)
    with pytest.raises(ReadOnlyError, match="by hand"):
        await it.editor.change(CHANGE, Terms())
    assert it.is_as_before()
