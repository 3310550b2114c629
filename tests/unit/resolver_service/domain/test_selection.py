from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from resolver_service.domain.catalog import Group, RawModel, Source, Strategy, Target
from resolver_service.domain.selection import Available, Order, TurnKey, first_of, order, targets_of
from tests.support.catalogs import cluster, member, pool, raw_member, raw_model, source


def everything(target: Target) -> bool:
    return True


def all_but(*out: str) -> Callable[[Target], bool]:
    """Everything but these targets; `a` stands for `a/m#0`."""
    return lambda target: target.id not in out and target.id.removesuffix("/m#0") not in out


def at(turn: int, **others: int) -> Callable[[TurnKey], int]:
    """All groups at one turn, but for those that are named."""
    return lambda key: others.get(key[0].partition(":")[2], turn)


def names(found: Order) -> str:
    """`a` stands for `a/m#0`, `a1` for `a/m#1`."""
    return " ".join(t.id.replace("/m#0", "").replace("/m#", "") for t in found.targets)


def test_the_rest_follows_in_the_order_of_the_configuration_and_wraps_round() -> None:
    group = pool("p", *map(member, "abcd"))
    found = [names(order(group, everything, at(turn))) for turn in range(5)]
    assert found == ["a b c d", "b c d a", "c d a b", "d a b c", "a b c d"]


def test_the_first_is_the_choice_of_weighted_turns() -> None:
    group = pool("p", member("a", 5), member("b"), member("c"))
    found = [names(order(group, everything, at(turn))) for turn in range(7)]
    assert found == ["a b c", "a b c", "b c a", "a b c", "c a b", "a b c", "a b c"]


def test_who_is_not_available_is_removed_before_the_choice() -> None:
    group = pool("p", member("a", 5), member("b", 2), member("c"))
    found = [names(order(group, all_but("a"), at(turn))) for turn in range(3)]
    assert found == ["b c", "c b", "b c"]


def test_round_robin_knows_no_priorities() -> None:
    group = pool("p", member("a", priority=1), member("b", priority=0))
    assert names(order(group, everything, at(0))) == "a b"


def test_priorities_are_tiers_that_rotate_each_by_itself() -> None:
    group = pool(
        "p",
        member("late", priority=7),
        member("a"),
        member("b"),
        member("c", priority=1),
        member("d", priority=1),
        strategy=Strategy.PRIORITY,
    )
    turns = {("pool:p", 0): 1, ("pool:p", 1): 0, ("pool:p", 7): 5}
    found = order(group, everything, turns.__getitem__)
    assert names(found) == "b a c d late"
    assert found.took == (("pool:p", 0),)


def test_the_tier_that_supplies_the_first_target_takes_the_turn() -> None:
    group = pool("p", member("a"), member("b", priority=1), member("c", priority=2), strategy=Strategy.PRIORITY)
    assert order(group, all_but("a"), at(0)).took == (("pool:p", 1),)
    assert order(group, all_but("a", "b"), at(0)).took == (("pool:p", 2),)


def test_each_pool_keeps_its_own_strategy_inside_its_band() -> None:
    inner = pool("first", member("a", priority=1), member("b", priority=0), strategy=Strategy.PRIORITY)
    other = pool("second", member("c", priority=1), member("d", priority=0))
    group = cluster("c", member(other, priority=1), member(inner, priority=0))
    assert names(order(group, everything, at(0))) == "b a c d"


def test_the_pools_of_a_cluster_take_turns_and_only_the_first_rotates() -> None:
    first, second = pool("first", member("a"), member("b")), pool("second", member("c"), member("d"))
    group = cluster("c", member(first), member(second), strategy=Strategy.ROUND_ROBIN)
    found = order(group, everything, at(0, second=1))
    assert names(found) == "a b d c"
    assert found.took == (("cluster:c", 0), ("pool:first", 0))
    found = order(group, everything, at(1, first=0))
    assert names(found) == "d c a b"
    assert found.took == (("cluster:c", 0), ("pool:second", 0))


def test_a_pool_without_anyone_available_is_no_member_of_its_cluster() -> None:
    first, second, third = (pool(name, member(name)) for name in "abc")
    group = cluster("c", member(first, 98), member(second), member(third))
    assert [names(order(group, all_but("a"), at(turn))) for turn in range(2)] == ["b c", "c b"]


def test_a_pool_has_the_same_turns_whichever_way_it_is_reached() -> None:
    inner = pool("Inner", member("a"), member("b"))
    through = order(cluster("c", member(inner)), everything, at(0))
    directly = order(inner, everything, at(0))
    assert directly.took == (("pool:inner", 0),)
    assert through.took == (("cluster:c", 0), *directly.took)


