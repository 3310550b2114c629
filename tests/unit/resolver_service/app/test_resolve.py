from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import pytest

from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.app.decisions import Query
from resolver_service.app.limits import COUNTED
from resolver_service.app.ports import Admission, Granted, SharedState, Stores
from resolver_service.app.probes import ProbeBook
from resolver_service.app.refusals import NoTargetError, UnknownModelError
from resolver_service.domain.health import PROBE_LEASE_S
from resolver_service.domain.limits import Allowances, Kind
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

PROVIDERS = """
providers:
  - {id: one,   dialect: openai, base-url: "https://one.example/v1", models: [m, raw, "odd(name)"]}
  - {id: two,   dialect: openai, base-url: "https://two.example/v1", models: [m, raw], credentials: [env:A, env:B]}
  - {id: three, dialect: openai, base-url: "https://three.example/v1", models: [m]}
"""
POOL = """
model-pools:
  pools:
    - id: Pool
      members:
        - {provider: one, model: m}
        - {provider: two, model: m(low)}
        - {provider: three, model: m}
"""
ONE, TWO, TWO_B, THREE = "one/m#0", "two/m#0", "two/m#1", "three/m#0"
ALL = [ONE, TWO, TWO_B, THREE]


@pytest.fixture
def resolving() -> Resolving:
    return Resolving(PROVIDERS + POOL)


def with_policy(policy: str) -> Resolving:
    return Resolving(f"{PROVIDERS}\npolicy: {policy}\n{POOL}")


# --- Names -----------------------------------------------------------------------------------------------------------


def test_a_name_leads_to_its_targets_in_order(resolving: Resolving) -> None:
    decision = resolving.decide(" pOOL ")
    assert decision.course.name == "Pool"
    assert decision.course.revision == 1
    assert [a.target.id for a in decision.attempts] == ALL
    assert [a.target.path for a in decision.attempts] == ["Pool/one", "Pool/two", "Pool/two", "Pool/three"]
    assert not any(a.probe for a in decision.attempts)


def test_every_decision_has_an_id_of_its_own(resolving: Resolving) -> None:
    assert resolving.decide("pool").id != resolving.decide("pool").id


def test_an_unknown_name_is_told_the_closest(resolving: Resolving) -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolving.plan(" Pol(high) ")
    assert caught.value.closest == ("Pool",)
    assert caught.value.name == "Pol(high)"
    assert str(caught.value) == "the model 'Pol(high)' does not exist; the closest names are: Pool"


def test_a_name_that_is_like_none_gets_no_hint(resolving: Resolving) -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolving.plan("x" * 10_000)
    assert str(caught.value) == f"the model '{'x' * 200}' does not exist"


def test_a_raw_model_is_tried_at_its_providers_in_order_without_rotation(resolving: Resolving) -> None:
    assert [resolving.plan("RAW") for _ in range(3)] == [["one/raw#0", "two/raw#0", "two/raw#1"]] * 3


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("some-vendor/some-model-{}", "some-vendor/some-modle-4711"),
        ("some-vendor/a-long-model-name-of-many-parts-{}-instruct-2025-01-01", "a-long-modle-name-of-many-parts-4711"),
        ("some-vendor/some-model-{}", "0123456789abcdefghijklmnopqrstuvwxyz-" * 5),
    ],
)
def test_an_unknown_name_among_ten_thousand_is_refused_soon(pattern: str, asked: str) -> None:
    models = ", ".join(pattern.format(n) for n in range(10_000))
    resolving = Resolving(
        f'providers: [{{id: one, dialect: openai, base-url: "https://one.example", models: [{models}]}}]'
    )
    times = []
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(UnknownModelError):
            resolving.plan(asked)
        times.append(time.process_time() - began)
    assert min(times) < 0.1  # Without any bound on comparing it is 0.2 and more.


def test_a_resolve_takes_no_longer_behind_ten_thousand_targets() -> None:
    providers = "".join(
        f"  - {{id: p{n}, dialect: openai, base-url: 'https://p.example', models: [m]}}\n" for n in range(100)
    )
    pools = "".join(
        f"    - {{id: pool{n}, members: [{', '.join(f'{{provider: p{m}, model: m{n}}}' for m in range(100))}]}}\n"
        for n in range(100)
    )
    members = ", ".join(f"{{pool: pool{n}, weight: {n + 1}}}" for n in range(100))
    resolving = Resolving(
        f"providers:\n{providers}model-pools:\n  pools:\n{pools}"
        f"  clusters:\n    - {{id: c, strategy: round-robin, members: [{members}]}}\n"
    )
    times = []
    for _ in range(5):
        began = time.process_time()
        assert len(resolving.plan("c")) == 10
        times.append(time.process_time() - began)
    assert min(times) < 0.005


