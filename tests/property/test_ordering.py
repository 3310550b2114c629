"""What the order of targets promises, whatever the pools and clusters and whoever is available."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import gcd

from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_service.domain.catalog import Group, Member, RawModel, Strategy, Target, Tier
from resolver_service.domain.rotation import turn_of
from resolver_service.domain.selection import Order, TurnKey, claim, order, targets_of
from tests.support.catalogs import cluster, member, pool, raw_member, raw_model, source

NAMES = [f"p{number}" for number in range(8)]

names = st.sampled_from(NAMES)
weights = st.integers(1, 12)
priorities = st.integers(-1, 2)
strategies = st.sampled_from(Strategy)


@st.composite
def pools(draw: st.DrawFn, name: str = "pool", most: int = 5, *, equal: bool = False) -> Group:
    """Members with providers of their own, so that each target tells whose it is."""
    found = [
        member(
            f"{name}-{number}",
            1 if equal else draw(weights),
            draw(priorities),
            credentials=draw(st.integers(1, 3)),
        )
        for number in range(draw(st.integers(1, most)))
    ]
    return pool(name, *found, strategy=draw(strategies))


@st.composite
def clusters(draw: st.DrawFn, *, equal: bool = False) -> Group:
    """Two levels without a target that comes up twice."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        terms = (1 if equal else draw(st.integers(1, 5)), draw(priorities))
        if draw(st.booleans()):
            found.append(member(draw(pools(f"pool{number}", 3, equal=equal)), *terms))
        else:
            raws = [f"raw{number}-{at}" for at in range(draw(st.integers(1, 2)))]
            weight, priority = terms
            found.append(raw_member(*raws, weight=weight, priority=priority, credentials=draw(st.integers(1, 2))))
    return cluster("cluster", *found, strategy=draw(strategies))


