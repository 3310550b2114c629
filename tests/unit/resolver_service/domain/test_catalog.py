from __future__ import annotations

from typing import Any

import pytest

from resolver_service.domain.catalog import Group, RawModel, Scopes, credential_scope
from resolver_service.domain.config import parse
from tests.support.catalogs import cluster, member, pool, raw_member, source
from tests.unit.resolver_service.domain.written import document, found, provider


def ids(entry: Group | RawModel) -> list[str]:
    return [target.id for target in entry.targets()]


def pools_of(*ids: str) -> list[Any]:
    return [{"id": each, "members": [{"provider": "one", "model": "alpha"}]} for each in ids]


def test_a_target_is_known_by_what_it_shares_with_others() -> None:
    (_, second) = source("p", "vendor/m#7", credentials=2).targets
    assert second.scopes == Scopes("p/vendor/m#7#1", "p#1", "p/vendor/m#7#*")
    assert credential_scope(second.id) == second.scopes.credential


def test_a_cluster_hides_a_pool_and_a_pool_a_model_of_its_name() -> None:
    clusters = [{"id": "ALPHA", "members": [{"model": "beta"}]}]
    catalog = parse(document(pools=pools_of("alpha", "beta", "gamma"), clusters=clusters))
    kinds = [entry.kind if isinstance(entry, Group) else "model" for entry in map(catalog.find, ("alpha", " Beta "))]
    assert kinds == ["cluster", "pool"]
    assert catalog.find("nobody") is None
    assert [catalog.is_virtual(name) for name in ("alpha", "GAMMA", "nobody")] == [True, True, False]
    assert [(group.kind, group.id) for group in catalog.virtual_models()] == [
        ("pool", "beta"),
        ("pool", "gamma"),
        ("cluster", "ALPHA"),
    ]
    assert catalog.spellings == (("alpha", "ALPHA"), ("beta", "beta"), ("gamma", "gamma"))


def test_all_targets_are_known_by_their_ids_those_of_models_first() -> None:
    pools = [{"id": "p", "members": [{"provider": "two", "model": "unlisted"}, {"provider": "one", "model": "beta"}]}]
    catalog = parse(document(pools=pools, clusters=[{"id": "c", "members": [{"pool": "p"}, {"model": "alpha"}]}]))
    assert {target_id: target.path for target_id, target in catalog.targets.items()} == {
        "one/alpha#0": "alpha/one",
        "two/ALPHA#0": "alpha/two",
        "one/beta#0": "beta/one",
        "two/unlisted#0": "p/two",
    }
    assert catalog.scopes["one/beta#0"].credential == "one#0"


def test_what_one_provider_has_the_catalog_has() -> None:
    plain = parse(document())
    assert (plain.has_limits, plain.has_responses, plain.longest_stream_s) == (False, False, 3600.0)
    timeouts = {"timeouts": {"stream": "2h"}}
    special = provider("three", "m", **{"max-concurrent": 1, "responses": True, "policy": timeouts})
    catalog = parse(document([provider("one", "alpha"), special]))
    assert (catalog.has_limits, catalog.has_responses, catalog.longest_stream_s) == (True, True, 7200.0)


def test_what_is_disabled_stands_behind_a_name_and_is_not_enabled() -> None:
    members = [{"provider": "one", "model": "alpha", "disabled": True}, {"provider": "two", "model": "ALPHA"}]
    pools = [{"id": "p", "members": members}, {"id": "gone", "members": members[:1]}]
    clusters = [{"id": "c", "members": [{"pool": "gone"}, {"pool": "p", "priority": 1}]}]
    catalog = parse(document(pools=pools, clusters=clusters))
    assert ids(found(catalog, "p")) == ["one/alpha#0", "two/ALPHA#0"]
    assert [len(tier.members) for tier in found(catalog, "p").enabled] == [1]
    assert found(catalog, "gone").enabled == ()
    assert [tier.priority for tier in found(catalog, "c").enabled] == [1], "a pool of nobody is nobody"


def test_of_what_rotates_as_a_whole_it_is_enough_to_know_the_turn() -> None:
    ring = pool("p", member("a", weight=2), member("b")).ring
    assert ring is not None
    assert ring.keys == (("pool:p", 0),)
    assert (ring.weights, [target.id for target in ring.targets]) == ((2, 1), ["a/m#0", "b/m#0"])


def test_a_cluster_of_one_pool_takes_turns_of_both_and_the_pool_s_decides() -> None:
    ring = cluster("c", member(pool("P", member("a"), member("b")), priority=3)).ring
    assert ring is not None
    assert ring.keys == (("cluster:c", 3), ("pool:p", 0))
    assert [target.id for target in ring.targets] == ["a/m#0", "b/m#0"]


@pytest.mark.parametrize(
    "group",
    [
        cluster("tiers", member("a"), member("b", priority=1)),
        pool("credentials", member("a", credentials=2), member("b")),
        cluster("models", raw_member("a", "b"), member("c")),
        cluster("pools", member(pool("p", member("a"))), member(pool("q", member("b")))),
        cluster("mixed", member(pool("p", member("a"))), member("b")),
        pool("twice", member("a"), member("a")),
        cluster("within", member(pool("p", member("a", credentials=2)))),
    ],
    ids=lambda group: group.id,
)
def test_of_anything_else_more_has_to_be_known(group: Group) -> None:
    assert group.ring is None


def test_a_target_that_stands_there_twice_is_a_repetition() -> None:
    assert pool("p", member("a"), member("b"), member("a")).has_repetitions
    assert not pool("p", member("a", credentials=2), member("b")).has_repetitions