# --- Reasoning -------------------------------------------------------------------------------------------------------


def reasoning(resolving: Resolving, name: str) -> dict[str, str]:
    return {a.target.id: a.reasoning for a in resolving.decide(name).attempts}


def test_a_member_s_reasoning_is_its_default(resolving: Resolving) -> None:
    assert reasoning(resolving, "pool") == {ONE: "", TWO: "low", TWO_B: "low", THREE: ""}


def test_the_client_s_reasoning_replaces_that_of_every_member(resolving: Resolving) -> None:
    assert reasoning(resolving, "Pool(64000)") == dict.fromkeys(ALL, "64000")
    assert resolving.decide("Pool(64000)").course.name == "Pool"


def test_the_name_as_it_stands_comes_before_a_reasoning_suffix(resolving: Resolving) -> None:
    assert reasoning(resolving, "odd(name)") == {"one/odd(name)#0": ""}
    assert reasoning(resolving, "odd(name)(high)") == {"one/odd(name)#0": "high"}


# --- Turns -----------------------------------------------------------------------------------------------------------


def test_each_resolve_takes_a_turn(resolving: Resolving) -> None:
    assert [resolving.plan("pool")[0] for _ in range(6)] == [ONE, TWO, THREE, ONE, TWO_B, THREE]


def test_counting_sees_the_next_turn_and_takes_none(resolving: Resolving) -> None:
    resolving.plan("pool")
    assert [resolving.plan("pool", counting=True)[0] for _ in range(3)] == [TWO] * 3
    assert resolving.plan("pool")[0] == TWO


def test_a_request_without_a_plan_takes_no_turn() -> None:
    resolving = with_policy("{on-exhausted: least-bad}")
    for target in ALL:
        resolving.fail(target, retry_after_s=10)
    resolving.plan("pool")
    resolving.refusal("pool", excluded=tuple(ALL))
    resolving.clock.advance(10)
    assert resolving.plan("pool")[0] == ONE


def test_only_the_cluster_and_the_pool_that_supply_the_first_target_take_a_turn() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
model-pools:
  pools:
    - {id: a, members: [{provider: one, model: a1}, {provider: one, model: a2}]}
    - {id: b, members: [{provider: one, model: b1}, {provider: one, model: b2}]}
  clusters:
    - {id: c, strategy: round-robin, members: [{pool: a}, {pool: b}]}
"""
    )
    assert [" ".join(t[4:6] for t in resolving.plan("c")) for _ in range(5)] == [
        "a1 a2 b1 b2",
        "b1 b2 a2 a1",
        "a2 a1 b2 b1",
        "b2 b1 a1 a2",
        "a1 a2 b1 b2",
    ]


# --- Policy ----------------------------------------------------------------------------------------------------------


def test_a_plan_has_no_more_attempts_than_the_policy_allows() -> None:
    resolving = with_policy("{attempts: 2, timeouts: {total: 7s}}")
    decision = resolving.decide("pool")
    assert [a.target.id for a in decision.attempts] == [ONE, TWO]
    assert decision.course.attempts_allowed == 2
    assert decision.course.total_s == 7


def test_the_policy_is_that_of_the_name_that_was_called() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
policy: {attempts: 9}
model-pools:
  pools:
    - {id: p, policy: {attempts: 1}, members: [{model: m}]}
  clusters:
    - {id: c, policy: {attempts: 3}, members: [{pool: p}]}
    - {id: plain, members: [{pool: p}]}
"""
    )
    assert [resolving.decide(name).course.attempts_allowed for name in ("p", "c", "plain", "m")] == [1, 3, 9, 9]


# --- Who is left out -------------------------------------------------------------------------------------------------


def test_who_cools_is_left_out_until_then(resolving: Resolving) -> None:
    resolving.fail(ONE, retry_after_s=20)
    assert resolving.plan("pool", counting=True) == [TWO, TWO_B, THREE]
    resolving.clock.advance(20)
    assert resolving.plan("pool") == ALL


