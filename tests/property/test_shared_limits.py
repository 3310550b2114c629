"""What the server makes of limits is what the rules make of them, whatever is asked and told, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_service.adapters.stores_redis.limits import LimitsMirror, admission, asked
from resolver_service.adapters.stores_redis.link import Script
from resolver_service.app.limits import ClientLimitError, ClientLimits, use_of
from resolver_service.app.ports import Admission, Use
from resolver_service.domain.abilities import Needs
from resolver_service.domain.clients import Client, Limits
from resolver_service.domain.limits import GRAIN_MS, WINDOW_MS, Kind
from resolver_service.domain.policy import Disposition
from tests.support.valkey import Store

BEGAN_MS = 1_764_000_000_000
FOR_S = 1_000_000.0
CLOCK = b"local time = redis.call('TIME')\n  return time[1] * 1000 + math.floor(time[2] / 1000)"
STEPS_MS = st.one_of(st.integers(0, 3 * GRAIN_MS), st.sampled_from([GRAIN_MS, 20_000, WINDOW_MS - 1, WINDOW_MS]))
AGES_MS = st.one_of(st.integers(0, 3 * GRAIN_MS), st.integers(0, 70_000))
LIMITS = st.builds(Limits, *(st.none() | st.integers(1, most) for most in (6, 300, 3)))
NUMBERS = itertools.count()


class Shared:
    """The server with a clock that stands still until it is moved, and what a resolver says to it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.now_ms = BEGAN_MS
        self.mirror = LimitsMirror(lambda: (self.now_ms + 0.5) / 1000, lambda: None)
        text = Script("limits", "take").text
        assert text.count(CLOCK) == 1
        self._digest = self._server.script_load(text.replace(CLOCK, b"return tonumber(redis.call('GET', 'now'))"))

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.mirror.renew()

    def ask(self, decision_id: str, use: Use) -> Admission:
        self.tell(1)
        (_, _, _, said), *_ = msgspec.msgpack.decode(self._run([], decision_id, *asked(use), 0, "", "0")[0])
        its = admission(use, said)
        if its.refusal is None:
            self.mirror.let_in(decision_id, use)
        return its

    def tell(self, times: int) -> None:
        while events := self.mirror.taken():
            for _ in range(times):
                self._run(events)

    def _run(self, events: Sequence[Any], *wanted: Any) -> Any:
        self._server.set("now", self.now_ms)
        keys = ("t", "p:", "b:", "l:")
        said = self.mirror.said(events)
        packed = msgspec.msgpack.encode([1000, len(events), *said, *wanted])
        return self._server.evalsha(self._digest, 4, *keys, packed)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    store = Store(tmp_path_factory.mktemp("valkey"))
    with store.client as client:
        yield client
    store.stop()


@dataclass
class Both:
    """A client, as its resolver counts it and as the server does."""

    server: Shared
    alone: ClientLimits = field(default_factory=ClientLimits)
    client_id: str = field(default_factory=lambda: f"client {next(NUMBERS)}")
    decisions: list[str] = field(default_factory=list)

    @property
    def now(self) -> float:
        return (self.server.now_ms + 0.5) / 1000

    def ask(self, limits: Limits, needs: Needs, *, reports: bool) -> None:
        decision_id = f"{self.client_id}/{len(self.decisions)}"
        for_s = FOR_S if reports else None
        there = self.server.ask(decision_id, use_of(self.client_id, limits, needs, for_s))
        client = Client(self.client_id, limits=limits)
        if there.refusal is not None:
            with pytest.raises(ClientLimitError) as caught:
                self.alone.check(client, self.now)
            error = caught.value
            assert there == Admission(error.allowances, (error.kind, round(error.retry_after_s * 1000)))
        else:
            self.alone.check(client, self.now)
            until_at = None if for_s is None else self.now + for_s
            here = self.alone.decided(client, decision_id, needs, self.now, until_at)
            assert there == Admission(here)  # type: ignore[arg-type]
            self.decisions.append(decision_id)

    def report(self, kind: str, decision_id: str, tokens: int, times: int) -> None:
        match kind:
            case "ended":
                self.alone.ended(decision_id, tokens, self.now)
                self.server.mirror.ended(decision_id, tokens)
            case "left":
                self.alone.failed(decision_id, Disposition.CANCELLED)
                self.server.mirror.left(decision_id)
            case "closed":
                self.alone.closed(decision_id, self.now)
                self.server.mirror.closed(decision_id)
        self.server.tell(times)


