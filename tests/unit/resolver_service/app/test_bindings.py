"""What only its maker knows leads back to its maker."""

from __future__ import annotations

import hashlib

import pytest

from resolver_service.adapters.stores_memory import MemoryBindings, MemoryDrains, MemoryHealth, MemoryRotation
from resolver_service.app import bindings as book
from resolver_service.app.decisions import Decision, Explanation, Query
from resolver_service.app.ports import Stores
from resolver_service.app.refusals import BoundElsewhereError, NoTargetError, UnboundError, UnknownModelError
from resolver_service.domain.bindings import KEPT_S
from tests.support.resolving import Resolving

PROVIDERS = """
providers:
  - id: one
    dialect: openai
    base-url: https://one.example/v1
    models: [m, small]
    credentials: [env:A, env:B]
    responses: true
  - id: two
    dialect: openai
    base-url: https://two.example/v1
    models: [m]
    responses: true
policy: {timeouts: {total: 77s}}
"""
CONFIG = (
    PROVIDERS
    + """
model-pools:
  pools:
    - {id: Pool, members: [{model: m}], policy: {attempts: 5}}
    - {id: other, members: [{provider: two, model: m}]}
    - {id: least, members: [{model: m}], policy: {on-exhausted: least-bad}}
  clusters:
    - {id: chat, members: [{pool: Pool}, {model: small, priority: 1}]}
"""
)
KEY, ANOTHER = b"k" * 32, b"a" * 32
DID_NOT = "did not make what the request goes on from"


@pytest.fixture
def it() -> Resolving:
    return Resolving(CONFIG)


def going_on(model: str, key: bytes = KEY) -> Query:
    return Query(model, will_report=True, affinity_key=key, affinity_required=True)


def decide(it: Resolving, model: str, key: bytes = KEY) -> Decision:
    return it.resolver.resolve(going_on(model, key))


def plan(it: Resolving, model: str, key: bytes = KEY) -> list[str]:
    return [attempt.target.id for attempt in decide(it, model, key).attempts]


def retrieve(it: Resolving, key: bytes = KEY) -> Decision:
    return it.resolver.resolve(Query("", affinity_key=key, retrieving=True))


def explain(it: Resolving, model: str) -> Explanation:
    return it.resolver.explain(going_on(model))


def test_a_client_goes_on_from_nothing_but_its_own() -> None:
    """Whoever knows the id of another client's answer has another key for it, which is bound to nothing."""
    hashes = [hashlib.sha256(key).digest() for key in (b"one", b"other")]
    clients = "".join(f"\n  - {{id: c{n}, key-sha256: {each.hex()}}}" for n, each in enumerate(hashes))
    it = Resolving(f"{CONFIG}clients:{clients}\n")
    query = going_on("pool")._replace(client_key=hashes[0])
    with pytest.raises(UnboundError):
        it.resolver.resolve(query)
    wanted = it.resolver.wanted(query)
    assert wanted is not None
    assert (wanted.binding, wanted.claim) == (KEY, None), "another resolver may know who made it"
    made = it.resolver.resolve(Query("pool", will_report=True, client_key=hashes[0]))
    assert it.bind(made, KEY, "two/m#0") == "applied"
    assert [a.target.id for a in it.resolver.resolve(query).attempts] == ["two/m#0"]
    with pytest.raises(UnboundError):
        it.resolver.resolve(going_on("pool", ANOTHER)._replace(client_key=hashes[1]))


def test_what_was_made_under_a_name_that_a_client_may_not_call_is_unknown_to_it() -> None:
    hashes = [hashlib.sha256(key).digest() for key in (b"all", b"some")]
    clients = f"\n  - {{id: all, key-sha256: {hashes[0].hex()}}}"
    clients += f"\n  - {{id: some, key-sha256: {hashes[1].hex()}, allow: [other, m]}}"
    it = Resolving(f"{CONFIG}clients:{clients}\n")
    for name, key in (("pool", KEY), ("Other", ANOTHER)):
        it.bind(it.resolver.resolve(Query(name, will_report=True, client_key=hashes[0])), key, "two/m#0")

    def asked(key: bytes, client_key: bytes) -> list[str]:
        query = Query("", affinity_key=key, retrieving=True, client_key=client_key)
        return [attempt.target.id for attempt in it.resolver.resolve(query).attempts]

    assert [asked(key, hashes[0]) for key in (KEY, ANOTHER)] == [["two/m#0"]] * 2
    assert asked(ANOTHER, hashes[1]) == ["two/m#0"]
    with pytest.raises(UnboundError):
        asked(KEY, hashes[1])


