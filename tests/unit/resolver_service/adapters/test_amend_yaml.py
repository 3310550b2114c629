"""What becomes of the text around a change. That it says what it is to say: tests/property/test_amend_yaml.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from resolver_service.adapters import config_yaml
from resolver_service.adapters.amend_yaml import amend
from resolver_service.app.ports import ReadOnlyError

TEXT = """\
# Ours.
model-pools:
  pools:   # the pools
    # About a.
    - id: a            # of old
      strategy: 'priority'
      members:
        - {provider: one,   model: "m"}   # cheap
        # dear:
        - {provider: two, model: m, weight: 2}
        # (no others)

    # About b.
    - members: [{provider: one, model: b}, {provider: two, model: b}]
  clusters: []
# The end.
"""


def after(text: str, change: Callable[[Any], object]) -> str:
    old: Any = config_yaml.read(text)
    new: Any = config_yaml.read(text)
    change(new)
    amended = amend(text.encode(), old, new).decode()
    assert config_yaml.read(amended) == new
    return amended


def pools(document: Any) -> Any:
    return document["model-pools"]["pools"]


def replaced(*pairs: tuple[str, str]) -> str:
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_a_value_keeps_its_quotes_and_its_comment() -> None:
    def change(document: Any) -> None:
        pools(document)[0]["strategy"] = "round-robin"
        pools(document)[0]["members"][0]["model"] = "other"
        pools(document)[0]["members"][1]["weight"] = 3

    assert after(TEXT, change) == replaced(
        ("'priority'", "'round-robin'"), ('"m"', '"other"'), ("weight: 2", "weight: 3")
    )


def test_what_is_new_stands_behind_what_belongs_to_the_one_before() -> None:
    new = {"id": "c", "members": [{"provider": "one", "model": "c"}, {"provider": "two", "model": "c"}]}
    assert after(TEXT, lambda d: pools(d).insert(1, new)) == replaced(
        (
            "        # (no others)\n",
            "        # (no others)\n    - id: c\n      members:\n        - {provider: one, model: c}\n"
            "        - {provider: two, model: c}\n",
        )
    )
    member = {"provider": "three", "model": "m"}
    assert after(TEXT, lambda d: pools(d)[0]["members"].append(member)) == replaced(
        ("weight: 2}\n", "weight: 2}\n        - {provider: three, model: m}\n")
    )
    assert after(TEXT, lambda d: pools(d)[1]["members"].append(member)) == replaced(
        ("model: b}]", "model: b}, {provider: three, model: m}]")
    )


def test_what_goes_takes_the_comment_above_it_along() -> None:
    assert after(TEXT, lambda d: pools(d).pop(1)) == replaced(
        ("    # About b.\n    - members: [{provider: one, model: b}, {provider: two, model: b}]\n", "")
    )
    assert after(TEXT, lambda d: pools(d)[0]["members"].pop(1)) == replaced(
        ("        # dear:\n        - {provider: two, model: m, weight: 2}\n", "")
    )
    assert after(TEXT, lambda d: pools(d)[1]["members"].pop(0)) == replaced(("{provider: one, model: b}, ", ""))
    assert after(TEXT, lambda d: pools(d)[0].pop("strategy")) == replaced(("      strategy: 'priority'\n", ""))


def test_the_first_of_its_kind_and_the_last() -> None:
    cluster = {"id": "c", "members": [{"pool": "a"}]}
    first = after(TEXT, lambda d: d["model-pools"]["clusters"].append(cluster))
    assert first == replaced(("clusters: []\n", "clusters:\n    - id: c\n      members:\n        - {pool: a}\n"))
    assert after(first, lambda d: d["model-pools"]["clusters"].clear()) == TEXT
    assert after("providers: []", lambda d: d.update({"model-pools": {"clusters": [cluster]}})) == (
        "providers: []\nmodel-pools:\n  clusters:\n    - id: c\n      members:\n        - {pool: a}"
    )
    assert after("{}\n", lambda d: d.update(providers=[])) == "{providers: []}\n"


def test_a_new_description_stands_behind_the_other_keys() -> None:
    assert after(TEXT, lambda d: pools(d)[0].update(description="it's: new")) == replaced(
        ("        # (no others)\n", '        # (no others)\n      description: "it\'s: new"\n')
    )


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_and_a_mark_at_the_beginning_stay(end: str) -> None:
    text = "\ufeff" + TEXT.replace("\n", end)
    amended = amend(text.encode(), (old := config_yaml.read(text.encode())), _with_pool(old)).decode()
    assert amended.startswith("\ufeff# Ours." + end)
    assert "\n" not in amended.replace(end, "")
    assert amended.count(end) == TEXT.count("\n") + 3


def _with_pool(document: Any) -> Any:
    groups = document["model-pools"]
    new = {"id": "new", "members": [{"provider": "one", "model": "n"}]}
    return {**document, "model-pools": {**groups, "pools": [*groups["pools"], new]}}


def test_an_alias_keeps_what_it_said_when_what_it_refers_to_changes() -> None:
    text = "a: &x {k: 1}\nb: *x   # the same\n"
    assert after(text, lambda d: d.update(a={"k": 2})) == "a: &x {k: 2}\nb: {k: 1}   # the same\n"
    assert after(text, lambda d: d.update(b=3)) == "a: &x {k: 1}\nb: 3   # the same\n"
    assert after(text, lambda d: d.pop("a")) == "b: {k: 1}   # the same\n"


def test_flow_on_many_lines_stays_on_them() -> None:
    text = "a: [\n  {id: x},\n  {id: y}\n]\n"
    assert after(text, lambda d: d["a"].append({"id": "z"})) == "a: [\n  {id: x},\n  {id: y},\n  {id: z}\n]\n"
    assert after(text, lambda d: d["a"].pop(0)) == "a: [\n  {id: y}\n]\n"


def test_what_cannot_be_taken_to_pieces_is_refused() -> None:
    for text in ("? a\n: 1\n? b\n: 2\n", "a: &x y\nb: {*x : z}\n"):
        with pytest.raises(ReadOnlyError, match="by hand"):
            after(text, lambda d: d.update(a=3, c=3))