@pytest.mark.parametrize("available", [everything, None])
def test_the_turns_of_a_pool_decide_who_of_it_is_first_whatever_its_cluster_s(available: Available | None) -> None:
    inner = pool("inner", member("a"), member("b"))
    assert names(order(cluster("c", member(inner)), available, at(1, inner=0))) == "a b"


def test_a_pool_and_a_cluster_of_one_name_have_turns_of_their_own() -> None:
    inner = pool("same", member("a"))
    assert order(cluster("same", member(inner)), everything, at(0)).took == (("cluster:same", 0), ("pool:same", 0))


def test_credentials_stand_together_and_take_turns_whenever_it_is_their_member_s_turn() -> None:
    group = pool("p", member("a", credentials=3), member("b", credentials=2))
    found = [names(order(group, everything, at(turn))) for turn in range(6)]
    assert found == [
        "a a1 a2 b b1",
        "b b1 a1 a2 a",
        "a1 a2 a b1 b",
        "b1 b a2 a a1",
        "a2 a a1 b b1",
        "b b1 a a1 a2",
    ]


def test_a_limit_that_one_key_has_hit_takes_only_that_key_out() -> None:
    group = pool("p", member("a", credentials=2), member("b"))
    found = [names(order(group, all_but("a"), at(turn))) for turn in range(3)]
    assert found == ["a1 b", "b a1", "a1 b"]


def test_a_raw_model_of_a_cluster_is_one_member_whose_providers_come_in_order() -> None:
    group = cluster("c", raw_member("a", "b", credentials=2), member("z"), strategy=Strategy.ROUND_ROBIN)
    found = [names(order(group, everything, at(turn))) for turn in range(3)]
    assert found == ["a a1 b b1 z", "z a1 a b1 b", "a1 a b1 b z"]


def test_a_raw_model_by_its_own_name_has_no_turns() -> None:
    entry = raw_model("m", source("a", credentials=2), source("b"))
    for turn in range(3):
        found = order(entry, everything, at(turn))
        assert names(found) == "a a1 b"
        assert found.took == ()
    assert names(order(entry, all_but("a"), at(0))) == "a1 b"


def test_a_target_that_comes_up_twice_is_kept_where_it_came_first() -> None:
    inner = pool("inner", member("b"), member("a"))
    group = cluster("c", member(inner), raw_member("a", "c", "b", priority=1))
    assert names(order(group, everything, at(0))) == "b a c"


@pytest.mark.parametrize(
    "entry",
    [
        pool("p", member("a"), member("b")),
        cluster("c", member(pool("p", member("a"))), raw_member("b")),
        raw_model("m", source("a"), source("b")),
    ],
    ids=["pool", "cluster", "raw model"],
)
def test_where_nobody_is_available_there_is_no_order_and_no_turn(entry: Group | RawModel) -> None:
    assert order(entry, lambda _: False, at(0)) == Order((), ())


@pytest.mark.parametrize("limit", range(1, 9))
def test_a_limit_cuts_the_order_and_changes_nothing_else(limit: int) -> None:
    inner = pool("inner", member("a"), member("b"), member("c"))
    group = cluster("c", member(inner), raw_member("b", "d"), raw_member("e", "a", priority=1))
    for turn in range(4):
        whole = order(group, everything, at(turn))
        assert order(group, everything, at(turn), limit) == Order(whole.targets[:limit], whole.took)


def test_behind_the_limit_nobody_is_asked_for() -> None:
    asked: list[str] = []

    def available(target: Target) -> bool:
        asked.append(target.id)
        return True

    pools = [pool(f"pool-{n}", *(member(f"provider-{n}-{m}") for m in range(50))) for n in range(10)]
    group = cluster("c", *(member(p, priority=n) for n, p in enumerate(pools)))
    order(group, available, at(0), limit=3)
    assert len(asked) < 60


def test_all_targets_of_an_entry_come_as_configured() -> None:
    inner = pool("inner", member("a", priority=2), member("b", credentials=2), strategy=Strategy.PRIORITY)
    group = cluster("c", member(inner), raw_member("c", "a"))
    assert [t.id for t in targets_of(group)] == ["b/m#0", "b/m#1", "a/m#0", "c/m#0", "a/m#0"]
    assert [t.id for t in targets_of(raw_model("m", source("a"), source("b")))] == ["a/m#0", "b/m#0"]


def test_a_raw_model_is_a_ring_that_does_not_turn_unless_nothing_of_it_is_enabled() -> None:
    model = raw_model("m", source("a", credentials=2), source("b"))
    assert [first_of(model.ring, at(turn)) for turn in range(3) if model.ring] == [0, 0, 0]
    assert names(order(model, None, at(1))) == "a a1 b"
    off = Source(tuple(replace(target, disabled=True) for target in targets_of(model)))
    assert raw_model("m", off).ring is None
    assert order(raw_model("m", off), None, at(1)) == Order((), ())
