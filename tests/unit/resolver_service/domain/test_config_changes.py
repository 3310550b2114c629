from __future__ import annotations

import copy
from typing import Any

import pytest

from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_changes import (
    LONGEST_ID,
    Change,
    Deleted,
    InUseError,
    Kind,
    NotThereError,
    Put,
    Replaced,
    changed,
    changes_providers,
    concerns_providers,
    ids,
    model_pools,
)

DOCUMENT: dict[str, Any] = {
    "providers": [{"id": "one", "models": ["m", "odd(x)"]}, {"id": "two"}],
    "model-pools": {
        "pools": [
            {"id": " A ", "members": [{"provider": "one", "model": "m"}]},
            {"members": [{"provider": "two", "model": "n(high)"}]},
            {"members": [{"provider": "one", "model": "ODD(x)"}]},
        ],
        "clusters": [{"id": "c", "members": [{"pool": "a"}]}, {"id": " d", "members": [{"pool": "N"}, {"pool": "a "}]}],
    },
}


def pools(document: Any) -> Any:
    return document["model-pools"]["pools"]


def refusal(change: Change) -> list[str]:
    before = copy.deepcopy(DOCUMENT)
    with pytest.raises(ConfigError) as caught:
        changed(DOCUMENT, change)
    assert before == DOCUMENT
    return [str(problem) for problem in caught.value.problems]


def test_ids_are_told_or_of_the_first_model_as_its_provider_lists_it() -> None:
    assert ids(DOCUMENT, Kind.POOL) == ["A", "n", "ODD(x)"]
    assert ids({"model-pools": {"pools": [{}, 1, {"members": 3}]}}, Kind.POOL) == ["", "", ""]
    assert ids({"model-pools": {"clusters": pools(DOCUMENT)}}, Kind.CLUSTER) == ["A", "", ""], "those need an id"


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"id": "a"}, 0),
        ({"members": [{"provider": "one", "model": "N(low)"}]}, 1),
        ({"id": "odd(X)"}, 2),
        ({"id": "new"}, 3),
    ],
)
def test_an_entry_is_put_where_its_id_is_or_behind_all(entry: dict[str, Any], place: int) -> None:
    before = copy.deepcopy(DOCUMENT)
    found = pools(changed(DOCUMENT, Put(Kind.POOL, entry)))
    assert found[place] == entry
    assert [p for n, p in enumerate(found) if n != place] == [p for n, p in enumerate(pools(before)) if n != place]
    assert before == DOCUMENT


def test_what_is_no_entry_is_put_at_the_end_where_its_mistakes_are_told_of() -> None:
    document = {"model-pools": {"pools": [{}, *pools(DOCUMENT)]}}
    for entry in ([], "x", {"id": 3}):
        assert pools(changed(document, Put(Kind.POOL, entry))) == [*pools(document), entry]


def test_sections_are_made_where_there_are_none() -> None:
    for document in ({}, {"model-pools": None}, {"model-pools": {"clusters": None}}):
        assert model_pools(changed(document, Put(Kind.CLUSTER, {"id": "x"})))["clusters"] == [{"id": "x"}]
    assert changed({}, Put(Kind.PROVIDER, {"id": "x"})) == {"providers": [{"id": "x"}]}


def test_changes_that_are_none() -> None:
    assert refusal(Put(Kind.POOL, {})) == ["model-pools.pools[3].id: pool id is required"]
    assert refusal(Put(Kind.PROVIDER, {"id": ""})) == ["providers[2].id: provider id is required"]
    assert refusal(Deleted(Kind.POOL, " ")) == ["id is required"]
    assert refusal(Replaced("model-pools", None)) == ["model-pools: expected a mapping, got nothing"]
    assert refusal(Replaced("providers", {})) == ["providers: expected a list, got a mapping"]
    long = {"id": "x" * (LONGEST_ID + 1)}
    assert refusal(Put(Kind.CLUSTER, long)) == ["model-pools.clusters[2].id: must not be longer than 200 characters"]
    assert len(refusal(Replaced("model-pools", {"pools": [long, {}, long], "clusters": 1}))) == 2
    assert len(refusal(Replaced("providers", [long]))) == 1
    assert changed(DOCUMENT, Put(Kind.CLUSTER, {"id": "x" * LONGEST_ID}))


def test_a_pool_that_clusters_name_stays() -> None:
    with pytest.raises(InUseError) as caught:
        changed(DOCUMENT, Deleted(Kind.POOL, "a"))
    assert caught.value.clusters == ("c", "d")
    with pytest.raises(InUseError, match="pool 'n' is used by the cluster 'd'"):
        changed(DOCUMENT, Deleted(Kind.POOL, "N"))
    assert ids(changed(DOCUMENT, Deleted(Kind.POOL, "odd(x)")), Kind.POOL) == ["A", "n"]
    namesakes = {"model-pools": {"clusters": [{"id": "A", "members": [{"pool": "a"}]}]}}
    assert ids(changed(namesakes, Deleted(Kind.CLUSTER, "a")), Kind.CLUSTER) == [], "it is not the pool"
    for kind in Kind:
        with pytest.raises(NotThereError, match=f"{kind.noun} not found"):
            changed(DOCUMENT, Deleted(kind, "gone"))


def test_the_object_has_its_four_keys_and_sent_back_it_changes_nothing() -> None:
    for section in (None, {}, {"enabled": False}, {"pools": None, "default-strategy": "priority"}, {"clusters": []}):
        document = {"model-pools": section}
        whole = model_pools(document)
        assert list(whole) == ["enabled", "default-strategy", "pools", "clusters"]
        assert None not in whole.values()
        assert changed(document, Replaced("model-pools", whole)) == document
    assert changed({}, Replaced("model-pools", model_pools({}))) == {}
    assert changed({}, Replaced("providers", [])) == {}


def test_what_is_left_out_when_all_is_replaced_is_gone() -> None:
    after = changed(DOCUMENT, Replaced("model-pools", {"enabled": False, "pools": []}))
    assert after["model-pools"] == {"enabled": False, "pools": []}
    assert after["providers"] is DOCUMENT["providers"]
    for section, nothing in (("model-pools", {}), ("providers", [])):
        assert changed(DOCUMENT, Replaced(section, nothing)) == {**DOCUMENT, section: nothing}


def test_what_stood_there_without_a_value_gets_one_or_stays_so() -> None:
    document = {"model-pools": {"pools": None, "clusters": None}}
    after = changed(document, Replaced("model-pools", {"pools": pools(DOCUMENT)}))
    assert after["model-pools"] == {"pools": pools(DOCUMENT), "clusters": None}


def test_all_may_be_put_where_nothing_was() -> None:
    for section, value in DOCUMENT.items():
        assert changed({}, Replaced(section, value)) == {section: value}


def test_which_changes_are_the_providers() -> None:
    assert concerns_providers(Put(Kind.PROVIDER, {}))
    assert concerns_providers(Replaced("providers", []))
    assert not concerns_providers(Deleted(Kind.POOL, "a"))
    assert not changes_providers({}, {"providers": []})
    assert changes_providers(
        {"providers": [{"id": "a", "disabled": 1}]}, {"providers": [{"id": "a", "disabled": True}]}
    )
