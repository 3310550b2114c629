from __future__ import annotations

import pytest

from resolver_service.app.decisions import Course
from tests.support.resolving import Resolving

TEXT = """
providers:
  - {id: a, dialect: openai, base-url: "https://a.example/v1", models: [m]}
  - {id: b, dialect: openai, base-url: "https://b.example/v1", models: [m]}
  - {id: c, dialect: openai, base-url: "https://c.example/v1", models: [other]%s}
model-pools:
  pools:
    - {id: pool, strategy: round-robin, members: [{provider: a, model: m}, {provider: b, model: m}]}
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