def test_the_excluded_are_left_out_before_the_choice(resolving: Resolving) -> None:
    assert resolving.plan("pool", excluded=(ONE, TWO)) == [TWO_B, THREE]
    assert resolving.plan("pool", excluded=(ONE, "no/such#0")) == [THREE, TWO_B, TWO]


def test_the_disabled_have_no_weight() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
model-pools:
  pools:
    - id: p
      members:
        - {provider: one, model: m, weight: 50, disabled: true}
        - {provider: two, model: m, weight: 2}
        - {provider: three, model: m}
"""
    )
    assert Counter(resolving.plan("p")[0][:3] for _ in range(30)) == {"two": 20, "thr": 10}
    assert ONE not in resolving.plan("p")


# --- Nobody is available ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [Disposition.RATE_LIMITED, Disposition.QUOTA])
def test_where_one_cools_for_a_limit_it_is_a_limit_until_the_soonest_is_back(
    resolving: Resolving, limit: Disposition
) -> None:
    for target in (ONE, TWO_B, THREE):
        resolving.fail(target, Disposition.OVERLOADED, retry_after_s=40)
    resolving.fail(TWO, limit, retry_after_s=90)
    resolving.clock.advance(15)
    assert resolving.refusal("pool") == ("rate_limited", 25)


def test_where_all_are_broken_it_is_an_outage_until_the_soonest_is_back(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target, Disposition.OVERLOADED, retry_after_s=40)
    assert resolving.refusal("pool") == ("unavailable", 40)


def test_the_least_wait_is_a_second(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target, retry_after_s=1)
    resolving.clock.advance(0.9)
    assert resolving.refusal("pool") == ("rate_limited", 1)


def test_where_all_are_excluded_nobody_knows_when(resolving: Resolving) -> None:
    resolving.fail(ONE)
    assert resolving.refusal("pool", excluded=tuple(ALL)) == ("unavailable", None)
    assert resolving.refusal("pool", excluded=tuple(ALL[1:])) == ("rate_limited", 30)


def test_where_all_are_disabled_nobody_knows_when() -> None:
    resolving = Resolving(
        PROVIDERS + "model-pools: {pools: [{id: p, members: [{model: m, disabled: true}]}]}\n"
        "policy: {on-exhausted: least-bad}"
    )
    resolving.fail(ONE)
    assert resolving.refusal("p") == ("unavailable", None)


def test_a_target_that_is_disabled_on_one_path_and_cools_on_another_counts_as_cooling() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
model-pools:
  pools:
    - id: p
      members:
        - {provider: one, model: m, disabled: true}
        - {provider: one, model: m}
"""
    )
    resolving.fail(ONE, retry_after_s=12)
    assert resolving.refusal("p") == ("rate_limited", 12)


def test_the_message_says_what_and_when(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target, retry_after_s=11.2)
    with pytest.raises(NoTargetError, match=r"^every target of 'Pool' has reached a limit; try again in 12 s$"):
        resolving.plan("pool")
    with pytest.raises(NoTargetError, match=r"^every target of 'Pool' is out of service$"):
        resolving.plan("pool", excluded=tuple(ALL))


def test_the_least_bad_is_the_one_that_recovers_soonest_once() -> None:
    resolving = with_policy("{on-exhausted: least-bad}")
    for target, wait_s in zip(ALL, (50, 40, 20, 30), strict=True):
        resolving.fail(target, retry_after_s=wait_s)
    decision = resolving.decide("pool")
    (attempt,) = decision.attempts
    assert attempt.target.id == TWO_B
    assert not attempt.probe
    assert decision.course.attempts_allowed == 1
    # Success restores it, as that of any attempt of its generation.
    resolving.serve(attempt)
    assert resolving.plan("pool") == [TWO_B]


def test_the_least_bad_is_never_one_that_is_excluded() -> None:
    resolving = with_policy("{on-exhausted: least-bad}")
    for target, wait_s in zip(ALL, (50, 40, 20, 30), strict=True):
        resolving.fail(target, retry_after_s=wait_s)
    assert resolving.plan("pool", excluded=(TWO_B,)) == [THREE]
    assert resolving.refusal("pool", excluded=tuple(ALL)) == ("unavailable", None)


def test_a_cluster_takes_a_pool_s_targets_whatever_the_pool_says_about_exhaustion() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
model-pools:
  pools: [{id: p, policy: {on-exhausted: least-bad}, members: [{provider: one, model: m}]}]
  clusters: [{id: c, members: [{pool: p}]}]
