from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from resolver_service.app.decisions import Course, Query
from resolver_service.app.usual import UsualCourses
from tests.support.resolving import Resolving

TEXT = """
providers:
  - {id: a, dialect: openai, base-url: "https://a.example/v1", models: [m]}
  - {id: b, dialect: openai, base-url: "https://b.example/v1", models: [m]}
  - {id: c, dialect: openai, base-url: "https://c.example/v1", models: [other]%s}
model-pools:
  pools:
    - {id: pool, strategy: round-robin, members: [{provider: a, model: m}, {provider: b, model: m}]}
    - {id: one-try, members: [{provider: a, model: m}, {provider: b, model: m}], policy: {attempts: 1}}
    - {id: walk, strategy: priority, members: [{provider: a, model: m}, {provider: b, model: m, priority: 1}]}
"""


@pytest.fixture
def it() -> Resolving:
    return Resolving(TEXT % "")


def courses(it: Resolving, name: str = "pool") -> list[Course]:
    """Those of both turns."""
    return [it.decide(name).course for _ in range(2)]


def test_a_course_is_put_together_once_for_each_turn(it: Resolving) -> None:
    first, second = courses(it)
    assert first != second
    again = courses(it)
    assert (again[0] is first, again[1] is second) == (True, True)
    assert first.is_usual


def test_it_is_another_under_another_generation(it: Resolving) -> None:
    before = courses(it)
    it.fail("c/other#0")
    after = courses(it)
    assert [course.health_generation for course in before + after] == [0, 0, 1, 1]


async def test_it_is_another_in_another_revision(it: Resolving) -> None:
    before = courses(it)
    await it.configuration.offer((TEXT % ", max-concurrent: 1").encode())
    after = courses(it)
    assert [course.revision for course in before + after] == [1, 1, 2, 2]


@pytest.mark.parametrize("change", [{"number": 2}, {"digest": "another"}])
def test_revisions_are_told_apart_by_number_and_digest_together(it: Resolving, change: dict[str, Any]) -> None:
    revision = it.configuration.current
    pool = revision.catalog.find("pool")
    assert pool is not None
    usual = UsualCourses(it.health, it.drains, it.in_flight.counts)
    found = [usual.find(Query("pool"), r, pool, lambda _: 0) for r in (revision, revision, replace(revision, **change))]
    assert found[0] is found[1]
    assert found[0] is not found[2]


def test_no_more_is_tried_than_may_be(it: Resolving) -> None:
    assert it.decide("one-try").course.is_usual
    assert [len(it.decide(name).attempts) for name in ("one-try", "pool")] == [1, 2]


def test_who_excludes_one_gets_a_course_of_the_others(it: Resolving) -> None:
    courses(it)
    assert [it.plan("pool", excluded=("a/m#0",)) for _ in range(2)] == [["b/m#0"]] * 2


async def test_while_some_target_counts_what_it_has_each_is_looked_at(it: Resolving) -> None:
    await it.configuration.offer((TEXT % ", max-concurrent: 1").encode())
    taken = it.decide("other")
    assert [course.is_usual for course in courses(it)] == [False, False]
    it.close(taken)


def test_what_takes_a_walk_is_put_together_each_time(it: Resolving) -> None:
    assert [course.is_usual for course in courses(it, "walk")] == [False, False]


def test_few_are_kept(it: Resolving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver_service.app.usual.MOST_KEPT", 3)
    for name in ("pool", "m", "other", "pool"):
        courses(it, name)
        assert len(it.resolver._usual._kept) <= 3