def test_what_goes_on_from_an_answer_goes_to_who_made_it_and_nowhere_else(it: Resolving) -> None:
    made = it.decide("pool")
    assert it.bind(made, KEY, "two/m#0") == "applied"
    for name in ("pool", "CHAT", "m", "other"):
        found = [decide(it, name) for _ in range(4)]
        assert [[a.target.id for a in each.attempts] for each in found] == [["two/m#0"]] * 4
        assert {each.course.attempts_allowed for each in found} == {1}


def test_a_plan_that_was_kept_is_not_for_what_goes_on_from_an_answer_nor_the_other_way_round() -> None:
    it = Resolving(CONFIG.replace(", env:B", ""))
    for _ in range(2):
        assert (len(it.plan("pool")), len(plan(it, "pool", ANOTHER))) == (2, 1)
    it.bind(it.decide("pool"), KEY, "two/m#0")
    for _ in range(2):
        assert (len(it.plan("pool")), plan(it, "pool")) == (2, ["two/m#0"])


def test_it_takes_no_turn(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    it.bind(it.decide("pool"), ANOTHER, "one/m#0")
    firsts = []
    for _ in range(4):
        firsts.append(it.plan("pool")[0].partition("/")[0])
        plan(it, "pool")
        plan(it, "pool", ANOTHER)
    assert firsts == ["one", "two", "one", "two"]


def test_another_model_with_the_same_credential_at_the_same_provider_knows_it_too(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "one/m#1")
    assert plan(it, "small") == ["one/small#1"]
    assert plan(it, "chat") == ["one/m#1"], "the target itself comes first"


def test_a_name_that_does_not_lead_there_is_told_so(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "one/m#0")
    with pytest.raises(BoundElsewhereError, match="'other' does not lead to the provider that made") as caught:
        decide(it, "Other")
    assert (caught.value.code, caught.value.name) == ("bound_elsewhere", "other")
    with pytest.raises(UnknownModelError):
        decide(it, "nobody")


def test_what_is_bound_to_nothing_gets_a_plan_like_any_other_of_one_attempt(it: Resolving) -> None:
    found = [decide(it, "pool") for _ in range(4)]
    assert [len(each.attempts) for each in found] == [1] * 4
    assert [each.attempts[0].target.id for each in found] == ["one/m#0", "two/m#0", "one/m#1", "two/m#0"]
    assert len(it.plan("pool")) == 3


def test_who_does_not_ask_for_it_is_not_led_back(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    query = Query("pool", will_report=True, affinity_key=KEY)
    assert len(it.resolver.resolve(query).attempts) == 3


@pytest.mark.parametrize("how", ["cooling", "drained", "disabled"])
async def test_while_its_maker_is_out_nobody_else_is_asked(it: Resolving, how: str) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    if how == "cooling":
        it.fail("two/m#0", retry_after_s=20)
    elif how == "drained":
        it.drains.put("two/m#0", drained=True)
    else:
        disabled = CONFIG.replace("id: two\n", "id: two\n    disabled: true\n")
        await it.configuration.offer(disabled.encode())
    with pytest.raises(NoTargetError) as caught:
        decide(it, "pool")
    expected = ("rate_limited", 20) if how == "cooling" else ("unavailable", None)
    assert (caught.value.code, caught.value.retry_after_s) == expected
    assert len(it.plan("pool")) == 2
    explained = explain(it, "pool")
    assert explained.decision is None
    reasons = {view.target.id: view.reason for view in explained.targets}
    out = "cooling: rate-limited" if how == "cooling" else how
    assert reasons == {"two/m#0": out, "one/m#0": DID_NOT, "one/m#1": DID_NOT}
    assert retrieve(it).attempts[0].target.id == "two/m#0", "it still has what it made"


def test_a_policy_of_least_bad_does_not_lead_elsewhere(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    it.fail("two/m#0", retry_after_s=20)
    it.fail("one/m#0", retry_after_s=10)
    assert plan(it, "least") == ["two/m#0"]


def test_explain_says_who_did_not_make_it(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "one/m#1")
    explained = explain(it, "chat")
    assert explained.kind == "cluster"
    assert [(v.target.id, v.available, v.reason) for v in explained.targets] == [
        ("one/m#1", True, "number 1"),
        ("one/m#0", False, DID_NOT),
        ("two/m#0", False, DID_NOT),
        ("one/small#0", False, DID_NOT),
        ("one/small#1", False, DID_NOT),
    ]
    elsewhere = explain(it, "other")
    assert elsewhere.decision is None
    assert [(v.target.id, v.reason) for v in elsewhere.targets] == [("two/m#0", DID_NOT)]


def test_what_was_made_is_asked_for_at_its_maker_under_the_name_that_it_was_made_by(it: Resolving) -> None:
    made = it.decide("CHAT")
    it.bind(made, KEY, "two/m#0")
    it.close(made)
    found = retrieve(it)
    assert [(a.target.id, a.probe, a.reasoning) for a in found.attempts] == [("two/m#0", False, "")]
    assert found.course[1:5] == (1, 77, 1, "chat")
    assert it.rotation.turn(("cluster:chat", 0)) == 1
    explained = it.resolver.explain(Query("", affinity_key=KEY, retrieving=True))
    (view,) = explained.targets
    assert (view.target.id, view.available, view.reason, view.retry_after_s) == ("two/m#0", True, "made it", 0)


def test_asking_for_it_takes_no_probe(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    it.fail("two/m#0", retry_after_s=20)
    it.clock.advance(20)
    (attempt,) = retrieve(it).attempts
    assert (attempt.probe, attempt.health_generation) == (False, it.health.latest)
    assert [a.target.id for a in it.decide("pool").attempts if a.probe] == ["two/m#0"]


def test_what_nobody_is_known_to_have_made_cannot_be_asked_for(it: Resolving) -> None:
    for ask in (retrieve, lambda it: it.resolver.explain(Query("", affinity_key=KEY, retrieving=True))):
        with pytest.raises(UnboundError):
            ask(it)
    it.bind(it.decide("pool"), ANOTHER)
    with pytest.raises(UnboundError):
        retrieve(it)
    assert retrieve(it, ANOTHER)


async def test_nor_can_what_a_target_has_made_that_is_no_longer_configured(it: Resolving) -> None:
    it.bind(it.decide("small"), KEY, "one/small#0")
    await it.configuration.offer(
        CONFIG.replace("models: [m, small]", "models: [m]").replace(", {model: small, priority: 1}", "").encode()
    )
    with pytest.raises(UnboundError):
        retrieve(it)
    assert plan(it, "pool") == ["one/m#0"], "its credential still knows it"
    await it.configuration.offer(CONFIG.encode())
    assert retrieve(it).attempts[0].target.id == "one/small#0"


def test_it_is_kept_for_thirty_days(it: Resolving) -> None:
    it.bind(it.decide("pool"), KEY, "two/m#0")
    it.wall_clock.advance(KEPT_S)
    assert retrieve(it)
    it.wall_clock.advance(1)
    with pytest.raises(UnboundError):
        retrieve(it)
    assert len(plan(it, "pool")) == 1


def test_reports_of_strangers_bind_nothing(it: Resolving) -> None:
    assert it.bind(it.decide("pool"), KEY, "nobody/m#0") == "unknown_target"
    with pytest.raises(UnboundError):
        retrieve(it)


def test_a_report_that_comes_again_when_its_decision_is_closed_changes_nothing(it: Resolving) -> None:
    made = it.decide("pool")
    assert it.bind(made, KEY) == "applied"
    it.close(made)
    assert not it.bindings._names
    assert it.bind(made, KEY) == "repeated"
    assert retrieve(it).course.name == "Pool"


def test_a_name_that_is_known_outweighs_one_that_is_not_whichever_is_told_first() -> None:
    """Every resolver is told, and over one store only one of them has made the decision."""
    for first_knows in (True, False):
        stores = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
        made_it, heard_of_it = Resolving(CONFIG, stores=stores), Resolving(CONFIG, stores=stores, boot="other")
        made = made_it.decide("pool")
        for each in (made_it, heard_of_it) if first_knows else (heard_of_it, made_it):
            each.bind(made, KEY)
        assert retrieve(heard_of_it).course.name == "Pool"


def test_where_the_decision_is_not_known_the_model_stands_for_the_name() -> None:
    stores = Stores(MemoryRotation(), MemoryHealth(), MemoryDrains(), MemoryBindings())
    made = Resolving(CONFIG, stores=stores).decide("pool")
    after = Resolving(CONFIG, stores=stores, boot="next")
    after.bind(made, KEY)
    assert retrieve(after).course.name == "m"


def test_decisions_that_are_never_closed_are_forgotten(it: Resolving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_OPEN", 3)
    made = [it.decide("pool") for _ in range(5)]
    for number, each in enumerate(made):
        it.bind(each, b"%d" % number)
    assert [retrieve(it, b"%d" % number).course.name for number in range(5)] == ["m", "m", "Pool", "Pool", "Pool"]
    assert len(it.bindings._names) == 3


def test_nothing_is_remembered_of_decisions_where_nobody_keeps_answers() -> None:
    it = Resolving(CONFIG.replace("    responses: true\n", ""))
    it.decide("pool")
    assert not it.bindings._names
