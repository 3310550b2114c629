"""Editors at several resolvers that share a store, in any order and at the same time, while resolvers come and go and
the store forgets everything. What is of record is what one of them wrote, whoever was answered finds it in effect
everywhere, and nobody loses work without being told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resolver_service.adapters.stores_redis import replicas
from resolver_service.app.edit import Terms
from resolver_service.app.ports import ConflictError, Revision
from resolver_service.domain.config_changes import Deleted, Kind, NotThereError, Put
from tests.support.sharing import FIRST, Sharer, start
from tests.support.valkey import Store

Result = TypeVar("Result")

NAMES = st.sampled_from(["a", "b", "c"])
MODELS = st.integers(0, 3).map("m{}".format)
EDITORS = st.integers(0, 2)


class SharedEditors(RuleBasedStateMachine):
    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.store.ask("FLUSHALL")
        self.loop = asyncio.new_event_loop()
        self.started = 0
        self.resolvers: list[Sharer] = []
        for _ in range(3):
            self.resolvers.append(self.run(self.another()))
        self.etags = ["", "", ""]
        self.texts = 0
        self.written: set[bytes] = {FIRST}
        """By anybody, with success."""
        self.latest = 1

    def teardown(self) -> None:
        for resolver in self.resolvers:
            self.run(resolver.stop())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(asyncio.wait_for(doing, 60))

    async def another(self) -> Sharer:
        self.started += 1
        return await start(self.store, f"r{self.started}")

    async def change(self, editor: int, change: Put | Deleted | bytes, *, with_etag: bool) -> Revision | None:
        """One of the two things: his change is in effect everywhere, or he is told why not."""
        its = self.resolvers[editor % len(self.resolvers)]
        terms = Terms(self.etags[editor] if with_etag else "", author=f"editor {editor}")
        try:
            if isinstance(change, bytes):
                made = await its.editor.apply(change, terms)
            else:
                made = await its.editor.change(change, terms)
        except (ConflictError, NotThereError):
            self.etags[editor] = its.configuration.current.digest
            return None
        self.written.add(made.text)
        self.etags[editor] = made.digest
        for each in self.resolvers:
            assert each.configuration.current.number >= made.number, "it is in effect everywhere, or a later one is"
        assert its.record.text(made.number) == made.text
        return made

    @rule(editor=EDITORS, name=NAMES, model=MODELS, with_etag=st.booleans())
    def puts(self, editor: int, name: str, model: str, with_etag: bool) -> None:
        pool = {"id": name, "members": [{"provider": "one", "model": model}]}
        made = self.run(self.change(editor, Put(Kind.POOL, pool), with_etag=with_etag))
        assert made or with_etag, "nobody else was there"

    @rule(editor=EDITORS, name=NAMES, with_etag=st.booleans())
    def deletes(self, editor: int, name: str, with_etag: bool) -> None:
        self.run(self.change(editor, Deleted(Kind.POOL, name), with_etag=with_etag))

    @rule(editor=EDITORS)
    def applies_a_file(self, editor: int) -> None:
        self.texts += 1
        assert self.run(self.change(editor, FIRST + b"    # file %d\n" % self.texts, with_etag=False))

    @rule(names=st.tuples(NAMES, NAMES, NAMES), models=st.tuples(MODELS, MODELS, MODELS), with_etag=st.booleans())
    def all_put_at_once(self, names: tuple[str, ...], models: tuple[str, ...], with_etag: bool) -> None:
        async def all_() -> list[Revision | None]:
            pools = [
                {"id": n, "members": [{"provider": "one", "model": m}]} for n, m in zip(names, models, strict=True)
            ]
            puts = [self.change(e, Put(Kind.POOL, p), with_etag=with_etag) for e, p in enumerate(pools)]
            return await asyncio.gather(*puts)

        assert any(self.run(all_())) or with_etag, "one of them was the first"

    @precondition(lambda self: len(self.resolvers) > 1)
    @rule(editor=EDITORS)
    def one_goes(self, editor: int) -> None:
        gone = self.resolvers.pop(editor % len(self.resolvers))
        self.run(gone.stop())

    @precondition(lambda self: len(self.resolvers) < 3)
    @rule()
    def one_comes(self) -> None:
        self.resolvers.append(self.run(self.another()))

    @rule()
    def the_store_forgets(self) -> None:
        latest = max(resolver.configuration.current.number for resolver in self.resolvers)
        self.store.ask("FLUSHALL")
        self.run(self.is_told(latest))

    async def is_told(self, latest: int) -> None:
        while self.store.ask("HGET", "forebay:numbers", "revision") != b"%d" % latest:
            await asyncio.sleep(0.01)

    @invariant()
    def what_is_of_record_is_somebody_s_and_in_effect(self) -> None:
        kept = self.resolvers[0].record.latest()
        assert kept is not None
        assert kept.text in self.written
        assert kept.revision.number >= self.latest, "numbers never go back"
        self.latest = kept.revision.number
        place = kept.revision.number, kept.revision.digest
        assert {resolver.configuration.place for resolver in self.resolvers} == {place}


@pytest.fixture(scope="module", autouse=True)
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    store = SharedEditors.store = Store(tmp_path_factory.mktemp("valkey"))
    with mock.patch.object(replicas, "BEAT_S", 0.1), mock.patch.object(replicas, "GATHER_S", 0.5):
        yield
    store.stop()


TestSharedEditors = SharedEditors.TestCase
TestSharedEditors.settings = settings(max_examples=15, stateful_step_count=12)