@st.composite
def tangles(draw: st.DrawFn) -> Group | RawModel:
    """Anything: the same pools and targets may come up again and again."""
    known = [
        pool(
            f"pool{number}",
            *(
                member(draw(names), draw(weights), draw(priorities), draw(st.integers(1, 2)))
                for _ in range(draw(st.integers(1, 4)))
            ),
            strategy=draw(strategies),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    match draw(st.sampled_from(["pool", "cluster", "raw model"])):
        case "pool":
            return known[0]
        case "raw model":
            providers = draw(st.lists(names, min_size=1, max_size=4, unique=True))
            return raw_model("m", *(source(name, credentials=draw(st.integers(1, 2))) for name in providers))
    found = [
        member(draw(st.sampled_from(known)), draw(weights), draw(priorities))
        if draw(st.booleans())
        else raw_member(*draw(st.lists(names, min_size=1, max_size=3, unique=True)), priority=draw(priorities))
        for _ in range(draw(st.integers(1, 4)))
    ]
    return cluster("cluster", *found, strategy=draw(strategies))


class Rotating:
    """Takes orders one after another, with nobody's availability changing."""

    def __init__(self, entry: Group | RawModel, out: frozenset[str] = frozenset()) -> None:
        self.entry = entry
        self.out = out
        self.taken: Counter[TurnKey] = Counter()

    def available(self, target: Target) -> bool:
        return target.id not in self.out

    def look(self) -> Order:
        return order(self.entry, self.available, self.taken.__getitem__)

    def next(self) -> Order:
        found = self.look()
        self.taken.update(found.took)
        return found


@st.composite
def rotating(draw: st.DrawFn, entries: st.SearchStrategy[Group | RawModel], *, sure: bool = False) -> Rotating:
    """With some of the targets not available; if `sure`, at least one is."""
    entry = draw(entries)
    ids = sorted({target.id for target in targets_of(entry)})
    out = draw(st.frozensets(st.sampled_from(ids), max_size=len(ids) - 1 if sure else len(ids)))
    return Rotating(entry, out if draw(st.booleans()) else frozenset())


def serving(group: Group, made: Rotating) -> tuple[Tier, list[Member]]:
    """The tier that supplies the first target, and its members that can."""
    for tier in group.tiers:
        members = [m for m in tier.members if any(map(made.available, targets_of(m.pool or m)))]
        if members:
            return tier, members
    raise AssertionError("nobody is available")


def owner(members: Sequence[Member], target: Target) -> int:
    (found,) = (i for i, m in enumerate(members) if any(t.id == target.id for t in targets_of(m.pool or m)))
    return found


def check_windows(choices: list[int], weights: Sequence[int]) -> None:
    """Every window of one period gives everyone exactly their weight."""
    divisor = gcd(*weights)
    period = sum(weights) // divisor
    exact = {index: weight // divisor for index, weight in enumerate(weights)}
    for start in range(len(choices) - period + 1):
        assert Counter(choices[start : start + period]) == exact


def check_balance(choices: list[int], count: int) -> None:
    """In no window is anyone's share more than one off anyone else's."""
    for start in range(len(choices)):
        had = Counter(dict.fromkeys(range(count), 0))
        for choice in choices[start:]:
            had[choice] += 1
            assert max(had.values()) - min(had.values()) <= 1


# --- Turns -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 100), min_size=1, max_size=7), st.integers(0, 10**12))
@settings(max_examples=180)
def test_any_window_of_turns_gives_everyone_exactly_their_weight(heavy: list[int], start: int) -> None:
    period = sum(heavy) // gcd(*heavy)
    choices = [turn_of(tuple(heavy), turn).index for turn in range(start, start + period)]
    assert Counter(choices) == {index: weight // gcd(*heavy) for index, weight in enumerate(heavy)}


@given(st.lists(st.integers(1, 100), min_size=25, max_size=60), st.integers(0, 10**12))
@settings(max_examples=30)
def test_so_does_any_window_of_many_heavy_members(heavy: list[int], start: int) -> None:
    period = sum(heavy) // gcd(*heavy)
    had = list(turn_of(tuple(heavy), start).taken)
    assert turn_of(tuple(heavy), start + period).taken == tuple(
        before + weight // gcd(*heavy) for before, weight in zip(had, heavy, strict=True)
    )
    for turn in range(start, start + 50):
        its = turn_of(tuple(heavy), turn)
        assert list(its.taken) == had
        had[its.index] += 1


# --- One level -------------------------------------------------------------------------------------------------------


@given(rotating(pools(), sure=True))
@settings(max_examples=180)
def test_any_window_of_a_tier_gives_each_member_exactly_its_weight(made: Rotating) -> None:
    assert isinstance(made.entry, Group)
    _, members = serving(made.entry, made)
    member_weights = [m.weight for m in members]
    period = sum(member_weights) // gcd(*member_weights)
    choices = [owner(members, made.next().targets[0]) for _ in range(2 * period + 3)]
    check_windows(choices, member_weights)


@given(rotating(pools(most=6, equal=True), sure=True))
@settings(max_examples=120)
def test_with_equal_weights_any_window_differs_by_at_most_one(made: Rotating) -> None:
    assert isinstance(made.entry, Group)
    _, members = serving(made.entry, made)
    choices = [owner(members, made.next().targets[0]) for _ in range(3 * len(members) + 1)]
    check_balance(choices, len(members))


@given(rotating(pools() | clusters(), sure=True))
@settings(max_examples=180)
def test_a_member_s_credentials_stand_together_and_are_first_equally_often(made: Rotating) -> None:
    usable: defaultdict[str, list[str]] = defaultdict(list)
    for target in filter(made.available, targets_of(made.entry)):
        usable[target.provider.id].append(target.id)
    first: defaultdict[str, list[str]] = defaultdict(list)
    for _ in range(60):
        found = made.next().targets
        for provider, group in itertools.groupby(found, key=lambda target: target.provider.id):
            # Together, all of them, and from the first on in the order of the configuration.
            ids, expected = [t.id for t in group], usable[provider]
            start = expected.index(ids[0])
            assert ids == expected[start:] + expected[:start]
        first[found[0].provider.id].append(found[0].id)
    for provider, led in first.items():
        check_balance([usable[provider].index(target_id) for target_id in led], len(usable[provider]))


# --- Two levels ------------------------------------------------------------------------------------------------------


@given(rotating(clusters(), sure=True))
@settings(max_examples=180)
def test_any_window_gives_each_member_its_weight_on_both_levels(made: Rotating) -> None:
    assert isinstance(made.entry, Group)
    _, members = serving(made.entry, made)
    member_weights = [m.weight for m in members]
    period = sum(member_weights) // gcd(*member_weights)
    firsts = [made.next().targets[0] for _ in range(max(4 * period, 120))]
    choices = [owner(members, target) for target in firsts]
    check_windows(choices, member_weights)
    for index, outer in enumerate(members):
        if outer.pool is not None:
            _, inner = serving(outer.pool, made)
            led = [owner(inner, t) for choice, t in zip(choices, firsts, strict=True) if choice == index]
            check_windows(led, [m.weight for m in inner])


@given(rotating(clusters(equal=True), sure=True))
@settings(max_examples=120)
def test_with_equal_weights_any_window_differs_by_at_most_one_on_both_levels(made: Rotating) -> None:
    assert isinstance(made.entry, Group)
    _, members = serving(made.entry, made)
    firsts = [made.next().targets[0] for _ in range(40)]
    choices = [owner(members, target) for target in firsts]
    check_balance(choices, len(members))
    for index, outer in enumerate(members):
        if outer.pool is not None:
            _, inner = serving(outer.pool, made)
            led = [owner(inner, t) for choice, t in zip(choices, firsts, strict=True) if choice == index]
            check_balance(led, len(inner))


# --- Any order -------------------------------------------------------------------------------------------------------


@given(rotating(tangles()), st.integers(1, 20))
@settings(max_examples=300)
def test_the_available_targets_come_each_once_and_every_time_the_same(made: Rotating, rounds: int) -> None:
    usable = {target.id for target in targets_of(made.entry) if made.available(target)}
    for _ in range(rounds):
        found = made.look()
        assert len(found.targets) == len(usable)
        assert {target.id for target in found.targets} == usable
        assert made.look() == found
        assert made.next() == found


@given(rotating(tangles()), st.integers(0, 20), st.integers(1, 10))
@settings(max_examples=180)
def test_a_limit_only_cuts(made: Rotating, rounds: int, limit: int) -> None:
    for _ in range(rounds):
        made.next()
    whole = made.look()
    cut = order(made.entry, made.available, made.taken.__getitem__, limit)
    assert cut == Order(whole.targets[:limit], whole.took)


@given(
    tangles() | pools(most=8) | clusters(),
    st.fixed_dictionaries({"pool": st.integers(0, 200), "cluster": st.integers(0, 200)}),
    st.none() | st.integers(1, 10),
)
@settings(max_examples=300)
def test_where_all_are_available_nobody_needs_to_be_asked(
    entry: Group | RawModel, taken: dict[str, int], limit: int | None
) -> None:
    def turns(key: TurnKey) -> int:
        return taken[key[0].partition(":")[0]]

    assert order(entry, None, turns, limit) == order(entry, lambda _: True, turns, limit)


def expected(entry: Group | RawModel, made: Rotating) -> tuple[list[str], list[TurnKey]]:
    """The order by the letter of the specification, in the plainest words, before repetitions are dropped; and who
    takes a turn."""
    if isinstance(entry, RawModel):
        return [t.id for t in targets_of(entry) if made.available(t)], []
    ids: list[str] = []
    took: list[TurnKey] = []
    for tier in entry.tiers:
        members = [m for m in tier.members if any(made.available(t) for t in targets_of(m.pool or m))]
        if not members:
            continue
        key = (f"{entry.kind}:{entry.id}", tier.priority)
        gained, had = [0] * len(members), [0] * len(members)
        for turn in range(made.taken[key] + 1):
            for index, each in enumerate(members):
                gained[index] += each.weight
            best = gained.index(max(gained))
            gained[best] -= sum(m.weight for m in members)
            had[best] += turn < made.taken[key]
        bands = []
        for index, each in enumerate(members):
            if each.pool is not None:
                bands.append(expected(each.pool, made))
                continue
            band: list[str] = []
            for its in each.sources:
                usable = [t.id for t in its.targets if made.available(t)]
                start = had[index] % max(1, len(usable))
                band += usable[start:] + usable[:start]
            bands.append((band, []))
        bands = bands[best:] + bands[:best]
        if not ids:
            took = [key, *bands[0][1]]
        ids += itertools.chain.from_iterable(band for band, _ in bands)
    return ids, took


@given(rotating(tangles()), st.integers(0, 12))
@settings(max_examples=450)
def test_the_choice_of_the_turn_comes_first_then_the_rest_wrapping_and_only_the_first_band_takes_a_turn(
    made: Rotating, rounds: int
) -> None:
    for _ in range(rounds):
        made.next()
    found = made.look()
    ids, took = expected(made.entry, made)
    assert [target.id for target in found.targets] == list(dict.fromkeys(ids))
    assert list(found.took) == took


@given(rotating(tangles()), st.dictionaries(st.sampled_from(["pool0", "pool1", "pool2"]), st.integers(0, 50)))
@settings(max_examples=180)
def test_later_bands_only_look(made: Rotating, moved: dict[str, int]) -> None:
    """Turns of pools that do not supply the first target change nothing about who is first, nor are they taken."""
    found = made.look()
    if not found.targets:
        assert found.took == ()
        return
    for name, turns in moved.items():
        for priority in range(-1, 3):
            if (f"pool:{name}", priority) not in found.took:
                made.taken[f"pool:{name}", priority] += turns
    again = made.look()
    assert again.targets[0] == found.targets[0]
    assert again.took == found.took


@given(st.one_of(tangles(), clusters(), pools()), st.data())
def test_a_claim_tells_beforehand_which_turns_an_order_takes(entry: Group | RawModel, data: st.DataObject) -> None:
    out = data.draw(st.sets(st.sampled_from(sorted({t.id for t in targets_of(entry)}))))
    numbers: dict[TurnKey, int] = defaultdict(lambda: data.draw(st.integers(0, 1000)))
    found = order(entry, lambda target: target.id not in out, numbers.__getitem__)
    claimed = claim(entry, lambda target: target.id not in out)
    taken = claimed.taken([numbers[key] for key in found.took]) if claimed else {}
    assert taken == {key: numbers[key] for key in found.took}
