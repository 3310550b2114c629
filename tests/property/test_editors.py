"""Two editors of the management API and somebody with a text editor, in any order and at the same time. What stands
in the file is what one of them wrote, nobody loses work without being told, and what is in effect is in the file."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.adapters.record_file import FileRecord
from resolver_service.app import edit
from resolver_service.app.configure import Configuration
from resolver_service.app.edit import Editor, Terms
from resolver_service.app.ports import ConflictError, Revision
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import Deleted, Kind, NotThereError, Put

FIRST = b"""\
providers: [{id: one, dialect: openai, base-url: "https://one.example/v1"}]
model-pools:
  pools:
    # The first one.
    - {id: a, members: [{provider: one, model: m}]}
"""
NAMES = st.sampled_from(["a", "b", "c"])
MODELS = st.integers(0, 3).map("m{}".format)
MOMENTS = st.sampled_from(["", "", "", "while it is written", "in the last instant"])


class Editors(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.file = self.directory / "forebay.yaml"
        self.file.write_bytes(FIRST)
        self.loop = asyncio.new_event_loop()
        self.history = MemoryHistory()
        self.record = FileRecord(self.file)
        self.configuration = Configuration(config_yaml.parsed, lambda: 0, FIRST, self.history)
        self.editor = Editor(self.configuration, self.record, self.history, amend, provider_edits=False)
        self.etags = ["", ""]
        self.by_hand = 0
        self.latest_by_hand = FIRST
        self.written: set[bytes] = {FIRST}
        """By anybody, with success."""
        self.settled = mock.patch.object(edit, "SETTLED_S", 0)
        self.settled.start()

    def teardown(self) -> None:
        self.settled.stop()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    def edit_by_hand(self, *, valid: bool) -> None:
        self.by_hand += 1
        text = FIRST + b"    # by hand, %d\n" % self.by_hand + (b"" if valid else b"nonsense: true\n")
        self.written.add(text)
        self.latest_by_hand = text
        self.file.write_bytes(text)

    def kept(self) -> set[bytes | None]:
        return {self.history.text(past.number) for past in self.history.before(0, 1000)}

    def interrupted(self, moment: str) -> Any:
        """Somebody writes the file, once, while a change is carried out."""
        left = [moment] if moment else []
        fsync, replace = os.fsync, os.replace

        def now(which: str, do: Callable[..., None], *arguments: Any) -> None:
            if which in left:
                left.remove(which)
                self.edit_by_hand(valid=True)
            do(*arguments)

        return (
            mock.patch.object(os, "fsync", lambda d: now("while it is written", fsync, d)),
            mock.patch.object(os, "replace", lambda a, b: now("in the last instant", replace, a, b)),
        )

    async def change(self, editor: int, change: Put | Deleted, *, with_etag: bool) -> None:
        """One of the two things: his change stands there, or he is told why not."""
        before = self.configuration.current
        terms = Terms(self.etags[editor] if with_etag else "", author=f"editor {editor}")
        try:
            made: Revision = await self.editor.change(change, terms)
        except (ConflictError, NotThereError):
            self.etags[editor] = self.configuration.current.digest
            return
        if made.number != before.number:
            self.written.add(made.text)
            assert made.text in self.kept()
        self.etags[editor] = made.digest

    @rule(editor=st.integers(0, 1), name=NAMES, model=MODELS, with_etag=st.booleans(), moment=MOMENTS)
    def puts(self, editor: int, name: str, model: str, with_etag: bool, moment: str) -> None:
        pool = {"id": name, "members": [{"provider": "one", "model": model}]}
        file_before = self.file.read_bytes()
        fsync, replace = self.interrupted(moment)
        with fsync, replace:
            self.loop.run_until_complete(self.change(editor, Put(Kind.POOL, pool), with_etag=with_etag))
        if self.file.read_bytes() != file_before:
            assert file_before in self.kept(), "what was written over is there to go back to"

    @rule(editor=st.integers(0, 1), name=NAMES, with_etag=st.booleans())
    def deletes(self, editor: int, name: str, with_etag: bool) -> None:
        self.loop.run_until_complete(self.change(editor, Deleted(Kind.POOL, name), with_etag=with_etag))

    @rule(names=st.tuples(NAMES, NAMES), models=st.tuples(MODELS, MODELS), with_etag=st.booleans())
    def both_put_at_once(self, names: tuple[str, str], models: tuple[str, str], with_etag: bool) -> None:
        async def both() -> None:
            pools = [
                {"id": n, "members": [{"provider": "one", "model": m}]} for n, m in zip(names, models, strict=True)
            ]
            puts = [self.change(e, Put(Kind.POOL, p), with_etag=with_etag) for e, p in enumerate(pools)]
            await asyncio.gather(*puts)

        self.loop.run_until_complete(both())

    @rule(valid=st.booleans())
    def edits_by_hand(self, valid: bool) -> None:
        self.edit_by_hand(valid=valid)

    @rule()
    def looks_at_the_file(self) -> None:
        """As the watch does."""

        async def offer() -> None:
            text = self.file.read_bytes()
            try:
                await self.configuration.offer(text, lambda: self.file.read_bytes() == text)
            except ConfigError:
                return

        self.loop.run_until_complete(offer())

    @invariant()
    def the_file_is_somebody_s(self) -> None:
        assert self.file.read_bytes() in self.written
        assert [path.name for path in self.directory.iterdir()] == [self.file.name]

    @invariant()
    def what_was_written_by_hand_is_there_or_was_taken_in(self) -> None:
        """Even in the instant in which a change was written. What was written by hand before that, the same hand has
        written over."""
        assert self.latest_by_hand in (self.file.read_bytes(), *self.kept())

    @invariant()
    def what_is_in_effect_is_kept(self) -> None:
        assert self.configuration.current.text in self.kept()
        latest = self.history.latest()
        assert latest is not None
        assert latest.digest == self.configuration.current.digest


TestEditors = Editors.TestCase
TestEditors.settings = settings(max_examples=60, stateful_step_count=15)