"""
    )
    resolving.fail(ONE)
    assert resolving.plan("p") == [ONE]
    assert resolving.refusal("c") == ("rate_limited", 30)


# --- Probes ----------------------------------------------------------------------------------------------------------


def probed(resolving: Resolving, name: str = "pool") -> list[str]:
    return [a.target.id for a in resolving.decide(name).attempts if a.probe]


def test_after_a_cool_down_one_request_probes_at_the_usual_place(resolving: Resolving) -> None:
    resolving.fail(TWO)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    assert [(a.target.id, a.probe) for a in decision.attempts] == [
        (ONE, False),
        (TWO, True),
        (TWO_B, False),
        (THREE, False),
    ]
    assert {a.health_generation for a in decision.attempts} == {1}, "the latest there is"
    assert TWO not in resolving.plan("pool")


def test_a_probe_expires(resolving: Resolving) -> None:
    resolving.fail(TWO)
    resolving.clock.advance(30)
    assert probed(resolving) == [TWO]
    resolving.clock.advance(PROBE_LEASE_S - 1)
    assert probed(resolving) == []
    resolving.clock.advance(1)
    assert probed(resolving) == [TWO]


def test_a_probe_that_was_not_used_comes_back_when_the_decision_closes(resolving: Resolving) -> None:
    resolving.fail(TWO)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    assert probed(resolving) == []
    resolving.close(decision)
    assert probed(resolving) == [TWO]


def test_a_probe_behind_the_attempts_allowed_is_not_taken() -> None:
    resolving = with_policy("{attempts: 2}")
    resolving.fail(THREE)
    resolving.clock.advance(30)
    assert resolving.plan("pool") == [ONE, TWO]
    # The turn of `two`, so that `three` is next.
    assert probed(resolving) == []
    assert probed(resolving) == [THREE]


def test_only_those_who_will_report_and_do_not_count_get_probes(resolving: Resolving) -> None:
    resolving.fail(ONE)
    resolving.clock.advance(30)
    assert resolving.plan("pool", will_report=False) == [TWO, TWO_B, THREE]
    assert ONE not in resolving.plan("pool", counting=True)
    assert probed(resolving) == [ONE]


@pytest.mark.parametrize(("counting", "will_report"), [(True, True), (False, False)])
def test_who_gets_no_probe_is_not_locked_out_where_all_others_are_out(counting: bool, will_report: bool) -> None:
    resolving = Resolving(PROVIDERS + POOL)
    for target in ALL:
        resolving.fail(target, retry_after_s=10 if target == ONE else 100)
    assert resolving.refusal("pool", counting=counting, will_report=will_report) == ("rate_limited", 10)
    resolving.clock.advance(10)
    for _ in range(2):
        (attempt,) = resolving.decide("pool", counting=counting, will_report=will_report).attempts
        assert attempt.target.id == ONE
        assert not attempt.probe
    reason = resolving.explain("pool", counting=counting, will_report=will_report).targets[0].reason
    assert reason == "number 1"
    # While someone probes, there is somebody to wait for.
    assert probed(resolving) == [ONE]
    assert resolving.refusal("pool", counting=counting, will_report=will_report) == ("rate_limited", 60)


def test_a_plan_may_hold_several_probes(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target)
    resolving.clock.advance(30)
    decision = resolving.decide("pool")
    assert [a.probe for a in decision.attempts] == [True] * 4
    assert resolving.refusal("pool") == ("rate_limited", PROBE_LEASE_S)
    resolving.serve(decision.attempts[0])
    resolving.close(decision)
    assert probed(resolving) == [TWO, TWO_B, THREE]


def test_the_probe_book_gives_a_decision_s_probes_back_once() -> None:
    book = ProbeBook(60)
    book.taken("d1", "a", 0)
    book.taken("d2", "b", 0)
    book.taken("d1", "c", 0)
    assert book.closed("d1") == ["a", "c"]
    assert book.closed("d1") == []
    assert book.closed("never seen") == []
    assert book.closed("d2") == ["b"]


def test_the_probe_book_forgets_decisions_whose_leases_have_run_out() -> None:
    book = ProbeBook(60)
    for second in range(1000):
        book.taken(f"d{second}", "a", float(second))
    remembered = [n for n in range(1000) if book.closed(f"d{n}")]
    assert remembered == list(range(939, 1000))


def test_the_probe_book_does_not_slow_down_with_what_it_holds() -> None:
    book = ProbeBook(60)
    began = time.process_time()
    for number in range(20_000):
        book.taken(f"d{number}", "a", number / 1000)
    assert time.process_time() - began < 1


# --- What resolvers with a store ask it for ---------------------------------------------------------------------------


def wanted(resolving: Resolving, name: str = "pool", **query: Any) -> tuple[str, set[str]] | None:
    """The group of which a turn is claimed, and the scopes whose probes are asked for."""
    found = resolving.resolver.wanted(Query(name, **{"will_report": True, **query}))
    return None if found is None else (found.claim.key[0] if found.claim else "", set(found.probes))


def test_a_request_wants_a_turn_and_the_probes_of_the_targets_that_it_may_be_sent_to(resolving: Resolving) -> None:
    assert wanted(resolving) == ("pool:pool", set())
    assert wanted(resolving, "raw") is None, "its providers do not rotate"
    resolving.fail(ONE)
    resolving.fail(TWO, Disposition.CREDENTIAL)
    resolving.clock.advance(30)
    assert wanted(resolving) == ("pool:pool", {ONE})
    resolving.clock.advance(270)
    assert wanted(resolving) == ("pool:pool", {ONE, "two#0"})
    assert wanted(resolving, excluded=frozenset({ONE})) == ("pool:pool", {"two#0"})
    assert wanted(resolving, "raw") == ("", {"two#0"})
    resolving.plan("pool")
    assert wanted(resolving) == ("pool:pool", set()), "another request has them"


def test_who_may_not_probe_wants_no_probe_and_who_gets_no_plan_wants_nothing(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target)
    assert wanted(resolving) is None
    resolving.clock.advance(30)
    assert wanted(resolving, will_report=False) == ("pool:pool", set())
    assert wanted(resolving, counting=True) is None
    assert wanted(resolving, excluded=frozenset(ALL)) is None
    assert wanted(resolving, "nobody") is None


class Sharing:
    """A store that notes what it is told."""

    is_degraded = False

    def __init__(self) -> None:
        self.limits = self
        self.told: list[tuple[str, object]] = []

    def give_back(self, holder: str, scopes: Iterable[str]) -> None:
        self.told.append((holder, set(scopes)))

    def withdrawn(self, decision_id: str) -> None:
        self.told.append((decision_id, "withdrawn"))


@pytest.fixture
def sharing() -> Sharing:
    return Sharing()


@pytest.fixture
def over_a_store(sharing: Sharing) -> Resolving:
    stores = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings(), cast("SharedState", sharing))
    return Resolving(PROVIDERS + POOL, stores=stores)


def test_a_plan_is_made_with_the_turn_that_was_granted_and_none_is_taken_here(over_a_store: Resolving) -> None:
    granted = Granted("held-1", {("pool:pool", 0): 2})
    decision = over_a_store.resolver.resolve(Query("pool", will_report=True), granted=granted)
    assert (decision.id, decision.attempts[0].target.id) == ("held-1", THREE)
    assert over_a_store.rotation.turn(("pool:pool", 0)) == 0
    # What was granted is of another tier than what is available by now.
    granted = Granted("held-2", {("pool:pool", 7): 2})
    assert over_a_store.resolver.resolve(Query("pool"), granted=granted).attempts[0].target.id == ONE
    assert over_a_store.rotation.turn(("pool:pool", 0)) == 1


def test_probes_that_were_granted_and_are_not_in_the_plan_go_back(over_a_store: Resolving, sharing: Sharing) -> None:
    over_a_store.fail(ONE)
    over_a_store.fail(THREE, retry_after_s=200)
    over_a_store.clock.advance(30)
    granted = Granted("held", {("pool:pool", 0): 0}, frozenset({ONE, TWO, THREE}))
    decision = over_a_store.resolver.resolve(Query("pool", will_report=True), granted=granted)
    assert [a.target.id for a in decision.attempts if a.probe] == [ONE]
    assert sharing.told == [("held", {TWO, THREE})]


def test_nothing_goes_back_of_a_plan_that_uses_all_of_it(over_a_store: Resolving, sharing: Sharing) -> None:
    over_a_store.fail(ONE)
    over_a_store.clock.advance(30)
    granted = Granted("held", {}, frozenset({ONE}), Admission(Allowances(None, None)))
    assert over_a_store.resolver.resolve(Query("pool", will_report=True), granted=granted).course.probes == {ONE}
    assert sharing.told == []


@pytest.mark.parametrize(
    ("admission", "told"),
    [
        (None, []),
        (Admission(Allowances(None, None)), ["withdrawn"]),
        (Admission(Allowances(None, None), (Kind.REQUESTS, 5)), []),
    ],
    ids=["not counted", "let in", "refused"],
)
def test_a_request_that_was_let_in_and_gets_no_plan_is_withdrawn_and_its_probes_go_back(
    over_a_store: Resolving, sharing: Sharing, admission: Admission | None, told: list[str]
) -> None:
    granted = Granted(f"held{COUNTED}", {}, frozenset({ONE}), admission)
    with pytest.raises(UnknownModelError):
        over_a_store.resolver.resolve(Query("nobody", will_report=True), granted=granted)
    assert sharing.told == [(granted.holder, {ONE}), *((granted.holder, what) for what in told)]


# --- Explain ---------------------------------------------------------------------------------------------------------


def test_an_explanation_is_what_resolve_would_answer_and_moves_nothing(resolving: Resolving) -> None:
    resolving.fail(TWO)
    resolving.clock.advance(30)
    resolving.plan("pool", counting=True)
    for _ in range(3):
        explained = resolving.explain("pool").decision
        assert explained is not None
        assert [(a.target.id, a.probe) for a in explained.attempts] == [
            (ONE, False),
            (TWO, True),
            (TWO_B, False),
            (THREE, False),
        ]
    decided = resolving.decide("pool")
    assert decided.attempts == explained.attempts


def reasons(resolving: Resolving, **query: Any) -> list[tuple[str, bool, str, float]]:
    found = resolving.explain("pool", **query)
    return [(view.target.id, view.available, view.reason, view.retry_after_s) for view in found.targets]


def test_an_explanation_has_a_reason_for_everyone(resolving: Resolving) -> None:
    resolving.fail(TWO, Disposition.OVERLOADED, retry_after_s=10)
    resolving.clock.advance(10)
    resolving.fail(TWO_B, retry_after_s=33)
    assert reasons(resolving, excluded=(ONE,)) == [
        (TWO, True, "number 1, as a probe", 0),
        (THREE, True, "number 2", 0),
        (TWO_B, False, "cooling: rate-limited", 33),
        (ONE, False, "excluded by the request", 0),
    ]
    assert reasons(resolving, will_report=False)[2:] == [
        (TWO, False, "waits for a request that reports whether it is well after: overloaded", 0),
        (TWO_B, False, "cooling: rate-limited", 33),
    ]
    resolving.plan("pool")
    assert (
        TWO,
        False,
        "another request is finding out whether it is well after: overloaded",
        PROBE_LEASE_S,
    ) in reasons(resolving)


def test_an_explanation_tells_who_is_behind_the_attempts_allowed() -> None:
    resolving = with_policy("{attempts: 3}")
    assert reasons(resolving) == [
        (ONE, True, "number 1", 0),
        (TWO, True, "number 2", 0),
        (TWO_B, True, "number 3", 0),
        (THREE, False, "behind as many as may be attempted", 0),
    ]


def test_an_explanation_tells_who_is_the_least_bad() -> None:
    resolving = with_policy("{on-exhausted: least-bad}")
    for target, wait_s in zip(ALL, (50, 40, 20, 30), strict=True):
        resolving.fail(target, retry_after_s=wait_s)
    assert reasons(resolving)[0] == (TWO_B, True, "number 1, as the least bad; cooling: rate-limited", 20)
    assert not any(available for _, available, _, _ in reasons(resolving)[1:])


def test_an_explanation_of_what_nobody_can_serve_has_no_plan(resolving: Resolving) -> None:
    for target in ALL:
        resolving.fail(target)
    explained = resolving.explain("pool")
    assert explained.decision is None
    assert [view.target.id for view in explained.targets] == ALL


def test_an_explanation_shows_the_disabled() -> None:
    resolving = Resolving(PROVIDERS + POOL.replace("provider: one,", "provider: one, disabled: true,"))
    assert reasons(resolving)[-1] == (ONE, False, "disabled", 0)


def test_an_explanation_says_what_the_name_was_found_as() -> None:
    resolving = Resolving(
        PROVIDERS
        + """
model-pools:
  pools: [{id: p, members: [{model: m}]}]
  clusters: [{id: c, members: [{pool: p}]}]
"""
    )
    assert [resolving.explain(name).kind for name in ("p", "c", "m")] == ["pool", "cluster", "model"]
    with pytest.raises(UnknownModelError):
        resolving.explain("nothing")
