from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from resolver_service.app import leases, limits
from resolver_service.app.decisions import Decision, Query
from resolver_service.app.leases import GRACE_S
from resolver_service.app.limits import COUNTED, ClientLimitError, ClientLimits
from resolver_service.app.ports import SharedLimits, Use
from resolver_service.app.refusals import NoTargetError, UnknownModelError
from resolver_service.app.report import Closed, Ended, Failed
from resolver_service.domain.abilities import NO_NEEDS, Needs
from resolver_service.domain.clients import Client, Limits
from resolver_service.domain.limits import Allowance
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

KEYS = {name: hashlib.sha256(name.encode()).digest() for name in ("me", "also-me", "other")}
PROVIDERS = """
providers:
  - {id: one, dialect: openai, base-url: "https://1.test", models: [m]}
policy: {timeouts: {total: 100s, stream: 200s}}
"""


def text(mine: str) -> str:
    mine_keys = f"{KEYS['me'].hex()}, {KEYS['also-me'].hex()}"
    return f"""{PROVIDERS}
clients:
  - {{id: me, key-sha256: [{mine_keys}], limits: {{{mine}}}}}
  - {{id: other, key-sha256: {KEYS["other"].hex()}, limits: {{rpm: 1}}}}
"""


class Limited:
    def __init__(self, mine: str) -> None:
        self.it = Resolving(text(mine))

    def ask(
        self,
        key: str = "me",
        *,
        needs: Needs = NO_NEEDS,
        will_report: bool = True,
        counting: bool = False,
        model: str = "m",
        caller: object = None,
        stream: bool = False,
    ) -> Decision:
        query = Query(model, counting, will_report and not counting, needs=needs, client_key=KEYS[key], stream=stream)
        return self.it.resolver.resolve(query, caller)

    def refused(self, key: str = "me") -> tuple[str, float]:
        with pytest.raises(ClientLimitError) as caught:
            self.ask(key)
        return caught.value.code, caught.value.retry_after_s

    def ended(self, decision: Decision, tokens: int) -> None:
        self.it.reports.apply(decision.id, Ended("one/m#0", 0, tokens))

    def close(self, decision: Decision) -> None:
        self.it.reports.apply(decision.id, Closed())


def test_the_next_request_passes_exactly_when_it_is_told() -> None:
    it = Limited("rpm: 2")
    it.ask()
    it.it.clock.advance(1.25)
    assert it.ask("also-me").limits is not None
    code, retry_after_s = it.refused()
    assert (code, retry_after_s) == ("client_requests", 58.75)
    it.it.clock.advance(retry_after_s - 0.001)
    assert it.refused("also-me") == ("client_requests", 0.001)
    it.it.clock.advance(0.001)
    it.ask()
    assert it.refused() == ("client_requests", 1.25)


def test_clients_do_not_use_one_another_s_limits() -> None:
    it = Limited("rpm: 1")
    it.ask()
    it.ask("other")
    assert it.refused("other")[0] == it.refused()[0] == "client_requests"


def test_a_plan_says_what_is_left() -> None:
    it = Limited("rpm: 2, tpm: 1000")
    found = it.ask(needs=Needs(input_tokens=100, output_tokens=50)).limits
    assert found is not None
    assert (found.requests, found.tokens) == (Allowance(2, 1, 60_000), Allowance(1000, 850, 60_000))
    it.ask()
    with pytest.raises(ClientLimitError) as caught:
        it.ask()
    assert caught.value.allowances.requests == Allowance(2, 0, 60_000)


def test_a_client_without_limits_is_not_counted() -> None:
    it = Resolving(f"{PROVIDERS}\nclients: [{{id: me, key-sha256: {KEYS['me'].hex()}}}]")
    assert it.resolver.resolve(Query("m", client_key=KEYS["me"], will_report=True)).limits is None
    assert len(it.limits) == 0


def test_tokens_are_held_until_it_is_known_how_many_it_took() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=600, output_tokens=400))
    assert it.refused() == ("client_tokens", 1.0)
    it.ended(decision, 700)
    it.close(decision)
    second = it.ask(needs=Needs(input_tokens=299))
    it.it.clock.advance(10)
    it.ended(second, 300)
    assert it.refused() == ("client_tokens", 50.0), "when the first 700 are over"
    it.it.clock.advance(50)
    it.ask()