@settings(max_examples=150)
@given(data=st.data(), limits=LIMITS, steps=st.integers(0, 40))
def test_the_server_s_rule_is_the_rule(server: Any, data: st.DataObject, limits: Limits, steps: int) -> None:
    it = Both(Shared(server))
    for _ in range(steps):
        match data.draw(st.sampled_from(["ask", "ask", "report", "time", "reload"])):
            case "ask":
                needs = Needs(input_tokens=data.draw(st.integers(0, 50)), output_tokens=data.draw(st.integers(0, 50)))
                it.ask(limits, needs, reports=data.draw(st.booleans()))
            case "report" if it.decisions:
                kind = data.draw(st.sampled_from(["ended", "left", "closed"]))
                decision_id, tokens = data.draw(st.sampled_from(it.decisions)), data.draw(st.integers(0, 200))
                it.report(kind, decision_id, tokens, data.draw(st.integers(1, 2)))
            case "time":
                it.server.wait(data.draw(STEPS_MS))
            case "reload":
                limits = data.draw(LIMITS)


@settings(max_examples=200)
@given(
    limits=st.builds(Limits, st.integers(1, 10), st.integers(1, 60)),
    steps=st.lists(
        st.tuples(STEPS_MS, st.sampled_from(["ask", "no plan", "alone", "open", "answered", "doubt"]), AGES_MS),
        max_size=40,
    ),
)
def test_what_is_told_late_and_twice_counts_once_and_for_as_long_as_it_should(
    server: Any, limits: Limits, steps: list[tuple[int, str, int]]
) -> None:
    """No window has more than it should but by what resolvers let in alone, and nobody is refused for nothing."""
    it, client_id = Shared(server), f"client {next(NUMBERS)}"
    use, held = use_of(client_id, limits, Needs(input_tokens=5), FOR_S), 0

    def fits(slack_ms: int) -> bool:
        assert limits.requests is not None
        assert limits.tokens is not None
        requests = sum(at > it.now_ms - WINDOW_MS - slack_ms for at, _ in used)
        tokens = sum(spent for at, spent in used if at > it.now_ms - WINDOW_MS - slack_ms)
        return requests < limits.requests and tokens + held < limits.tokens

    used: list[tuple[int, int]] = []
    """Requests, and what each has spent."""
    for number, (step_ms, what, age_ms) in enumerate(steps):
        it.wait(step_ms)
        decision_id = f"{client_id}/{number}"
        if what in ("ask", "no plan", "doubt"):
            refusal = it.ask(decision_id, use).refusal
            if refusal is not None:
                assert not fits(GRAIN_MS)
                assert 0 < refusal[1] <= WINDOW_MS + GRAIN_MS
                continue
            assert fits(0)
            age_ms = 0
        it.now_ms -= age_ms
        if what != "ask":
            it.mirror.withdrawn(decision_id)
        if what in ("alone", "open", "answered", "doubt"):
            it.mirror.used(decision_id, use)
        if what == "open":
            used.append((it.now_ms, 0))
            held += 5
        elif what != "no plan":
            it.mirror.ended(decision_id, 7)
            if what != "answered":
                it.mirror.closed(decision_id)
            used.append((it.now_ms, 7))
        it.now_ms += age_ms
        it.tell(2)


def test_what_is_told_late_does_not_let_go_of_what_it_falls_among(server: Any) -> None:
    it, client_id = Shared(server), f"client {next(NUMBERS)}"
    use = use_of(client_id, Limits(requests=3), Needs(), None)
    assert it.ask("first", use).refusal is None
    it.now_ms += 50
    assert it.ask("second", use).refusal is None
    it.now_ms -= 40
    it.mirror.used("late", use)
    it.now_ms += 40
    assert it.ask("third", use).refusal == (Kind.REQUESTS, WINDOW_MS)
    it.now_ms += WINDOW_MS - 1
    assert it.ask("third", use).refusal == (Kind.REQUESTS, 1)
    it.now_ms += 1
    assert it.ask("third", use).refusal is None
