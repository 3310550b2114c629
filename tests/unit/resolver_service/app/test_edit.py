"""What callers are answered is in tests/contract/test_management.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.app import edit
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor, Terms, UnknownRevisionError
from resolver_service.app.ports import ConflictError, HistoryError, PastRevision, ReadOnlyError
from resolver_service.domain.config_changes import Kind, Put
from tests.support.resolving import Clock

TEXT = b'providers: [{id: one, dialect: openai, base-url: "https://one.example/v1"}]\n'
CHANGE = Put(Kind.POOL, {"id": "new", "members": [{"provider": "one", "model": "m"}]})


class Record:
    def __init__(self) -> None:
        self.text = TEXT
        self.first: Callable[[], None] = lambda: None
        self.looks: list[bytes] = []
        """What is found there one after another, if it changes."""

    def read(self) -> bytes:
        self.text = self.looks.pop(0) if self.looks else self.text
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


async def test_a_revision_that_is_kept_and_not_yet_in_effect_is_not_told_of_nor_gone_back_to() -> None:
    it = Managed()
    await it.editor.change(CHANGE, Terms())
    it.history.keep(PastRevision(3, 0, "", "", "", ""), TEXT)
    for before in (0, 3, 4, 9):
        assert [told.number for told in await it.editor.revisions(before, 10)] == [2, 1]
    assert [told.number for told in await it.editor.revisions(2, 10)] == [1]
    with pytest.raises(UnknownRevisionError):
        await it.editor.roll_back(3, Terms())
    assert it.configuration.current.number == 2


async def test_for_what_was_before_the_first_revision_nobody_is_asked() -> None:
    class Away(MemoryHistory):
        def before(self, number: int, most: int) -> list[PastRevision]:
            raise AssertionError("it was asked")

    assert await Managed(Away()).editor.revisions(1, 10) == []


async def test_a_file_that_is_being_written_is_taken_in_when_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "SETTLED_S", 0.001)
    it = Managed()
    it.record.looks = [TEXT + words for words in (b"# h", b"# half", b"# half a line\n")]
    with pytest.raises(ConflictError, match="that has been taken in"):
        await it.editor.change(CHANGE, Terms())
    assert it.configuration.current.text == it.record.text == TEXT + b"# half a line\n"


async def test_an_author_s_name_is_one_line_of_a_hundred_characters() -> None:
    it = Managed()
    await it.editor.change(CHANGE, Terms(author=" a\n\tb " + "x" * 200))
    assert (await it.editor.revisions(0, 1))[0].author == "ab " + "x" * 96


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