def test_what_was_not_used_is_not_held_any_longer() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=1000))
    it.it.reports.apply(decision.id, Failed("one/m#0", 0, Disposition.SERVER_ERROR, None))
    assert it.refused()[0] == "client_tokens"
    it.close(decision)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 1000, 0)


def test_an_answer_that_does_not_tell_is_taken_to_have_taken_what_was_sent() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=300, output_tokens=500))
    it.ended(decision, 0)
    it.close(decision)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 700, 60_000)


def test_hanging_up_before_the_end_is_not_free() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=300, output_tokens=500))
    it.it.reports.apply(decision.id, Failed("one/m#0", 0, Disposition.CANCELLED, None))
    it.close(decision)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 700, 60_000)


def test_what_a_client_had_before_it_hung_up_is_used() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=300, output_tokens=500))
    it.it.reports.apply(decision.id, Failed("one/m#0", 0, Disposition.CANCELLED, None, 250, 400))
    it.close(decision)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 350, 60_000)


def test_a_target_that_was_passed_over_does_not_settle_what_another_served() -> None:
    it = Limited("tpm: 1000")
    decision = it.ask(needs=Needs(input_tokens=300))
    it.it.reports.apply(decision.id, Failed("one/m#0", 0, Disposition.CANCELLED, None))
    it.ended(decision, 900)
    it.close(decision)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 100, 60_000)


def test_what_is_reported_twice_counts_once() -> None:
    it = Limited("tpm: 1000, concurrent: 2")
    first, _ = it.ask(), it.ask()
    for _ in range(3):
        it.ended(first, 100)
        it.close(first)
    limits = it.ask().limits
    assert limits is not None
    assert limits.tokens == Allowance(1000, 900, 60_000)
    assert it.refused() == ("client_concurrent", 1.0)


def test_of_those_who_do_not_report_the_estimate_counts_at_once() -> None:
    it = Limited("tpm: 1000, concurrent: 1")
    for _ in range(2):
        it.ask(will_report=False, needs=Needs(input_tokens=400, output_tokens=100))
    assert it.refused() == ("client_tokens", 60.0)


def test_counting_is_a_request_and_takes_no_tokens_and_no_place() -> None:
    it = Limited("rpm: 2, tpm: 1, concurrent: 1")
    for _ in range(2):
        it.ask(counting=True)
    assert it.refused()[0] == "client_requests"


def test_what_gets_no_plan_counts_for_nothing() -> None:
    it = Limited("rpm: 1, tpm: 1, concurrent: 1")
    with pytest.raises(UnknownModelError):
        it.ask(model="nothing")
    it.it.drains.put("one/m#0", drained=True)
    with pytest.raises(NoTargetError):
        it.ask(needs=Needs(input_tokens=5))
    it.it.drains.put("one/m#0", drained=False)
    it.ask()


def test_a_refusal_takes_no_turn_and_counts_for_nothing() -> None:
    it = Limited("rpm: 1, concurrent: 5")
    it.ask()
    for _ in range(5):
        it.refused()
    it.it.clock.advance(60)
    it.ask()
    assert len(it.it.limits) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_place_that_nobody_gives_back_is_free_when_the_plan_must_be_over(stream: bool) -> None:
    it = Limited("concurrent: 1")
    it.ask(stream=stream)
    it.it.clock.advance((300 if stream else 100) + GRACE_S - 1)
    assert it.refused()[0] == "client_concurrent"
    it.it.clock.advance(6)
    it.ask()


def test_an_edge_that_is_gone_holds_nothing_for_long() -> None:
    it = Limited("concurrent: 1, tpm: 100")
    it.ask(caller="edge", stream=True, needs=Needs(input_tokens=100))
    it.it.resolver.caller_left("edge")
    assert it.refused()[0] in ("client_concurrent", "client_tokens")
    it.it.clock.advance(GRACE_S + 5)
    it.ask()


async def test_usage_outlives_a_reload_and_a_lowered_limit_holds_at_once() -> None:
    it = Limited("rpm: 3, concurrent: 3")
    for _ in range(2):
        it.ask()
    await it.it.configuration.offer(text("rpm: 2, concurrent: 3").encode())
    assert it.refused() == ("client_requests", 60.0)
    await it.it.configuration.offer(text("rpm: 9, concurrent: 2").encode())
    assert it.refused() == ("client_concurrent", 1.0)
    await it.it.configuration.offer(text("rpm: 3").encode())
    it.ask()
    assert it.refused()[0] == "client_requests"


