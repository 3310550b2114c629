"""Whatever is made, forgotten, reconfigured and restarted in between: who is led back is led to the maker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.app.decisions import Query
from resolver_service.app.ports import Stores
from resolver_service.app.refusals import BoundElsewhereError, NoTargetError, UnboundError
from resolver_service.domain.bindings import KEPT_S
from tests.support.resolving import Resolving

MOST = 3
PROVIDERS = ("one", "two")
MODELS = ("m", "n")
NAMES = ("m", "n", "all", "ones")
TARGETS = [f"{provider}/{model}#{index}" for provider in PROVIDERS for model in MODELS for index in (0, 1)]
keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])


def config(models: frozenset[str]) -> bytes:
    """Provider `one` serves these models, `two` all of them."""
    providers: list[dict[str, Any]] = [
        {
            "id": provider,
            "dialect": "openai",
            "base-url": f"https://{provider}.example",
            "credentials": ["env:A", "env:B"],
            "models": sorted(models) if provider == "one" else MODELS,
            "responses": True,
        }
        for provider in PROVIDERS
    ]
    pools = [
        {"id": "all", "members": [{"model": model} for model in MODELS]},
        {"id": "ones", "members": [{"provider": "one", "model": model} for model in sorted(models)]},
    ]
    return json.dumps({"providers": providers, "model-pools": {"pools": pools}}).encode()


def credential_of(target: str) -> tuple[str, str]:
    return target.partition("/")[0], target.rpartition("#")[2]


class Bindings(RuleBasedStateMachine):
    """Beside the resolver a dict that knows who made what, under which name and when."""

    def __init__(self) -> None:
        super().__init__()
        self.models = frozenset(MODELS)
        self.stores = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings(MOST))
        self.it = Resolving(config(self.models).decode(), stores=self.stores)
        self.lives = 1
        self.made: dict[bytes, tuple[str, str, float]] = {}
        """The last asked for at the end."""

    def known(self, key: bytes) -> tuple[str, str, float] | None:
        found = self.made.pop(key, None)
        if found is None or self.it.wall_clock.now - found[2] > KEPT_S:
            return None
        self.made[key] = found
        return found

    def behind(self, name: str) -> list[str]:
        """The targets that the name leads to."""
        models = MODELS if name in ("all", "ones") else (name,)
        providers = PROVIDERS if name != "ones" else ("one",)
        serves = {"one": self.models, "two": MODELS}
        return [t for t in TARGETS for p in providers for m in models if m in serves[p] and t.startswith(f"{p}/{m}#")]

    @rule(name=st.sampled_from(NAMES), key=keys, data=st.data())
    def is_made(self, name: str, key: bytes, data: st.DataObject) -> None:
        try:
            decision = self.it.decide(name)
        except NoTargetError:
            return
        target = data.draw(st.sampled_from([attempt.target.id for attempt in decision.attempts]))
        known = self.known(key)
        effect = self.it.bind(decision, key, target)
        self.it.close(decision)
        if known is not None and known[:2] == (target, name):
            assert effect == "repeated"
            return
        assert effect == "applied"
        self.made.pop(key, None)
        self.made[key] = (target, name, self.it.wall_clock.now)
        for forgotten in list(self.made)[:-MOST]:
            del self.made[forgotten]

    @rule(name=st.sampled_from(NAMES), key=keys)
    def is_gone_on_from(self, name: str, key: bytes) -> None:
        known, behind = self.known(key), self.behind(name)
        before = dict(self.it.rotation._turns)  # type: ignore[attr-defined]
        query = Query(name, will_report=True, affinity_key=key, affinity_required=True)
        try:
            decision = self.it.resolver.resolve(query)
        except BoundElsewhereError:
            assert known is not None
            assert not [t for t in behind if credential_of(t) == credential_of(known[0])]
            return
        except NoTargetError:
            drained = self.stores.drains.drained()
            assert drained.issuperset(behind) if known is None else drained
            return
        self.it.close(decision)
        plan = [attempt.target.id for attempt in decision.attempts]
        assert len(plan) == 1
        if known is None:
            assert plan[0] in behind
        else:
            assert before == self.it.rotation._turns, "no turn is taken"  # type: ignore[attr-defined]
            assert plan[0] == known[0] if known[0] in behind else credential_of(plan[0]) == credential_of(known[0])

    @rule(key=keys)
    def is_asked_for(self, key: bytes) -> None:
        known = self.known(key)
        try:
            decision = self.it.resolver.resolve(Query("", affinity_key=key, retrieving=True))
        except UnboundError:
            assert known is None or known[0] not in self.behind("all")
        else:
            assert known is not None
            assert [attempt.target.id for attempt in decision.attempts] == [known[0]]
            assert decision.course.name == known[1]

    @rule(models=st.frozensets(st.sampled_from(MODELS), min_size=1))
    def is_reconfigured(self, models: frozenset[str]) -> None:
        self.models = models
        asyncio.run(self.it.configuration.offer(config(models)))

    @rule()
    def is_restarted(self) -> None:
        """Over the same stores."""
        self.lives += 1
        clocks = self.it.clock, self.it.wall_clock
        self.it = Resolving(config(self.models).decode(), stores=self.stores, boot=f"life-{self.lives}")
        self.it.wall_clock.now = clocks[1].now

    @rule(which=st.sampled_from(TARGETS), drained=st.booleans())
    def is_drained(self, which: str, drained: bool) -> None:
        self.stores.drains.put(which, drained=drained)

    @rule(days=st.sampled_from([1, 15, 31]))
    def time_passes(self, days: int) -> None:
        self.it.wall_clock.advance(days * 24 * 3600.0)

    @invariant()
    def no_more_is_remembered_than_may_be(self) -> None:
        assert len(self.stores.bindings._bindings) <= MOST  # type: ignore[attr-defined]
        assert not self.it.bindings._names


TestBindings = Bindings.TestCase
TestBindings.settings = settings(max_examples=50, stateful_step_count=20)
