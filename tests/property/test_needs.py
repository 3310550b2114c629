"""What a request needs takes targets out of its plan and changes nothing else."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resolver_service.app.decisions import Query
from resolver_service.app.refusals import NoTargetError, UnservableError
from resolver_service.domain.abilities import Abilities, Capability, Needs, can_serve, lacking, shortfall, why_not
from resolver_service.domain.catalog import Params
from resolver_service.domain.config import parse
from tests.support.resolving import Resolving

capabilities = st.frozensets(st.sampled_from(list(Capability)), max_size=3)
sizes = st.just(0) | st.integers(1, 5)
models = st.builds(Abilities, sizes, sizes, st.none() | capabilities)
needs = st.builds(Needs, capabilities, st.integers(0, 5), st.integers(0, 5))


@given(models, needs)
def test_that_a_model_cannot_serve_and_why_are_told_together(abilities: Abilities, needed: Needs) -> None:
    assert can_serve(abilities, needed) == (not lacking(abilities, needed)) == (not why_not(abilities, needed))


@given(st.lists(models, min_size=1), needs)
def test_a_shortfall_names_something_that_every_model_lacks_or_all_that_they_lack(
    each: list[Abilities], needed: Needs
) -> None:
    each = [abilities for abilities in each if not can_serve(abilities, needed)]
    if not each:
        return
    found = shortfall(each, needed)
    assert found.words
    assert found.text
    for abilities in each:
        assert set(lacking(abilities, needed)) & set(found.words)


def entry(number: int, abilities: Abilities) -> dict[str, Any]:
    known = {"context": abilities.context_tokens or None, "max-output": abilities.max_output_tokens or None}
    if abilities.capabilities is not None:
        known["capabilities"] = sorted(abilities.capabilities)
    return {"id": f"m{number}", **known}


def config(each: list[tuple[Abilities, int]], kept: Any) -> str:
    listed = [entry(n, a) for n, (a, _) in enumerate(each)]
    members = [
        {"provider": "p", "model": f"m{n}", "priority": priority}
        for n, (abilities, priority) in enumerate(each)
        if kept(abilities)
    ]
    pools = [{"id": "a", "strategy": "priority", "members": members}] if members else []
    provider = {"id": "p", "dialect": "openai", "base-url": "https://p.example", "models": listed}
    return json.dumps({"providers": [provider], "model-pools": {"pools": pools}})


sensible = models.filter(lambda a: not 0 < a.context_tokens < a.max_output_tokens)


@given(st.lists(st.tuples(sensible, st.integers(0, 1)), min_size=1, max_size=5), needs, st.integers(1, 4))
def test_the_plan_is_that_of_a_pool_without_what_cannot_serve(
    each: list[tuple[Abilities, int]], needed: Needs, turns: int
) -> None:
    it = Resolving(config(each, lambda _: True))
    query = Query("a", will_report=True, needs=needed)
    if not any(can_serve(abilities, needed) for abilities, _ in each):
        try:
            it.resolver.resolve(query)
        except UnservableError:
            return
        raise AssertionError("there is a plan")
    without = Resolving(config(each, lambda abilities: can_serve(abilities, needed)))
    for _ in range(turns):
        assert [a.target.id for a in it.resolver.resolve(query).attempts] == without.plan("a")
    out = {v.target.id: v.reason for v in it.resolver.explain(query).targets if not v.available}
    assert out == {f"p/m{n}#0": why_not(a, needed) for n, (a, _) in enumerate(each) if not can_serve(a, needed)}


@given(st.lists(st.tuples(sensible, st.booleans()), min_size=1, max_size=4), needs)
def test_what_could_serve_and_cools_is_waited_for(each: list[tuple[Abilities, bool]], needed: Needs) -> None:
    it = Resolving(config([(abilities, 0) for abilities, _ in each], lambda _: True))
    for number, (_, cools) in enumerate(each):
        if cools:
            it.fail(f"p/m{number}#0", retry_after_s=10.0)
    able = [cools for abilities, cools in each if can_serve(abilities, needed)]
    try:
        planned = len(it.resolver.resolve(Query("a", will_report=True, needs=needed)).attempts)
    except UnservableError:
        assert not able
    except NoTargetError:
        assert able
        assert all(able)
    else:
        assert planned == able.count(False)


@given(st.lists(st.tuples(sensible, st.integers(0, 1)), min_size=1, max_size=4), needs, capabilities, st.data())
def test_a_model_that_can_do_more_is_in_every_plan_that_it_was_in(
    each: list[tuple[Abilities, int]], needed: Needs, more: frozenset[Capability], data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(each) - 1))
    abilities, priority = each[which]
    abler = replace(abilities, capabilities=None if abilities.capabilities is None else abilities.capabilities | more)
    before, after = (
        planned(Resolving(config(models, lambda _: True)), needed)
        for models in (each, [*each[:which], (abler, priority), *each[which + 1 :]])
    )
    assert before <= after
    assert after - before <= {f"p/m{which}#0"}


def planned(it: Resolving, needed: Needs) -> set[str]:
    try:
        return {a.target.id for a in it.resolver.resolve(Query("a", will_report=True, needs=needed)).attempts}
    except UnservableError:
        return set()


names = st.sampled_from("abcd")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=3), inner, max_size=3),
    max_leaves=8,
)
blocks = st.dictionaries(names, st.tuples(st.sampled_from(["set", "default", "drop"]), values), max_size=4)


def written(block: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {"set": {}, "default": {}, "drop": []}
    for name, (how, value) in block.items():
        if how == "drop":
            told["drop"].append(name)
        else:
            told[how][name] = value
    return told


def read(params: Params) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = dict.fromkeys(params.drop, ("drop", None))
    for how, text in (("set", params.set_json), ("default", params.default_json)):
        found |= {name: (how, value) for name, value in json.loads(text or b"{}").items()}
    return found


@given(blocks, blocks)
def test_overrides_arrive_as_written_and_the_closer_member_wins(
    lower: dict[str, tuple[str, Any]], closer: dict[str, tuple[str, Any]]
) -> None:
    catalog = parse(
        {
            "providers": [{"id": "p", "dialect": "openai", "base-url": "https://p.example"}],
            "model-pools": {
                "pools": [{"id": "a", "members": [{"provider": "p", "model": "m", "params": written(closer)}]}],
                "clusters": [{"id": "c", "members": [{"pool": "a", "params": written(lower)}]}],
            },
        }
    )
    pool, within = catalog.pools["a"], catalog.clusters["c"].tiers[0].members[0].pool
    assert within is not None
    for group, expected in ((pool, closer), (within, {**lower, **closer})):
        params = group.tiers[0].members[0].sources[0].targets[0].params
        assert read(params) == {n: (how, None if how == "drop" else v) for n, (how, v) in expected.items()}
        told = [json.loads(params.set_json or b"{}"), json.loads(params.default_json or b"{}"), params.drop]
        assert not any(set(one) & set(other) for one, other in itertools.combinations(told, 2))