class Told:
    """A store that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *what: self.told.append((name, *(list(w) if isinstance(w, Iterator) else w for w in what)))


def all_that_may_happen(counts: ClientLimits, decision_id: str) -> None:
    counts.decided(Client("me", limits=Limits(requests=9)), decision_id, NEEDS, 7.0, until_at=17.0, caller="edge")
    counts.failed(decision_id, Disposition.CANCELLED)
    counts.ended(decision_id, 4, 8.0)
    counts.caller_left("edge", 8.0)
    counts.closed(decision_id, 9.0)
    counts.withdrawn(decision_id)


NEEDS = Needs(input_tokens=3, output_tokens=5)
COUNTED_TOGETHER = f"d{COUNTED}"


def test_a_store_is_told_of_all_that_resolvers_count_together_and_of_nothing_else() -> None:
    told = Told()
    counts = ClientLimits(cast("SharedLimits", told))
    all_that_may_happen(counts, COUNTED_TOGETHER)
    assert told.told == [
        ("used", COUNTED_TOGETHER, Use("me", Limits(requests=9), 8, 3, 10.0 + GRACE_S)),
        ("left", COUNTED_TOGETHER),
        ("ended", COUNTED_TOGETHER, 4),
        ("orphaned", [COUNTED_TOGETHER]),
        ("closed", COUNTED_TOGETHER),
        ("withdrawn", COUNTED_TOGETHER),
    ]
    told.told.clear()
    all_that_may_happen(counts, "d")
    assert told.told == [("orphaned", [])]


def test_without_a_store_what_others_counted_together_is_counted_here() -> None:
    counts = ClientLimits()
    all_that_may_happen(counts, COUNTED_TOGETHER)
    assert len(counts) == 0


@pytest.mark.parametrize(
    ("query", "for_s"),
    [
        (Query("m", will_report=True), 100 + GRACE_S),
        (Query("m", will_report=True, stream=True), 100 + 200 + GRACE_S),
        (Query("m", stream=True), None),
        (Query("m", counting=True, will_report=True), None),
        (Query("m", will_report=True, affinity_key=b"k"), 100 + GRACE_S),
    ],
)
def test_a_store_is_asked_for_what_a_request_may_take_of_its_client_s_limits(query: Query, for_s: float | None) -> None:
    it = Limited("tpm: 9")
    wanted = it.it.resolver.wanted(query._replace(client_key=KEYS["me"], needs=NEEDS))
    assert wanted is not None
    assert wanted.holder.endswith(COUNTED)
    assert wanted.use == Use("me", Limits(tokens=9), 8, 3, for_s)
    assert len(it.it.limits) == 0


def test_a_store_is_not_asked_for_what_is_not_limited() -> None:
    it = Resolving(f"{PROVIDERS}\nclients: [{{id: me, key-sha256: {KEYS['me'].hex()}}}]")
    query = Query("m", will_report=True, client_key=KEYS["me"])
    assert it.resolver.wanted(query) is None
    wanted = it.resolver.wanted(query._replace(affinity_key=b"k"))
    assert wanted is not None
    assert (wanted.use, wanted.holder.endswith(COUNTED)) == (None, False)
    retrieving = Query("m", client_key=KEYS["me"], retrieving=True)
    assert Limited("rpm: 1").it.resolver.wanted(retrieving) is None, "nor for what costs nothing"


def test_clients_that_have_not_asked_for_long_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEWEST_SWEPT", 3)
    counts = ClientLimits()
    busy = Client("busy", limits=Limits(concurrent=1))
    counts.decided(busy, "d", NO_NEEDS, 0.0, until_at=1000.0)
    for number in range(20):
        counts.decided(Client(f"c{number}", limits=Limits(requests=1)), "", NO_NEEDS, 100.0 * number, until_at=None)
        assert counts.clients <= 6
    with pytest.raises(ClientLimitError):
        counts.check(busy, 900.0)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MOST_COUNTED", 2)
    it = Limited("tpm: 1000, concurrent: 10")
    for _ in range(3):
        it.ask(needs=Needs(input_tokens=100))
    assert len(it.it.limits) == 2
    found = it.ask().limits
    assert found is not None
    assert found.tokens is not None
    assert found.tokens.remaining == 700, "what is not held counts as used"
