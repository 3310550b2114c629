"""What a change has nothing to do with can be left out: the text comes out as if all of it had been looked at."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amending
from resolver_service.adapters.amend_yaml.amending import amend
from resolver_service.adapters.amend_yaml.narrowing import narrowed
from resolver_service.domain.same import same

FORMS = (
    "  - id: {0}\n    members:\n    - provider: p\n      model: m\n",
    "  - {{id: {0}, members: [{{provider: p, model: m}}]}}\n",
    "  # about {0}\n  - id: {0}  # its name\n    members: [{{provider: p, model: m}}]\n\n",
    "  - id: {0}\n    # within\n    members:\n      - {{provider: p, model: m, weight: 2}}\n    # behind\n",
    "  -\n    id: '{0}'\n    members: [\n      {{provider: p, model: m}}]\n",
)
forms = st.lists(st.sampled_from(FORMS), min_size=1, max_size=9)
changes = st.lists(st.tuples(st.sampled_from(["put", "drop", "change", "append"]), st.integers(0, 20)), max_size=3)


def written(pools: list[str], clusters: list[str], end: str) -> bytes:
    lists = [
        "".join(form.format(f"{name}{number}") for number, form in enumerate(forms))
        for name, forms in (("a", pools), ("c", clusters))
    ]
    return f"# first\nmodel-pools:\n  pools:\n{lists[0]}  clusters:\n{lists[1]}{end}".encode()


def changed(document: Any, section: str, what: list[tuple[str, int]]) -> None:
    entries = document["model-pools"][section]
    for number, (how, where) in enumerate(what):
        place = where % len(entries)
        new = {"id": f"new {number}", "members": [{"provider": "p", "model": "m"}]}
        if how == "put":
            entries.insert(place, new)
        elif how == "append":
            entries.append(new)
        elif how == "change":
            entries[place] = {**entries[place], "description": "another"}
        elif len(entries) > 1:
            del entries[place]


@given(forms, forms, st.sampled_from(["", "policy: {attempts: 3}\n", "# last\n"]), changes, changes)
def test_it_makes_no_difference(
    pools: list[str], clusters: list[str], end: str, of_pools: list[tuple[str, int]], of_clusters: list[tuple[str, int]]
) -> None:
    text = written(pools, clusters, end)
    old: Any = config_yaml.read(text)
    new = copy.deepcopy(old)
    changed(new, "pools", of_pools)
    changed(new, "clusters", of_clusters)
    amended = amend(text, old, new)
    assert same(config_yaml.read(amended), new), amended.decode()
    narrow, amending.narrowed = amending.narrowed, lambda text, old, new: None
    try:
        assert amended.decode() == amend(text, old, new).decode()
    finally:
        amending.narrowed = narrow


def test_of_many_entries_a_few_are_looked_at() -> None:
    text = written([FORMS[1]] * 100, [FORMS[0]] * 100, "").decode()
    old: Any = config_yaml.read(text)
    new = copy.deepcopy(old)
    changed(new, "pools", [("change", 50)])
    found = narrowed(text, old, new)
    assert found is not None
    assert found.text.count("id:") == 5 + 2
    assert same(config_yaml.read(found.text), found.old)
